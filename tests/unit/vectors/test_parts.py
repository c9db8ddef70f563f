"""Requests of the engine ``dynamodb`` that go in parts: each part once, for this very request, whatever ends it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

import boto3
import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import prepare
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.items import requests_of
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.moving.requests import Move
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.requests import Count, DeleteRows, Fetch, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.state import REQUEST_SECONDS
from anfl.vectors.store import VectorStore
from local.tables import create_table
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import MemoryQueue
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
    session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore, time: Time
) -> Iterator[VectorStore]:
    client = session.client("dynamodb")
    create_table(client, "small")
    classes = {EngineClass(name="small", dimension=2, metric=Metric.L2): "small"}
    engine = engine_over(client, classes, clock=time.clock(), jobs=MemoryQueue())
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


def test_two_of_which_neither_knows_of_the_other_do_not_mix(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes after it was looked whether the id is free."""
    other = msgspec.structs.replace(THREE, vectors=altered(2 * PART))
    transact, turn = Table.transact, [True]

    def overtaken(table: Table, writes: Sequence[Mapping[str, Any]]) -> None:
        if turn:
            turn.clear()
            written(store, other)
        transact(table, writes)

    monkeypatch.setattr(Table, "transact", overtaken)
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


def noted_by_an_earlier_release(
    store: VectorStore, session: boto3.session.Session, time: Time, parts: Sequence[int]
) -> None:
    """These parts of `THREE` are done; how a release before this one noted that."""
    collection: Collection = store.describe("demo", "photos")
    pieces = [
        msgspec.structs.replace(THREE, vectors=list(rows), request_id=f"r/{number}")
        for number, rows in enumerate(batched(THREE.vectors, PART))
    ]
    until = time.now + REQUEST_SECONDS
    for number in parts:
        written(store, Upsert(vectors=pieces[number].vectors))
        session.client("dynamodb").put_item(
            TableName="small",
            Item={
                "pk": {"S": requests_of(collection)},
                "sk": {"S": f"r/{number}"},
                "digest": {"B": prepare(pieces[number], collection).digest},
                "count": {"N": str(PART)},
                "expires_at": {"N": repr(until)},
                "expires": {"N": str(int(until) + 1)},
            },
        )


@pytest.mark.parametrize("parts", [[0], [1], [0, 2], [0, 1, 2]], ids=str)
def test_what_an_earlier_release_has_begun_goes_on(
    store: VectorStore, session: boto3.session.Session, time: Time, parts: list[int]
) -> None:
    """It carried parts out in any order."""
    noted_by_an_earlier_release(store, session, time, parts)
    store.write("demo", "live", DeleteRows(ids=[row.id for row in ROWS], atomic=False))
    for place in parts:
        other = msgspec.structs.replace(THREE, vectors=altered(place * PART))
        assert refusal(store, other) == (409, "request_id_reused")
    assert there(store) == 0
    assert written(store, THREE) == 3 * PART
    assert there(store) == (3 - len(parts)) * PART
    assert written(store, THREE) == 3 * PART
    assert there(store) == (3 - len(parts)) * PART


def test_nobody_is_told_after_a_move_that_it_is_done_while_only_parts_are(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(1, monkeypatch, lambda: written(store, THREE))
    move(store, "live", Move(engine="hnsw"))
    assert written(store, THREE) == there(store) == 3 * PART
    assert store.describe("demo", "live").settings == CollectionSettings(
        name="photos-hnsw", dimension=2, metric=Metric.L2, engine="hnsw"
    )
