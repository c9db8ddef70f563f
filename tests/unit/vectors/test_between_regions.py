"""What two regions make of one collection while each hears of the other late, and in any order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import CollectionSettings, FieldType, Metric
from anfl.vectors.node import NodeFolder
from anfl.vectors.requests import CollectionPatch, Fetch, IndexPatch
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.simulation.replicas import join
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import Weather, World
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.simulated import SimulatedStore

HERE, FAR = "us-west-1", "eu-west-1"
SETTINGS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


class Regions:
    """Two of them. What is written to one's table or bucket arrives in the other one when told to."""

    def __init__(self, folder: Path) -> None:
        self._world = World(0, Weather())
        self._folder = folder
        self._begun = 0
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
            threads=False,
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
    regions.copy(lambda key: not key.endswith("3"))
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
    objects.delete([key for key in objects.objects if key.endswith("3")])
    node = regions.begin(HERE)
    assert code_of(lambda: node.create_snapshot("demo", "words", "last")) == "log_gap"
    assert home.snapshots("demo", "words") == ([], False)


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
