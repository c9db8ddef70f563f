"""The log of a collection is written in one region, and elsewhere it is read as far as it was copied."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from anfl.problems import Problem, not_found
from anfl.vectors import parts as parts_module
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.declarations import patched
from anfl.vectors.janitor import Janitor
from anfl.vectors.manifests import LOG_SECONDS
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from anfl.vectors.named import COPY_SECONDS, ORPHAN_SECONDS
from anfl.vectors.requests import CollectionPatch, DeleteRows, Fetch, Query
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import collection, upsert
from tests.unit.vectors.builders import node as node_folder
from tests.unit.vectors.moves import Nodes
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

HERE, FAR = "us-west-1", "eu-west-1"
SETTINGS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


@pytest.fixture(name="nodes")
def _nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path)


@pytest.fixture(name="node")
def _node(nodes: Nodes) -> VectorStore:
    store = nodes.begin()
    store.create("demo", SETTINGS)
    store.write("demo", "words", upsert(("a", (0, 1)), ("b", (1, 1))))
    return store


def refusal(call: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value


def test_a_write_elsewhere_is_refused_and_says_where_it_belongs(nodes: Nodes, node: VectorStore) -> None:
    nodes.catalogue.region = FAR
    for change in (upsert(("c", (1, 0))), DeleteRows(ids=["a"])):
        problem = refusal(partial(node.write, "demo", "words", change))
        assert (problem.status, problem.code, HERE in problem.detail) == (409, "written_elsewhere", True)
    nodes.catalogue.region = HERE
    found = node.fetch("demo", "words", Fetch(ids=["a", "b", "c"]))
    assert [row.id for row in found.vectors] == ["a", "b"]


def test_elsewhere_it_is_read_and_no_strong_answer_is_promised(nodes: Nodes, node: VectorStore) -> None:
    nodes.catalogue.region = FAR
    assert len(node.query("demo", "words", Query(vector=[0.0, 1.0], k=2)).matches) == 2  # type: ignore[union-attr]
    strong = Query(vector=[0.0, 1.0], k=2, consistency="strong")
    assert refusal(partial(node.query, "demo", "words", strong)).code == "written_elsewhere"


def test_where_the_home_is_lost_a_snapshot_of_what_was_copied_becomes_a_collection_of_the_region(
    nodes: Nodes, node: VectorStore
) -> None:
    node.set_alias("demo", "w", "words")
    nodes.catalogue.region = FAR
    node.create_snapshot("demo", "words", "last")
    made = node.restore("demo", "words", "last", "words-2")
    assert made.home == FAR
    node.set_alias("demo", "w", "words-2")
    node.write("demo", "w", upsert(("c", (1, 0))))
    assert [row.id for row in node.fetch("demo", "w", Fetch(ids=["a", "b", "c"])).vectors] == ["a", "b", "c"]


def test_a_collection_from_before_homes_were_noted_is_written_anywhere(nodes: Nodes, node: VectorStore) -> None:
    node.catalogue.change("demo", "words", lambda before: msgspec.structs.replace(before, home=None))
    nodes.catalogue.region = FAR
    node.write("demo", "words", upsert(("c", (1, 0))))


def test_fields_that_are_being_built_take_no_place_in_a_log_elsewhere(nodes: Nodes, node: VectorStore) -> None:
    patch = CollectionPatch(fields={"n": FieldType.NUMBER})
    node.catalogue.change("demo", "words", lambda before: patched(before, patch))
    before = node.describe("demo", "words")
    nodes.catalogue.region = FAR
    elsewhere = nodes.begin()
    elsewhere.query("demo", "words", Query(vector=[0.0, 1.0], k=2))
    elsewhere.hnsw.upkeep.once()
    assert elsewhere.describe("demo", "words") == before
    assert elsewhere.position("demo", "words") == node.position("demo", "words")
    nodes.catalogue.region = HERE
    node.hnsw.upkeep.once()
    assert node.describe("demo", "words").settings.fields == {"n": FieldType.NUMBER}


@pytest.fixture(name="time")
def _time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture(name="objects")
def _objects(time: SimulatedTime) -> SimulatedStore:
    return SimulatedStore(now=lambda: time.seconds)


def region(objects: SimulatedStore, time: SimulatedTime, here: str) -> Storage:
    return Storage(objects=objects, here=here, node=node_folder(), clock=time.clock(), threads=False)


def kept_for_long(objects: SimulatedStore, time: SimulatedTime) -> Collection:
    """A collection of `HERE` with snapshots, and with objects that nobody needs any more."""
    home = region(objects, time, HERE)
    words = msgspec.structs.replace(collection(), home=HERE)
    builder = Builder(home, policy=SnapshotPolicy(batches=1))
    for n in range(4):
        replica = home.replica(words)
        replica.load()
        Writer(replica).write(upsert((f"r{n}", (1.0, float(n)))))
        builder.build(words)
    time.advance(LOG_SECONDS + 3600.0)
    return words


def test_a_builder_elsewhere_makes_images_of_its_node_and_touches_no_object(
    objects: SimulatedStore, time: SimulatedTime
) -> None:
    words = kept_for_long(objects, time)
    before = dict(objects.objects)
    far = region(objects, time, FAR)
    Builder(far, policy=SnapshotPolicy(batches=0, seconds=0.0)).build(words)
    assert far.node.of(words).newest() is not None
    assert objects.objects == before


def test_elsewhere_nothing_is_brought_of_a_snapshot_that_has_not_come_whole(
    objects: SimulatedStore, time: SimulatedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks again meanwhile would bring it again."""
    monkeypatch.setattr(parts_module, "PART_BYTES", 64)
    words = kept_for_long(objects, time)
    newest, older, *_ = region(objects, time, HERE).snapshots(words).manifests.newest_first()
    manifests = region(objects, time, HERE).snapshots(words).manifests
    *others, last = manifests.read(newest.path).parts()
    prefix = f"{words.prefix}parts/"
    whole = objects.objects.pop(prefix + last)
    asked: list[str] = []
    get = objects.get

    def noted(key: str) -> bytes | None:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(objects, "get", noted)
    far = region(objects, time, FAR)

    far.replica(words).load()
    reused = manifests.read(older.path).parts()
    assert len(others) > 1
    assert not {prefix + name for name in others if name not in reused} & set(asked)

    objects.objects[prefix + last] = whole
    far.replica(words).load()
    assert {prefix + name for name in others} <= set(asked)


