"""Writers of the engine ``dynamodb`` that are suspended between their look into the catalogue and what they send."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.deletions import MOST_DELETED
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.moving import copying, steps
from anfl.vectors.moving.access import PAUSE_SECONDS
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import DeleteRows, Deletion, Fetch, NewRow, PatchRow, PatchRows, Scroll, Upsert
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import MemoryQueue
from tests.unit.vectors.moves import move

PHOTOS = CollectionSettings(name="photos", dimension=2, metric=Metric.L2, engine="dynamodb")
HNSW = Move(engine="hnsw")
ROWS = [NewRow(id=f"r{number:03}", values=[number, 1.0]) for number in range(100)]
LONG = 20 * 3600.0
"""Request ids are known for longer."""


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)


@pytest.fixture(name="time")
def _time() -> Time:
    return Time()


@pytest.fixture(name="store")
def _store(
    session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore, time: Time
) -> Iterator[VectorStore]:
    """With ten rows of a collection that is called by an alias."""
    client = session.client("dynamodb")
    create_table(client, "small")
    classes = {EngineClass(name="small", dimension=2, metric=Metric.L2): "small"}
    engine = engine_over(client, classes, clock=time.clock(), jobs=MemoryQueue())
    store = VectorStore(catalogue, storage(objects, clock=time.clock()), distributed=engine)
    store.create("demo", PHOTOS)
    store.set_alias("demo", "live", "photos")
    store.write("demo", "live", Upsert(vectors=ROWS[:10]))
    yield store
    store.close()


@pytest.fixture(name="suspended")
def _suspended(store: VectorStore, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is about to send a transaction next sleeps for long, in which the collection is moved; so do all that
    are under way beside it."""
    transact = Table.transact
    asleep, turn = [True], threading.RLock()

    def late(table: Table, writes: Sequence[Mapping[str, Any]]) -> None:
        with turn:
            if asleep:
                asleep.clear()
                move(store, "live", HNSW)
                time.sleep(LONG)
            transact(table, writes)

    monkeypatch.setattr(Table, "transact", late)


@pytest.mark.usefixtures("suspended")
@pytest.mark.parametrize(
    "change",
    [
        Upsert(vectors=[NewRow(id="late", values=[1.0, 1.0])]),
        Upsert(vectors=[NewRow(id="late", values=[1.0, 1.0])], request_id="r"),
        Upsert(vectors=ROWS, atomic=False),
        PatchRows(vectors=[PatchRow(id="r001", metadata={"late": True})]),
        DeleteRows(ids=["r001"]),
    ],
    ids=["upsert", "with a request id", "in parts", "patch", "deletion"],
)
def test_what_they_send_is_refused_after_the_switch_however_late(store: VectorStore, change: Any) -> None:
    before = store.fetch("demo", "photos", Fetch(ids=["late", "r001", "r099"])).vectors
    with pytest.raises(Problem) as refused:
        store.write("demo", "live", change)
    assert (refused.value.status, refused.value.code) == (503, "writes_paused")
    assert store.fetch("demo", "photos", Fetch(ids=["late", "r001", "r099"])).vectors == before
    store.write("demo", "live", change)  # by now it leads to the new collection
    assert store.describe("demo", "live").settings.engine == "hnsw"


@pytest.mark.usefixtures("suspended")
@pytest.mark.parametrize(
    "change", [Upsert(vectors=ROWS), Upsert(vectors=ROWS[:99], request_id="r")], ids=["rows", "with a request id"]
)
def test_a_full_transaction_which_has_no_room_for_the_check_is_not_acknowledged(
    store: VectorStore, change: Upsert
) -> None:
    known = store.catalogue.find("demo", "photos")
    for _ in range(2):  # the second time, it finds what the first one has done, and knows no more than that
        with pytest.raises(Problem) as refused:
            store.distributed.write(known, change)
        assert (refused.value.status, refused.value.code) == (503, "writes_paused")
    assert store.write("demo", "live", change).upserted == len(change.vectors)
    assert len(store.fetch("demo", "live", Fetch(ids=[row.id for row in ROWS])).vectors) == len(change.vectors)


