"""Requests of the engine ``dynamodb`` that go in parts: each part once, for this very request, whatever ends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import boto3
import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.moving import steps
from anfl.vectors.moving.requests import Move
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.request_ids import REQUEST_SECONDS
from anfl.vectors.requests import Count, DeleteRows, Deletion, Fetch, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import MemoryQueue, carry_out_all
from tests.unit.vectors.moves import move
from tests.unit.vectors.test_late_writes import PHOTOS, Time

PART = 98
"""Rows that go together, beside a request id and a check."""
ROWS = [NewRow(id=f"r{number:03}", values=[number, 1.0]) for number in range(5 * PART)]
THREE = Upsert(vectors=ROWS[: 3 * PART], request_id="r", atomic=False)


class Killed(BaseException):
    """So ends a process."""


@pytest.fixture(name="time")
def _time() -> Time:
    return Time()


@pytest.fixture(name="store")
def _store(
    session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore, time: Time, queue: MemoryQueue
) -> Iterator[VectorStore]:
    client = session.client("dynamodb")
    create_table(client, "small")
    classes = {EngineClass(name="small", dimension=2, metric=Metric.L2): "small"}
    engine = engine_over(client, classes, clock=time.clock(), jobs=queue)
    store = VectorStore(catalogue, storage(objects, clock=time.clock()), distributed=engine)
    store.create("demo", PHOTOS)
    store.set_alias("demo", "live", "photos")
    yield store
    store.close()


def written(store: VectorStore, change: Upsert) -> int | None:
    return store.write("demo", "live", change).upserted


def refusal(store: VectorStore, change: Any) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        store.write("demo", "live", change)
    return refused.value.status, refused.value.code


def there(store: VectorStore) -> int:
    return store.count("demo", "live", Count()).count


def altered(place: int) -> list[NewRow]:
    """`THREE`'s rows, of which one is another."""
    return [*ROWS[:place], NewRow(id=ROWS[place].id, values=[-1.0, 1.0]), *ROWS[place + 1 : 3 * PART]]


OTHERS: Mapping[str, Any] = {
    "longer by a part": ROWS[: 4 * PART],
    "longer by a row": ROWS[: 3 * PART + 1],
    "shorter by a part": ROWS[: 2 * PART],
    "shorter by a row": ROWS[: 3 * PART - 1],
    "no more than the first part": ROWS[:PART],
    "a single row": ROWS[:1],
    "altered at the beginning": altered(0),
    "altered at the end": altered(3 * PART - 1),
}


@pytest.mark.parametrize("rows", OTHERS.values(), ids=OTHERS)
def test_another_body_with_its_id_is_refused_and_nothing_of_it_is_done(store: VectorStore, rows: list[NewRow]) -> None:
    assert written(store, THREE) == len(THREE.vectors)
    store.write("demo", "live", DeleteRows(ids=[row.id for row in ROWS], atomic=False))
    for atomic in (False, True):
        other = msgspec.structs.replace(THREE, vectors=rows, atomic=atomic)
        assert refusal(store, other) == (409, "request_id_reused")
    assert there(store) == 0


@pytest.mark.parametrize(
    "other",
    [
        PatchRows(
            vectors=[PatchRow(id=row.id, metadata={"n": 1}) for row in THREE.vectors], request_id="r", atomic=False
        ),
        DeleteRows(ids=[row.id for row in THREE.vectors], request_id="r", atomic=False),
    ],
    ids=["patch", "deletion"],
)
def test_so_is_one_that_does_something_else_with_the_same_rows(store: VectorStore, other: Any) -> None:
    written(store, THREE)
    assert refusal(store, other) == (409, "request_id_reused")
    assert there(store) == len(THREE.vectors)
    assert store.count("demo", "live", Count(filter={"n": 1})).count == 0


def test_what_went_as_a_whole_is_not_taken_for_a_part(store: VectorStore) -> None:
    assert written(store, msgspec.structs.replace(THREE, vectors=ROWS[:PART])) == PART
    assert refusal(store, THREE) == (409, "request_id_reused")
    assert there(store) == PART


def test_the_same_body_again_is_carried_out_once(store: VectorStore) -> None:
    for _ in range(3):
        assert written(store, THREE) == len(THREE.vectors)
        store.write("demo", "live", DeleteRows(ids=["r000", "r150"]))
    assert there(store) == len(THREE.vectors) - 2