def test_a_janitor_elsewhere_removes_nothing_and_the_one_at_home_does(
    objects: SimulatedStore, time: SimulatedTime
) -> None:
    words = kept_for_long(objects, time)
    before = dict(objects.objects)

    class Known(Catalogue):
        def __init__(self) -> None: ...

        def find(self, tenant: str, name: str) -> Collection:  # noqa: ARG002 - there is one
            return words

    Janitor(region(objects, time, FAR), Known()).sweep(now=time.seconds)
    assert objects.objects == before
    Janitor(region(objects, time, HERE), Known()).sweep(now=time.seconds)
    assert objects.objects.keys() < before.keys()


def test_what_a_catalogue_that_is_behind_does_not_know_is_left_to_its_home(
    objects: SimulatedStore, time: SimulatedTime
) -> None:
    words = kept_for_long(objects, time)
    objects.copies = set(objects.objects)
    objects.put(f"{words.prefix}keys/00000001/1970-01-12", b"re-wrapped here")
    time.advance(ORPHAN_SECONDS)

    class Behind(Catalogue):
        def __init__(self) -> None: ...

        def find(self, tenant: str, name: str) -> Collection:  # noqa: ARG002 - there is none
            raise not_found("not yet", code="collection_not_found")

    far = Janitor(region(objects, time, FAR), Behind())
    assert far.sweep(now=time.seconds) == 0
    assert far.sweep(now=time.seconds + COPY_SECONDS) == 1, "what came after its deletion"
