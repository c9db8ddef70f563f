"""Collections of the engine ``dynamodb`` among those of the other one: made, named, listed, deleted, imported into."""

import json
import random
import re
import time
from typing import Any

import boto3
import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import changing, deletions
from anfl.vectors.dynamodb.build import engine_over
from anfl.vectors.dynamodb.capabilities import REFUSING
from anfl.vectors.dynamodb.classes import EngineClass
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import REMOVAL_DELAY, DeletionJob, EngineJob, RemovalJob
from anfl.vectors.dynamodb.removing import Remover
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.jobs import decode
from anfl.vectors.janitor import Janitor
from anfl.vectors.model import CollectionSettings, FieldType, IndexSettings, Metadata, Metric
from anfl.vectors.named import ORPHAN_SECONDS
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.operations import OPERATIONS, STREAMS
from anfl.vectors.reads import Cursor
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import (
    MAX_METADATA_BYTES,
    CollectionPatch,
    Count,
    DeleteRows,
    Deletion,
    Fetch,
    IndexPatch,
    NewRow,
    PatchRow,
    PatchRows,
    Scroll,
    Upsert,
)
from anfl.vectors.store import VectorStore
from tests.local.dynamodb_engine.faults import Faulty
from tests.unit.vectors.builders import storage
from tests.unit.vectors.importing import MOST, TABLE, MemoryQueue, Place

PHOTOS = CollectionSettings(
    name="photos", dimension=2, metric=Metric.L2, fields={"tag": FieldType.STRING}, engine="dynamodb"
)
ROWS = [NewRow(id=f"r{n:03}", values=[float(n), 1.0], metadata={"tag": "ab"[n % 2], "n": n}) for n in range(250)]
LARGE: Metadata = {"text": "x" * (MAX_METADATA_BYTES - len('{"text":""}'))}
"""As much metadata as a row may have."""
ODD = {"n": {"$in": list(range(1, 250, 2))}}


@pytest.fixture(name="store")
def _store(store_with_a_class: VectorStore) -> VectorStore:
    return store_with_a_class


def made(store: VectorStore, *, rows: int = len(ROWS), **changed: Any) -> None:
    store.create("demo", msgspec.structs.replace(PHOTOS, **changed))
    if rows:
        store.write("demo", "photos", Upsert(vectors=ROWS[:rows], atomic=False))


def refusal(call: Any, *given: Any) -> tuple[int, str, str | None]:
    with pytest.raises(Problem) as refused:
        call(*given)
    return refused.value.status, refused.value.code, refused.value.field


def attempt(number: int = 1) -> Attempt:
    clock = Clock(sleep=lambda _seconds: None)
    return Attempt(number=number, most=MOST, deadline=clock.monotonic() + 60, clock=clock)


def jobs(queue: MemoryQueue) -> list[EngineJob]:
    found = [decode(body) for body in queue.bodies]
    queue.bodies.clear()
    assert all(isinstance(job, DeletionJob | RemovalJob) for job in found)
    return found  # type: ignore[return-value]  # as was just asserted


def left(session: boto3.session.Session) -> int:
    count: int = session.client("dynamodb").scan(TableName="small", Select="COUNT")["Count"]
    return count