@pytest.mark.parametrize("request_id", [None, "r"])
@pytest.mark.parametrize("pages", [0, 2])
def test_of_one_that_comes_while_the_rest_is_copied_all_is_moved_or_nothing(
    store: VectorStore, request_id: str | None, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison of samples would mostly find it, and is not asked. :param pages: after which it comes."""
    monkeypatch.setattr(steps, "PAGE_ROWS", 30)
    monkeypatch.setattr(steps, "verify", lambda *_, **__: True)
    store.write("demo", "live", Upsert(vectors=ROWS[:97]))
    known = store.catalogue.find("demo", "photos")
    changed = [NewRow(id=row.id, values=[1.0, 2.0]) for row in ROWS[: 99 if request_id else 100]]
    late = Upsert(vectors=changed, request_id=request_id)
    move(store, "live", HNSW, until=Stage.PAUSED)
    page, seen = copying.Copier.page, list[str]()

    def paged(copier: copying.Copier, after: str, limit: int) -> copying.Looked:
        if len(seen) == pages:
            with pytest.raises(Problem, match="writes_paused"):
                store.distributed.write(known, late)
        seen.append(after)
        return page(copier, after, limit)

    monkeypatch.setattr(copying.Copier, "page", paged)
    move(store, "live", HNSW)
    moved = store.scroll("demo", "live", Scroll(limit=1_000, include=["values"])).vectors
    assert [row.values for row in moved] in ([row.values for row in ROWS[:97]], [row.values for row in changed])
    if request_id is not None:
        before = store.position("demo", "live")
        assert store.write("demo", "live", late).upserted == len(changed)
        assert (store.position("demo", "live") == before) is (len(moved) == len(changed))  # once


@pytest.mark.usefixtures("suspended")
def test_a_deletion_by_filter_is_not_begun_late(store: VectorStore) -> None:
    with pytest.raises(Problem) as refused:
        store.delete_rows("demo", "live", DeleteRows(filter={"n": 1}))
    assert refused.value.code == "writes_paused"


def test_nor_does_one_go_on_late(store: VectorStore, time: Time) -> None:
    rows = [NewRow(id=row.id, values=row.values, metadata={"n": 1}) for row in ROWS]
    store.write("demo", "live", Upsert(vectors=rows))
    known = store.catalogue.find("demo", "photos")
    begun = store.delete_rows("demo", "live", DeleteRows(filter={"n": 1}))
    assert isinstance(begun, Deletion)
    going = store.distributed.deleted(known, begun.id)
    assert next(going) == MOST_DELETED
    move(store, "live", HNSW)
    time.sleep(LONG)
    with pytest.raises(Problem) as refused:
        next(going)
    assert refused.value.code == "writes_paused"
    left = [row.id for row in rows[MOST_DELETED:]]
    assert [row.id for row in store.fetch("demo", "live", Fetch(ids=[row.id for row in rows])).vectors] == left


def test_a_pause_that_has_ended_lets_writers_go_on(
    store: VectorStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(store, "live", HNSW, until=Stage.PAUSED)
    with monkeypatch.context() as lagging:
        lagging.setattr(steps, "verify", lambda *_, **__: False)
        assert store.move("demo", "live", HNSW).stage is Stage.PAUSED  # the fence stands
    time.sleep(2 * PAUSE_SECONDS)
    assert store.write("demo", "live", Upsert(vectors=ROWS[10:12])).upserted == 2
    move(store, "live", HNSW)
    assert len(store.fetch("demo", "live", Fetch(ids=[row.id for row in ROWS])).vectors) == 12


def test_what_fills_a_collection_that_is_gone_is_refused_however_late(store: VectorStore) -> None:
    """Else its rows would stay for ever: the job that removes them is over."""
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.set_alias("demo", "w", "words")
    store.move("demo", "w", Move(engine="dynamodb"))
    target = store.catalogue.find("demo", "words-dynamodb")
    assert target.filling is not None
    some = Upsert(vectors=ROWS[:1])
    store.distributed.write(target, some, filling=target.filling.round)
    store.delete("demo", "words-dynamodb")
    with pytest.raises(Problem, match="move_busy"):
        store.distributed.write(target, some, filling=target.filling.round)
