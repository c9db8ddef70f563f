"""What two regions make of one collection while each hears of the other late, and in any order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.builder import RETENTION_SECONDS, Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.hints import NoHints
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.named import COPY_SECONDS
from anfl.vectors.node import NodeFolder
from anfl.vectors.repair import ARRIVAL_SECONDS
from anfl.vectors.requests import CollectionPatch, Fetch, IndexPatch
from anfl.vectors.retention import PART_SECONDS
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.simulation.replicas import join
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import Weather, World
from tests.unit.vectors.builders import Noted, upsert
from tests.unit.vectors.simulated import SimulatedStore

HERE, FAR = "us-west-1", "eu-west-1"
SETTINGS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


def _is_batch(key: str, *ends: str) -> bool:
    """Whether it is of the log, at a sequence that ends so."""
    return "/log/" in key and key.endswith(ends)


class Hints(NoHints):
    """Those of the tables of both regions."""

    def __init__(self) -> None:
        self.noted: dict[str, list[int]] = {}

    def note(self, collection: Collection, sequence: int) -> None:
        """See `Hints.note`."""
        self.noted.setdefault(collection.name, []).append(sequence)


class Regions:
    """Two of them. What is written to one's table or bucket arrives in the other one when told to."""

    def __init__(self, folder: Path) -> None:
        self._world = World(0, Weather())
        self._folder = folder
        self._begun = 0
        self.told = Noted()
        self.hints = Hints()
        self.tables = {name: Table(self._world, region=name) for name in (HERE, FAR)}
        self.buckets = {name: SimulatedStore() for name in (HERE, FAR)}
        join({name: table.replica for name, table in self.tables.items()}, self._world, most=1.0)

    def begin(self, name: str) -> VectorStore:
        """A process that begins there, on a node of its own."""
        world = self._world
        self._begun += 1
        clock = Clock(wall=lambda: world.seconds, monotonic=lambda: world.seconds, sleep=world.sleep)
        storage = Storage(
            objects=self.buckets[name],
            here=name,
            node=NodeFolder(self._folder / str(self._begun), sleep=world.sleep),
            clock=clock,
            hints=self.hints,
            threads=False,
            events=self.told,
        )
        return VectorStore(Catalogue(cast("Any", self.tables[name])), storage)

    def pass_time(self, seconds: float) -> None:
        """On everybody's clock."""
        self._world.sleep(seconds)

    def hear(self) -> None:
        """Let each table have what was written to the other."""
        self._world.calm()

    def copy(self, wanted: Callable[[str], bool]) -> None:
        """Let `FAR` have the objects of `HERE` whose keys are ``wanted``."""
        home = self.buckets[HERE].objects
        self.buckets[FAR].objects.update({key: body for key, body in home.items() if wanted(key)})


@pytest.fixture(name="regions")
def _regions(tmp_path: Path) -> Regions:
    return Regions(tmp_path)


@pytest.fixture(name="home")
def _home(regions: Regions) -> VectorStore:
    store = regions.begin(HERE)
    store.create("demo", SETTINGS)
    for n in range(4):
        store.write("demo", "words", upsert((f"r{n}", (0, n))))
    regions.hear()
    return store


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.code


@pytest.mark.usefixtures("home")
def test_where_the_home_is_lost_with_a_batch_that_others_overtook_what_stands_before_it_is_kept(
    regions: Regions,
) -> None:
    regions.copy(lambda key: not _is_batch(key, "3"))
    far = regions.begin(FAR)
    assert far.create_snapshot("demo", "words", "last").rows == 2
    regions.pass_time(10)
    assert far.create_snapshot("demo", "words", "again").rows == 2
    made = far.restore("demo", "words", "last", "words-2")
    assert made.home == FAR
    found = far.fetch("demo", "words-2", Fetch(ids=["r0", "r1", "r2", "r3"], consistency="strong"))
    assert [row.id for row in found.vectors] == ["r0", "r1"]


def test_at_home_what_is_missing_is_a_loss_and_no_snapshot_hides_it(regions: Regions, home: VectorStore) -> None:
    objects = regions.buckets[HERE]
    objects.delete([key for key in objects.objects if _is_batch(key, "3")])
    node = regions.begin(HERE)
    assert code_of(lambda: node.create_snapshot("demo", "words", "last")) == "log_gap"
    assert home.snapshots("demo", "words").snapshots == []


@pytest.mark.parametrize(
    "patch", [CollectionPatch(index=IndexPatch(ef_search=99)), CollectionPatch(fields={})], ids=["index", "fields"]
)
def test_settings_that_are_changed_elsewhere_do_not_take_the_place_of_those_that_the_log_demands(
    regions: Regions, home: VectorStore, patch: CollectionPatch
) -> None:
    far = regions.begin(FAR)
    for names in ("n", "nm"):
        home.update("demo", "words", CollectionPatch(fields=dict.fromkeys(names, FieldType.NUMBER)))
    assert code_of(lambda: far.update("demo", "words", patch)) == "written_elsewhere"
    regions.hear()
    node = regions.begin(HERE)
    assert node.describe("demo", "words").settings.fields.keys() == {"n", "m"}
    node.write("demo", "words", upsert(("r9", (0, 9))))