def killed_after(parts: int, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Carry out ``call``, of whose transactions so many take effect before the process is killed."""
    transact, left = Table.transact, list(range(parts))

    def few(table: Table, writes: Sequence[Mapping[str, Any]]) -> None:
        try:
            left.pop()
        except IndexError:
            raise Killed from None
        transact(table, writes)

    with monkeypatch.context() as patched:
        patched.setattr(Table, "transact", few)
        with pytest.raises(Killed):
            call()


@pytest.mark.parametrize("parts", [1, 2])
def test_after_a_crash_in_between_the_same_body_goes_on_and_no_other_does(
    store: VectorStore, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(parts, monkeypatch, lambda: written(store, THREE))
    assert there(store) == parts * PART
    store.write("demo", "live", DeleteRows(ids=["r000"]))
    for rows in OTHERS.values():
        assert refusal(store, msgspec.structs.replace(THREE, vectors=rows)) == (409, "request_id_reused")
    assert there(store) == parts * PART - 1
    assert written(store, THREE) == 3 * PART
    assert there(store) == 3 * PART - 1


def test_where_not_even_the_first_part_was_done_the_id_is_free(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(0, monkeypatch, lambda: written(store, THREE))
    other = msgspec.structs.replace(THREE, vectors=ROWS[: 4 * PART])
    assert written(store, other) == there(store) == 4 * PART
    assert refusal(store, THREE) == (409, "request_id_reused")


def overtaken_by(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next transaction takes effect, ``call`` is carried out."""
    transact, turn = Table.transact, [True]

    def overtaken(table: Table, writes: Sequence[Mapping[str, Any]]) -> None:
        if turn:
            turn.clear()
            call()
        transact(table, writes)

    monkeypatch.setattr(Table, "transact", overtaken)


def test_two_of_which_neither_knows_of_the_other_do_not_mix(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes after it was looked whether the id is free."""
    other = msgspec.structs.replace(THREE, vectors=altered(2 * PART))
    overtaken_by(lambda: written(store, other), monkeypatch)
    assert refusal(store, THREE) == (409, "request_id_reused")
    assert store.fetch("demo", "live", Fetch(ids=[ROWS[2 * PART].id])).vectors[0].values == [-1.0, 1.0]


def test_all_of_it_is_forgotten_at_once_24_hours_after_it_was_begun(
    store: VectorStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = msgspec.structs.replace(THREE, vectors=altered(2 * PART))
    killed_after(1, monkeypatch, lambda: written(store, THREE))
    time.sleep(REQUEST_SECONDS - 10)
    assert written(store, THREE) == 3 * PART
    time.sleep(9)
    assert refusal(store, other) == (409, "request_id_reused")
    time.sleep(2)
    assert written(store, other) == 3 * PART
    assert refusal(store, THREE) == (409, "request_id_reused")


ONE = Upsert(vectors=[NewRow(id="one", values=[1.0, 1.0])], request_id="r")
TURNS = {"the whole one comes in between": (THREE, ONE), "the one in parts comes in between": (ONE, THREE)}


@pytest.mark.parametrize(("late", "early"), TURNS.values(), ids=TURNS)
def test_of_one_as_a_whole_and_one_in_parts_at_the_same_moment_one_is_carried_out(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, late: Upsert, early: Upsert
) -> None:
    """The early one comes after the late one has looked whether the id is free."""
    overtaken_by(lambda: written(store, early), monkeypatch)
    assert refusal(store, late) == (409, "request_id_reused")
    assert there(store) == len(early.vectors)


def test_ids_that_look_like_those_of_parts_are_of_other_requests(store: VectorStore) -> None:
    whole = [msgspec.structs.replace(ONE, request_id=f"r/{number}") for number in range(3)]
    for each in whole[:2]:
        assert written(store, each) == 1
    assert written(store, THREE) == 3 * PART
    assert written(store, whole[2]) == 1
    assert written(store, msgspec.structs.replace(THREE, request_id="r/1/0")) == 3 * PART


def test_nobody_is_told_after_a_move_that_it_is_done_while_only_parts_are(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(1, monkeypatch, lambda: written(store, THREE))
    move(store, "live", Move(engine="hnsw"))
    assert written(store, THREE) == there(store) == 3 * PART
    assert store.describe("demo", "live").settings == CollectionSettings(
        name="photos-hnsw", dimension=2, metric=Metric.L2, engine="hnsw"
    )


def test_after_a_move_what_was_done_in_parts_is_not_done_again(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the other engine, and back."""
    monkeypatch.setattr(steps, "verify", lambda *_, **__: True)  # the AWS in memory has no vector index
    assert written(store, THREE) == 3 * PART
    patches = [PatchRow(id=row.id, metadata={"n": 1}) for row in ROWS]
    patch = PatchRows(vectors=patches, request_id="patch", atomic=False)
    deletion = DeleteRows(ids=[row.id for row in THREE.vectors[PART:]], request_id="deletion", atomic=False)
    store.write("demo", "live", patch)
    store.write("demo", "live", deletion)
    for engine in ("hnsw", "dynamodb"):
        move(store, "live", Move(engine=engine, to=f"photos-{engine}"))
        assert written(store, THREE) == 3 * PART
        assert store.write("demo", "live", patch).patched == 3 * PART
        assert store.write("demo", "live", deletion).deleted == 2 * PART
        assert there(store) == PART
        longer = msgspec.structs.replace(THREE, vectors=ROWS[: 4 * PART])
        assert refusal(store, longer) == (409, "request_id_reused")


def test_what_is_forgotten_is_not_known_again_after_a_move(store: VectorStore, time: Time) -> None:
    written(store, ONE)
    time.sleep(REQUEST_SECONDS + 1)
    move(store, "live", Move(engine="hnsw"))
    other = msgspec.structs.replace(ONE, vectors=ROWS[:2])
    assert written(store, other) == 2


def test_however_many_such_requests_there_are(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of them ends between two that are done, where some are not."""
    monkeypatch.setattr(steps, "FEW", 2)
    requests = [Upsert(vectors=ROWS[: PART + 1 + number], request_id=f"r{number}", atomic=False) for number in range(7)]
    for number, each in enumerate(requests):
        if number in (1, 2, 5):
            killed_after(1, monkeypatch, lambda each=each: written(store, each))
        else:
            written(store, each)
    written(store, ONE)
    move(store, "live", Move(engine="hnsw"))
    store.write("demo", "live", DeleteRows(ids=["r000"]))
    for number in (0, 3, 4, 6):
        assert written(store, requests[number]) == PART + 1 + number
    assert store.fetch("demo", "live", Fetch(ids=["r000"])).vectors == []
    assert written(store, requests[5]) == PART + 6
    assert len(store.fetch("demo", "live", Fetch(ids=["r000"])).vectors) == 1


def test_nor_is_a_deletion_by_filter_that_was_done(
    store: VectorStore, catalogue: Catalogue, queue: MemoryQueue
) -> None:
    rows = [NewRow(id=row.id, values=row.values, metadata={"n": place % 3}) for place, row in enumerate(ROWS[:300])]
    written(store, Upsert(vectors=rows, atomic=False))
    done, begun = (DeleteRows(filter={"n": n}, request_id=f"n{n}") for n in (1, 2))
    store.delete_rows("demo", "live", done)
    carry_out_all(queue, catalogue, store.distributed)
    store.delete_rows("demo", "live", begun)
    move(store, "live", Move(engine="hnsw"))
    carry_out_all(queue, catalogue, store.distributed)
    written(store, Upsert(vectors=rows[:3]))
    again = [store.delete_rows("demo", "live", each) for each in (done, begun, done)]
    assert [each.deleted for each in again] == [100, 100, 100]
    assert there(store) == 101


def test_a_deletion_by_filter_and_another_request_at_the_same_moment_do_not_have_one_id(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, queue: MemoryQueue
) -> None:
    written(store, Upsert(vectors=ROWS[:2]))
    deletion = DeleteRows(filter={"n": 1}, request_id="r")
    with monkeypatch.context() as patched:
        overtaken_by(lambda: store.delete_rows("demo", "live", deletion), patched)
        assert refusal(store, ONE) == (409, "request_id_reused")
    assert there(store) == 2
    other = DeleteRows(filter={"n": 2}, request_id="one")
    with monkeypatch.context() as patched:
        overtaken_by(lambda: written(store, msgspec.structs.replace(ONE, request_id="one")), patched)
        with pytest.raises(Problem) as refused:
            store.delete_rows("demo", "live", other)
    assert (refused.value.status, refused.value.code) == (409, "request_id_reused")
    assert len(queue.bodies) == 1


def test_a_deletion_that_takes_longer_than_its_id_is_known_gets_in_nobody_elses_way(
    store: VectorStore, time: Time, catalogue: Catalogue, queue: MemoryQueue
) -> None:
    rows = [NewRow(id=row.id, values=row.values, metadata={"n": 1}) for row in ROWS[:150]]
    written(store, Upsert(vectors=rows, atomic=False))
    deletion = DeleteRows(filter={"n": 1}, request_id="r")
    begun = store.delete_rows("demo", "live", deletion)
    time.sleep(REQUEST_SECONDS + 1)
    assert written(store, THREE) == 3 * PART
    written(store, Upsert(vectors=rows, atomic=False))
    carry_out_all(queue, catalogue, store.distributed)
    assert isinstance(begun, Deletion)
    done = store.deletion("demo", "live", begun.id)
    assert (done.state, done.deleted) == ("DONE", 150)
    assert written(store, THREE) == 3 * PART
    assert there(store) == 3 * PART - 150