def test_a_collection_remembers_its_class_whatever_others_come_later(
    store: VectorStore, session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    made(store)
    assert store.describe("demo", "photos").engine_class == "small"
    client = session.client("dynamodb")
    classes = {
        EngineClass(name=name, dimension=2, metric=Metric.L2, strings=1, numbers=slots): name
        for name, slots in (("smaller", 0), ("small", 1))
    }
    engine = engine_over(client, classes, clock=Clock(), jobs=None)
    later = VectorStore(catalogue, storage(objects, clock=Clock()), distributed=engine)
    assert later.count("demo", "photos", Count()).count == len(ROWS)
    assert later.create("demo", PHOTOS)[1] is False
    assert later.create("demo", msgspec.structs.replace(PHOTOS, name="new"))[0].engine_class == "smaller"
    later.close()


def test_where_its_class_is_not_there_a_collection_cannot_be_reached_and_is_not_forgotten(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    made(store, rows=1)
    elsewhere = VectorStore(catalogue, storage(objects, clock=Clock()))
    assert refusal(elsewhere.count, "demo", "photos", Count()) == (503, "storage_unavailable", None)
    assert refusal(elsewhere.delete, "demo", "photos") == (503, "storage_unavailable", None)
    assert elsewhere.describe("demo", "photos").engine_class == "small"
    assert refusal(elsewhere.create, "demo", msgspec.structs.replace(PHOTOS, name="more")) == (
        400,
        "no_engine_class",
        "engine",
    )
    elsewhere.close()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"index": IndexSettings(m=32)}, (400, "not_supported_by_engine", "index")),
        ({"fields": {"tags": FieldType.STRINGS}}, (400, "not_supported_by_engine", "fields.tags")),
        ({"dimension": 3}, (400, "no_engine_class", "engine")),
        ({"fields": {"a": FieldType.STRING, "b": FieldType.STRING}}, (400, "no_engine_class", "engine")),
        ({"engine": "faiss"}, (400, "invalid_request", "engine")),
    ],
)
def test_what_no_class_has_is_refused_and_nothing_is_made(
    store: VectorStore, changed: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert refusal(store.create, "demo", msgspec.structs.replace(PHOTOS, **changed)) == expected
    assert store.collections("demo") == ([], False)


def test_it_is_never_sealed_and_the_others_are(session: boto3.session.Session) -> None:
    catalogue = Catalogue(session.resource("dynamodb").Table(TABLE), seals=True)
    assert not catalogue.create("demo", PHOTOS, engine_class="small")[0].sealed
    assert catalogue.create("demo", msgspec.structs.replace(PHOTOS, name="words", engine="hnsw"))[0].sealed


def test_no_log_is_ever_opened_for_it(
    store: VectorStore, catalogue: Catalogue, objects: S3ObjectStore, queue: MemoryQueue
) -> None:
    made(store, rows=20)
    store.set_alias("demo", "live", "photos")
    assert store.fetch("demo", "live", Fetch(ids=["r001"])).vectors[0].metadata == {"tag": "b", "n": 1}
    assert store.stats("demo", "live").rows == store.count("demo", "live", Count()).count == 20
    assert len(store.scroll("demo", "live", Scroll(limit=7)).vectors) == 7
    assert store.warm("demo", "live")
    assert store.at_once("demo", "live", Fetch(ids=["r001"])) is None
    store.hnsw.upkeep.once()
    Janitor(store.storage, catalogue).sweep(now=Clock().wall() + 2 * ORPHAN_SECONDS)
    assert store.count("demo", "live", Count()).count == 20
    assert store.hnsw.opened.loaded() == []
    store.delete("demo", "photos")
    assert list(objects.list("")) == []
    assert refusal(store.count, "demo", "live", Count()) == (404, "collection_not_found", None)
    assert [type(job) for job in jobs(queue)] == [RemovalJob]


def test_a_removal_under_another_name_takes_no_row_of_a_collection_that_is_there(
    store: VectorStore, catalogue: Catalogue, engine: DynamoDbEngine
) -> None:
    """Whoever may send messages names what has gone, and the incarnation of what has not."""
    made(store, rows=20)
    settings = msgspec.structs.replace(PHOTOS, name="gone")
    forged = RemovalJob(collection=msgspec.structs.replace(catalogue.get("demo", "photos"), settings=settings))
    remover = Remover(catalogue, engine)
    with pytest.raises(Problem, match="still there"):
        remover.carry_out(forged, attempt())
    remover.carry_out(forged, attempt(MOST))
    assert store.count("demo", "photos", Count()).count == 20


def test_settings_stay_as_they_are(store: VectorStore) -> None:
    made(store, rows=1)
    same = CollectionPatch(fields=PHOTOS.fields)
    assert store.update("demo", "photos", same).settings == PHOTOS
    for patch, field in (
        (CollectionPatch(fields={}), "fields"),
        (CollectionPatch(fields={"n": FieldType.NUMBER}), "fields"),
        (CollectionPatch(index=IndexPatch(ef_search=10)), "index"),
    ):
        assert refusal(store.update, "demo", "photos", patch) == (400, "not_supported_by_engine", field)
    assert store.describe("demo", "photos").settings == PHOTOS


def test_what_does_not_go_together_is_refused_unless_it_may_go_in_parts(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "WRITE_SECONDS", 600.0)  # whatever else this machine does
    made(store, rows=0)
    ids = [row.id for row in ROWS]
    patches = [PatchRow(id=row_id, metadata={"n": 0}) for row_id in ids]
    changes = (Upsert(vectors=ROWS), PatchRows(vectors=patches), DeleteRows(ids=ids))
    for change, field in zip(changes, ("vectors", "vectors", "ids"), strict=True):
        assert refusal(store.write, "demo", "photos", change) == (413, "batch_not_atomic", field)
    hundred = Upsert(vectors=ROWS[:100])
    assert store.write("demo", "photos", hundred).upserted == 100
    named = msgspec.structs.replace(hundred, request_id="r")
    assert refusal(store.write, "demo", "photos", named) == (413, "batch_not_atomic", "vectors")
    parts = msgspec.structs.replace(changes[0], atomic=False, request_id="r")
    for _ in range(2):  # the second time, nothing is done
        assert store.write("demo", "photos", parts).upserted == len(ROWS)
        store.write("demo", "photos", DeleteRows(ids=["r000", "r249"]))
    assert store.count("demo", "photos", Count()).count == len(ROWS) - 2
    assert store.write("demo", "photos", PatchRows(vectors=patches, atomic=False)).patched == len(ROWS) - 2
    assert store.write("demo", "photos", DeleteRows(ids=ids, atomic=False)).deleted == len(ROWS) - 2


def test_what_a_patch_makes_of_rows_has_to_go_together_as_well(store: VectorStore) -> None:
    made(store, rows=0)
    large = [NewRow(id=f"r{n:02}", values=[1.0, 1.0], metadata={"text": "x" * 40_000}) for n in range(99)]
    assert store.write("demo", "photos", Upsert(vectors=large, atomic=False)).upserted == 99
    patch = PatchRows(vectors=[PatchRow(id=row.id, metadata={"n": 1}) for row in large])
    assert refusal(store.write, "demo", "photos", patch) == (413, "batch_not_atomic", "vectors")
    assert store.count("demo", "photos", Count(filter={"n": 1})).count == 0
    assert store.write("demo", "photos", msgspec.structs.replace(patch, atomic=False)).patched == 99
    assert store.count("demo", "photos", Count(filter={"n": 1})).count == 99


def test_a_patch_that_may_go_in_parts_does_whatever_it_makes_of_rows(store: VectorStore) -> None:
    """Numbers of three characters take nine bytes here."""
    made(store, rows=0)
    large = [NewRow(id=f"r{n:02}", values=[1.0, 1.0], metadata={"list": [0.5] * 10_000}) for n in range(60)]
    assert store.write("demo", "photos", Upsert(vectors=large, atomic=False)).upserted == 60
    patches = [PatchRow(id=row.id, metadata={"n": 1}) for row in large]
    assert store.write("demo", "photos", PatchRows(vectors=patches, atomic=False)).patched == 60


def test_what_there_is_no_time_for_is_not_begun_and_nobody_is_blamed(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store, rows=0)
    monkeypatch.setattr(changing, "WRITE_SECONDS", -1.0)
    with pytest.raises(Problem) as refused:
        store.write("demo", "photos", Upsert(vectors=ROWS[:1]))
    assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
    assert refused.value.detail == "The table of the collection is slow, and there was no time left; try again."
    assert store.count("demo", "photos", Count()).count == 0


@pytest.mark.parametrize("row_number", [7, 99, 150, 249])
@pytest.mark.parametrize("request_id", [None, "r"])
def test_what_is_wrong_with_a_row_of_a_part_names_its_place_in_the_whole(
    store: VectorStore, row_number: int, request_id: str | None
) -> None:
    made(store)
    rows = [msgspec.structs.replace(row, if_version=1 if n == row_number else None) for n, row in enumerate(ROWS)]
    patches = [PatchRow(id=row.id, metadata={"x": 1}, if_version=row.if_version) for row in rows]
    expected = (409, "version_conflict", f"vectors[{row_number}].if_version")
    for change in (Upsert(vectors=rows, atomic=False), PatchRows(vectors=patches, atomic=False)):
        named = msgspec.structs.replace(change, request_id=request_id and f"{request_id} {type(change).__name__}")
        assert refusal(store.write, "demo", "photos", named) == expected
    store.write("demo", "photos", Upsert(vectors=[NewRow(id=ROWS[row_number].id, values=[1.0, 1.0], metadata=LARGE)]))
    larger = [PatchRow(id=row.id, metadata={"x": "x" * 10 if n == row_number else 1}) for n, row in enumerate(ROWS)]
    refused = refusal(store.write, "demo", "photos", PatchRows(vectors=larger, atomic=False))
    assert refused == (413, "too_large", f"vectors[{row_number}].metadata")


def test_an_id_that_stands_in_a_deletion_several_times_is_one_row(store: VectorStore) -> None:
    made(store, rows=150)
    ids = [row.id for row in ROWS[:99]]
    assert store.write("demo", "photos", DeleteRows(ids=ids + ids, request_id="r")).deleted == 99
    assert store.write("demo", "photos", DeleteRows(ids=["r100"] * 1_000)).deleted == 1


def test_an_expiry_that_dynamodb_has_no_number_for_is_long_ago(store: VectorStore) -> None:
    made(store, rows=0)
    rows = [NewRow(id=str(n), values=[1.0, 1.0], expires_at=n) for n in (5e-324, 1e-200, 0.0)]
    assert store.write("demo", "photos", Upsert(vectors=rows)).upserted == 3
    assert store.count("demo", "photos", Count()).count == 0


def test_nobody_changes_a_row_that_has_expired(store: VectorStore) -> None:
    """DynamoDB removes it some days later."""
    made(store, rows=0)
    soon = time.time() + 2.0
    row = NewRow(id="a", values=[1.0, 1.0], expires_at=soon)
    store.write("demo", "photos", Upsert(vectors=[row]))
    (there,) = store.fetch("demo", "photos", Fetch(ids=["a"])).vectors
    time.sleep(max(0.0, soon - time.time()))
    known = msgspec.structs.replace(row, if_version=there.version, expires_at=None)
    conflict = (409, "version_conflict", "vectors[0].if_version")
    assert refusal(store.write, "demo", "photos", Upsert(vectors=[known])) == conflict
    patch = PatchRow(id="a", metadata={"n": 1})
    assert store.write("demo", "photos", PatchRows(vectors=[patch])).patched == 0
    demanding = msgspec.structs.replace(patch, if_version=there.version)
    assert refusal(store.write, "demo", "photos", PatchRows(vectors=[demanding])) == conflict
    assert store.write("demo", "photos", DeleteRows(ids=["a"])).deleted == 0
    new = msgspec.structs.replace(known, if_version=0)
    assert store.write("demo", "photos", Upsert(vectors=[new])).upserted == 1


def test_a_wrong_row_of_a_later_part_leaves_nothing_done(store: VectorStore) -> None:
    made(store, rows=0)
    wrong = Upsert(vectors=[*ROWS, NewRow(id="x", values=[1.0])], atomic=False)
    assert refusal(store.write, "demo", "photos", wrong) == (400, "invalid_request", "vectors[250].values")
    assert store.count("demo", "photos", Count()).count == 0


def test_a_position_of_what_an_alias_stood_for_before_is_lost(store: VectorStore) -> None:
    made(store, rows=1)
    position = store.stats("demo", "photos").sequence
    assert store.count("demo", "photos", Count(min_sequence=position)).count == 1
    assert refusal(store.count, "demo", "photos", Count(min_sequence="5.7")) == (409, "history_lost", None)
    assert refusal(store.count, "demo", "photos", Count(min_sequence="x")) == (400, "invalid_request", "min_sequence")
    store.create("demo", CollectionSettings(name="words", dimension=2))
    assert refusal(store.count, "demo", "words", Count(min_sequence=position)) == (409, "history_lost", None)


def test_numbers_that_dynamodb_has_not_are_refused_where_they_are_declared(store: VectorStore) -> None:
    made(store, rows=0, fields={"n": FieldType.NUMBER})
    for number in (1e126, -1e300, 1e-200):
        row = NewRow(id="a", values=[1.0, 1.0], metadata={"n": number})
        refused = refusal(store.write, "demo", "photos", Upsert(vectors=[ROWS[0], row]))
        assert refused == (400, "not_supported_by_engine", "vectors[1].metadata.n")
        free = NewRow(id="b", values=[1.0, 1.0], metadata={"n": 0, "m": number})
        store.write("demo", "photos", Upsert(vectors=[free]))
        assert store.fetch("demo", "photos", Fetch(ids=["b"])).vectors[0].metadata == {"n": 0, "m": number}


@pytest.mark.parametrize("number", [10**38, 10**200 + 1], ids=["39 digits", "201 digits"])
def test_a_version_that_no_row_has_is_demanded_by_a_number_that_dynamodb_has(
    store: VectorStore, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has those of 38 digits."""
    made(store, rows=1)
    transact, sent = Table.transact, []

    def noted(table: Table, writes: Any) -> None:
        sent.append(writes)
        transact(table, writes)

    monkeypatch.setattr(Table, "transact", noted)
    row = msgspec.structs.replace(ROWS[0], if_version=number)
    refused = refusal(store.write, "demo", "photos", Upsert(vectors=[row]))
    assert refused == (409, "version_conflict", "vectors[0].if_version")
    assert sent
    assert max(map(len, re.findall(r"[0-9]+", str(sent)))) <= 38


def test_deleting_by_filter_is_a_job_that_can_be_looked_at(
    store: VectorStore, catalogue: Catalogue, engine: DynamoDbEngine, queue: MemoryQueue
) -> None:
    made(store)
    begun = store.delete_rows("demo", "photos", DeleteRows(filter=ODD, request_id="r"))
    assert isinstance(begun, Deletion)
    assert (begun.state, begun.deleted) == ("RUNNING", 0)
    assert store.delete_rows("demo", "photos", DeleteRows(filter=ODD, request_id="r")) == begun
    other = DeleteRows(filter={"n": 1}, request_id="r")
    assert refusal(store.delete_rows, "demo", "photos", other) == (409, "request_id_reused", None)
    assert store.count("demo", "photos", Count()).count == len(ROWS)
    for job in jobs(queue):
        Remover(catalogue, engine).carry_out(job, attempt())
    done = store.deletion("demo", "photos", begun.id)
    assert (done.state, done.deleted) == ("DONE", 125)
    assert store.count("demo", "photos", Count()).count == 125
    assert store.count("demo", "photos", Count(filter=ODD)).count == 0
    store.delete_rows("demo", "photos", DeleteRows(filter=ODD, request_id="r"))
    assert jobs(queue) == []
    assert refusal(store.deletion, "demo", "photos", "0" * 32) == (404, "deletion_not_found", None)


def test_what_is_wrong_with_a_deletion_is_told_at_once(store: VectorStore, queue: MemoryQueue) -> None:
    made(store, rows=1)
    for filter_, expected in (
        ({"$x": 1}, (400, "invalid_request", "filter.$x")),
        ({}, (400, "invalid_request", "filter")),
        ({"tag": {"$in": ["x" * 1000] * 300}}, (413, "too_large", "filter")),
        ({"n": {"$in": [0.5] * 50_000}}, (413, "too_large", "filter")),  # as it is stored, nine bytes each
    ):
        assert refusal(store.delete_rows, "demo", "photos", DeleteRows(filter=filter_)) == expected
    assert jobs(queue) == []


def test_a_deletion_survives_being_killed_again_and_again_and_counts_each_row_once(
    store: VectorStore, session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are at it, killed now and then, while DynamoDB throttles and loses answers, and rows change."""
    monkeypatch.setattr(deletions, "MOST_LOOKED_AT", 40)
    made(store)
    small = EngineClass(name="small", dimension=2, metric=Metric.L2, strings=1, numbers=1)
    client = session.client("dynamodb")
    begun = store.delete_rows("demo", "photos", DeleteRows(filter=ODD))
    assert isinstance(begun, Deletion)
    collection = store.describe("demo", "photos")
    dice = random.Random(7)
    clock = Clock(sleep=lambda _seconds: None)
    faulty: Any = Faulty(client, dice, 0.3)
    one, other = (engine_over(faulty, {small: "small"}, clock=clock, jobs=None) for _ in range(2))
    running = [one.deleted(collection, begun.id), other.deleted(collection, begun.id)]
    while running:
        which = dice.randrange(len(running))
        if dice.random() < 0.2:  # killed, and begun anew
            running[which] = one.deleted(collection, begun.id)
        if next(running[which], None) is None:
            running.pop(which)
        changed = ROWS[2 * dice.randrange(125)]  # a row that is to stay
        store.write("demo", "photos", Upsert(vectors=[changed]))
    done = store.deletion("demo", "photos", begun.id)
    assert (done.state, done.deleted) == ("DONE", 125)
    assert store.count("demo", "photos", Count()).count == 125
    assert faulty.failed > 3


def test_a_row_that_others_change_all_the_time_does_not_keep_a_deletion_from_its_end(
    store: VectorStore,
    catalogue: Catalogue,
    queue: MemoryQueue,
    engine: DynamoDbEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made(store)
    begun = store.delete_rows("demo", "photos", DeleteRows(filter=ODD))
    assert isinstance(begun, Deletion)
    transact, busy = Table.transact, {"r001": 10**6, "r249": 3}

    def overtaken(table: Table, writes: Any) -> None:
        for row_id in {each["Delete"]["Key"]["sk"]["S"] for each in writes if "Delete" in each} & busy.keys():
            if busy[row_id]:
                busy[row_id] -= 1
                store.write("demo", "photos", PatchRows(vectors=[PatchRow(id=row_id, metadata={"left": busy[row_id]})]))
        transact(table, writes)

    monkeypatch.setattr(Table, "transact", overtaken)
    (job,) = jobs(queue)
    Remover(catalogue, engine).carry_out(job, attempt())
    done = store.deletion("demo", "photos", begun.id)
    assert (done.state, done.deleted) == ("DONE", 124)
    left = store.scroll("demo", "photos", Scroll(filter=ODD)).vectors
    assert [row.id for row in left] == ["r001"]  # the other one was looked at again


def test_a_deletion_that_fails_says_why_and_goes_on_when_it_is_asked_for_again(
    store: VectorStore,
    catalogue: Catalogue,
    queue: MemoryQueue,
    engine: DynamoDbEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made(store, rows=50)
    request = DeleteRows(filter=ODD, request_id="r")
    begun = store.delete_rows("demo", "photos", request)
    assert isinstance(begun, Deletion)
    (job,) = jobs(queue)

    def broken(*_: Any) -> Any:
        raise Problem(503, "storage_unavailable", "It does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(deletions.Deletions, "run", broken)
        for number in range(1, MOST + 1):
            assert store.deletion("demo", "photos", begun.id).state == "RUNNING"
            assert refusal(Remover(catalogue, engine).carry_out, job, attempt(number))[0] == 503
    failed = store.deletion("demo", "photos", begun.id)
    assert (failed.state, failed.reason) == ("FAILED", "It does not answer.")
    store.delete_rows("demo", "photos", request)
    (again,) = jobs(queue)
    Remover(catalogue, engine).carry_out(again, attempt())
    assert store.deletion("demo", "photos", begun.id).state == "DONE"


def test_a_deletion_that_is_forgotten_when_it_is_given_up_is_over(
    store: VectorStore,
    catalogue: Catalogue,
    queue: MemoryQueue,
    engine: DynamoDbEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What carries it out may sleep for longer than it is kept, and find that the collection has moved meanwhile."""
    made(store, rows=4)
    monkeypatch.setattr(deletions, "KEPT_SECONDS", -1)
    store.delete_rows("demo", "photos", DeleteRows(filter=ODD))
    (job,) = jobs(queue)

    def moved(*_: Any) -> Any:
        raise Problem(409, Refusal.COLLECTION_MOVED, "It was moved.")

    monkeypatch.setattr(deletions.Deletions, "run", moved)
    Remover(catalogue, engine).carry_out(job, attempt())


def test_a_deletion_ends_with_its_collection(
    store: VectorStore, catalogue: Catalogue, queue: MemoryQueue, engine: DynamoDbEngine
) -> None:
    made(store, rows=4)
    store.delete_rows("demo", "photos", DeleteRows(filter=ODD))
    store.delete("demo", "photos")
    made(store, rows=4)
    for job in jobs(queue):
        Remover(catalogue, engine).carry_out(job, attempt())
    assert store.count("demo", "photos", Count()).count == 4


def test_rows_of_a_deleted_collection_go_after_it(
    store: VectorStore,
    catalogue: Catalogue,
    session: boto3.session.Session,
    queue: MemoryQueue,
    engine: DynamoDbEngine,
) -> None:
    made(store)
    store.write("demo", "photos", DeleteRows(ids=["r001"], request_id="r"))
    store.delete("demo", "photos")
    assert queue.delays == [REMOVAL_DELAY]
    assert left(session) == 250  # 249 rows, and a request id
    (job,) = jobs(queue)
    for _ in range(2):
        Remover(catalogue, engine).carry_out(job, attempt())
    assert left(session) == 0


def test_a_deletion_that_the_catalogue_never_heard_of_removes_nothing(
    store: VectorStore,
    catalogue: Catalogue,
    queue: MemoryQueue,
    engine: DynamoDbEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made(store, rows=5)
    with monkeypatch.context() as patched:
        patched.setattr(catalogue, "delete", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.delete("demo", "photos")
    (job,) = jobs(queue)
    remover = Remover(catalogue, engine)
    assert refusal(remover.carry_out, job, attempt(1)) == (503, "storage_unavailable", None)
    remover.carry_out(job, attempt(MOST))
    assert store.count("demo", "photos", Count()).count == 5


def test_where_no_job_can_be_left_to_anybody(
    session: boto3.session.Session, catalogue: Catalogue, objects: S3ObjectStore, store: VectorStore
) -> None:
    """As in the function: what is deleted goes at once, and what would take long is refused."""
    made(store, rows=5)
    small = EngineClass(name="small", dimension=2, metric=Metric.L2, strings=1, numbers=1)
    engine = engine_over(session.client("dynamodb"), {small: "small"}, clock=Clock(), jobs=None)
    direct = VectorStore(catalogue, storage(objects, clock=Clock()), distributed=engine)
    refused = refusal(direct.delete_rows, "demo", "photos", DeleteRows(filter=ODD))
    assert refused == (400, "not_supported_by_engine", "filter")
    direct.delete("demo", "photos")
    assert left(session) == 0
    direct.close()


def test_an_import_stores_each_row_once(
    session: boto3.session.Session, catalogue: Catalogue, store: VectorStore
) -> None:
    place = Place(session, catalogue, store, function_bytes=0)
    store.create("demo", msgspec.structs.replace(PHOTOS, name="words"))
    lines = [json.dumps({"id": row.id, "values": row.values, "metadata": row.metadata}) for row in ROWS]
    wrong = [
        json.dumps({"id": "short", "values": [1]}),
        json.dumps({"id": "typed", "values": [1, 1], "metadata": {"tag": 1}}),
    ]
    import_id = place.started(jsonl="\n".join([*lines, *wrong]).encode())
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    chunk = place.function.take()
    assert chunk is not None, "chunks of what no node has in memory go to the function"
    place.carry_out(chunk)
    place.carry_out(chunk)
    shown = place.show(import_id)
    assert (shown.state, shown.stored, shown.refused) == ("DONE", 250, 2)
    assert store.count("demo", "words", Count()).count == 250
    assert store.fetch("demo", "words", Fetch(ids=["r007"])).vectors[0].values == [7.0, 1.0]


def test_of_an_import_rows_that_it_cannot_hold_are_named_and_the_others_stored(
    session: boto3.session.Session, catalogue: Catalogue, store: VectorStore
) -> None:
    place = Place(session, catalogue, store, function_bytes=0)
    store.create("demo", msgspec.structs.replace(PHOTOS, name="words", fields={"n": FieldType.NUMBER}))
    numbers = [1.0, 1e200, 2.0, -1e-150]
    lines = [{"id": f"r{n}", "values": [1, 1], "metadata": {"n": number}} for n, number in enumerate(numbers)]
    import_id = place.started(jsonl="\n".join(map(json.dumps, lines)).encode())
    for queue in (place.service, place.function):
        job = queue.take()
        assert job is not None
        place.carry_out(job)
    shown = place.show(import_id)
    assert (shown.state, shown.stored, shown.refused) == ("DONE", 2, 2)
    assert [(error.row, error.field) for error in shown.errors] == [(1, "metadata.n"), (3, "metadata.n")]


def test_each_operation_lists_the_refusal_that_its_engine_makes() -> None:
    listing = {call.name for call in (*OPERATIONS, *STREAMS) if Refusal.NOT_SUPPORTED_BY_ENGINE in call.refusals}
    assert listing == REFUSING


def test_what_no_row_can_be_called_is_not_asked_for(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB refuses longer keys: a reader's mistake would be an error of the store's, as often as it is made."""
    made(store, rows=2)
    asked: list[str] = []
    read = Table.get

    def get(table: Table, keys: Any) -> Any:
        asked.extend(key["sk"]["S"] for key in keys)
        return read(table, keys)

    monkeypatch.setattr(Table, "get", get)
    found = store.fetch("demo", "photos", Fetch(ids=["r000", "\N{SNOWMAN}" * 512]))
    assert ([row.id for row in found.vectors], asked) == (["r000"], ["r000"])
    cursor = Cursor(store.describe("demo", "photos").incarnation, "1.1", "\N{SNOWMAN}" * 512)
    assert refusal(store.scroll, "demo", "photos", Scroll(cursor=str(cursor)))[::2] == (400, "cursor")