def test_a_restored_collection_of_which_nothing_has_arrived_is_not_an_empty_one(
    regions: Regions, home: VectorStore
) -> None:
    regions.copy(lambda _: True)
    home.set_alias("demo", "w", "words")
    home.create_snapshot("demo", "words", "last")
    home.restore("demo", "words", "last", "words-2")
    home.set_alias("demo", "w", "words-2")
    regions.hear()
    far = regions.begin(FAR)
    assert code_of(lambda: far.stats("demo", "w")) == "log_gap"
    regions.copy(lambda key: "/parts/" not in key)
    assert code_of(lambda: far.stats("demo", "w")) == "log_gap"
    regions.copy(lambda _: True)
    assert far.stats("demo", "w").rows == 4


def test_how_far_a_log_reaches_is_noted_at_home_alone(regions: Regions, home: VectorStore) -> None:
    regions.copy(lambda key: not _is_batch(key, "4"))
    far = regions.begin(FAR)
    assert far.stats("demo", "words").rows == 3
    for store in (far, home):
        store.hnsw.upkeep.once()
    assert regions.hints.noted == {"words": [4]}


@pytest.mark.usefixtures("home")
def test_what_has_yet_to_arrive_is_no_trouble_elsewhere(regions: Regions) -> None:
    regions.copy(lambda key: not _is_batch(key, "3"))
    far = regions.begin(FAR)
    stats = far.stats("demo", "words")
    assert (stats.rows, stats.trouble) == (2, None)
    regions.copy(lambda _: True)
    regions.pass_time(2)
    assert far.stats("demo", "words").rows == 4


def test_a_batch_that_never_arrives_is_passed_by_a_snapshot_also_where_the_collection_is_in_memory(
    regions: Regions, home: VectorStore
) -> None:
    regions.copy(lambda key: _is_batch(key, "1", "2"))
    far = regions.begin(FAR)
    assert far.stats("demo", "words").rows == 2
    Builder(home.storage, policy=SnapshotPolicy(batches=1)).build(home.describe("demo", "words"))
    home.write("demo", "words", upsert(("r4", (0, 4))))
    regions.copy(lambda key: not _is_batch(key, "3"))
    for _ in range(7):
        regions.pass_time(50)
        shown = far.stats("demo", "words")
        assert shown.trouble is None
    assert shown.rows == 5


@pytest.mark.usefixtures("home")
def test_nor_does_what_cannot_be_opened_there_keep_a_snapshot_from_being_made(regions: Regions) -> None:
    regions.copy(lambda _: True)
    objects = regions.buckets[FAR].objects
    objects.update({key: b"sealed by a key that never came" for key in objects if _is_batch(key, "3")})
    far = regions.begin(FAR)
    assert far.create_snapshot("demo", "words", "last").rows == 2
    assert far.stats("demo", "words").trouble == "log_corrupt"


def test_what_is_not_whole_elsewhere_is_lost_only_where_it_does_not_arrive(regions: Regions, home: VectorStore) -> None:
    words = home.describe("demo", "words")
    Builder(home.storage, policy=SnapshotPolicy(batches=1)).build(words)
    regions.copy(lambda key: "/parts/" not in key)
    far = regions.begin(FAR)
    assert far.stats("demo", "words").rows == 4
    objects = regions.buckets[FAR].objects
    objects[f"{words.prefix}log/{words.epoch:08d}/{5:020d}"] = b"sealed by a key that is on its way"
    for _ in range(ARRIVAL_SECONDS // 100 - 1):
        regions.pass_time(100)
        assert far.stats("demo", "words").trouble == "log_corrupt"
    assert regions.told.damages == []
    for _ in range(3):
        regions.pass_time(100)
        far.stats("demo", "words")
    assert regions.told.damages == [False]


def test_nor_are_parts_at_home_lost_that_come_after_the_manifest_which_was_made_elsewhere(
    regions: Regions, home: VectorStore
) -> None:
    words = home.describe("demo", "words")
    regions.copy(lambda _: True)
    far = regions.begin(FAR)
    far.create_snapshot("demo", "words", "last")
    here, there = regions.buckets[HERE], regions.buckets[FAR]
    here.objects.update({key: body for key, body in there.objects.items() if "/snapshots/" in key})
    retention = home.storage.retention(words)
    retention.verify_newest()
    regions.pass_time(ARRIVAL_SECONDS - 1)
    retention.verify_newest()
    assert regions.told.damages == []
    regions.pass_time(2)
    retention.verify_newest()
    assert regions.told.damages == [False]


def test_a_snapshot_that_is_made_elsewhere_needs_nothing_that_its_home_may_have_removed(
    regions: Regions, home: VectorStore
) -> None:
    Builder(home.storage, policy=SnapshotPolicy(batches=1)).build(home.describe("demo", "words"))
    regions.copy(lambda _: True)
    far = regions.begin(FAR)
    assert far.stats("demo", "words").rows == 4
    far.create_snapshot("demo", "words", "kept")
    regions.buckets[FAR].delete([key for key in regions.buckets[HERE].objects if "/parts/" in key])
    far.restore("demo", "words", "kept", "words-2")
    assert regions.begin(FAR).stats("demo", "words-2").rows == 4


@pytest.mark.parametrize("first", ["/parts/", "/snapshots/"])
def test_what_is_kept_elsewhere_is_kept_at_home_before_all_of_it_has_arrived(
    regions: Regions, home: VectorStore, first: str
) -> None:
    words = home.describe("demo", "words")
    regions.copy(lambda key: _is_batch(key, "1", "2"))
    far = regions.begin(FAR)
    assert far.create_snapshot("demo", "words", "last").rows == 2
    for n in (5, 6):
        home.write("demo", "words", upsert((f"r{n}", (0, n))))
        Builder(home.storage, policy=SnapshotPolicy(batches=1)).build(words)
    here, there = regions.buckets[HERE], regions.buckets[FAR]
    arrived = {key: body for key, body in there.objects.items() if first in key and key not in here.objects}
    here.objects.update(arrived)
    here.copies.update(arrived)
    home.storage.retention(words).clean(now=2 * PART_SECONDS)
    assert arrived.keys() <= here.objects.keys(), "what is removed in one region is removed in all"
    home.storage.retention(words).clean(now=2 * COPY_SECONDS)
    assert not arrived.keys() & here.objects.keys()


def test_a_name_from_elsewhere_that_cannot_be_read_yet_keeps_nobody_from_building(
    regions: Regions, home: VectorStore
) -> None:
    words = home.describe("demo", "words")
    builder = Builder(home.storage, policy=SnapshotPolicy(batches=1))
    for n in (5, 6):
        home.write("demo", "words", upsert((f"r{n}", (0, n))))
        builder.build(words)
    regions.buckets[HERE].objects[f"{words.prefix}named/last"] = b"sealed by a key that is on its way"
    for _ in range(2):
        regions.pass_time(RETENTION_SECONDS + 1)
        home.storage.node.ask(words)
        assert builder.turn()
    assert regions.told.turns == ["done", "done"]


def test_what_is_kept_elsewhere_declares_nothing_that_its_rows_contradict(regions: Regions, home: VectorStore) -> None:
    home.write("demo", "words", upsert(("text", (1, 1)), metadata={"n": "one"}))
    regions.copy(lambda _: True)
    home.write("demo", "words", upsert(("text", (1, 1)), metadata={"n": 1}))
    home.update("demo", "words", CollectionPatch(fields=dict.fromkeys("nm", FieldType.NUMBER)))
    regions.hear()
    far = regions.begin(FAR)
    far.create_snapshot("demo", "words", "last")
    made = far.restore("demo", "words", "last", "words-2")
    assert far.fetch("demo", "words-2", Fetch(ids=["text"])).vectors[0].metadata == {"n": "one"}
    assert made.settings.fields == {"m": FieldType.NUMBER}
    assert far.describe("demo", "words").settings.fields.keys() == {"n", "m"}


def test_a_writer_elsewhere_ends_no_pause_of_a_move_that_is_none_of_its_business(
    regions: Regions, home: VectorStore
) -> None:
    moving = Moving(to="x", incarnation="x", region=HERE, stage=Stage.PAUSED, paused_until=1.0)
    before = home.catalogue.change("demo", "words", lambda found: msgspec.structs.replace(found, moving=moving))
    regions.hear()
    far = regions.begin(FAR)
    assert code_of(lambda: far.write("demo", "words", upsert(("x", (0, 0))))) == "written_elsewhere"
    assert far.catalogue.find("demo", "words") == before


def test_a_deletion_elsewhere_that_gives_way_to_a_change_at_home_has_taken_nothing(
    regions: Regions, home: VectorStore
) -> None:
    regions.copy(lambda _: True)
    before = dict(regions.buckets[FAR].objects)
    regions.begin(FAR).delete("demo", "words")
    home.update("demo", "words", CollectionPatch(index=IndexPatch(ef_search=99)))
    regions.hear()
    assert regions.buckets[FAR].objects == before, "what is removed in one region is removed in all"
    assert regions.begin(FAR).stats("demo", "words").rows == 4
    home.delete("demo", "words")
    assert not regions.buckets[HERE].objects
