"""What is known of an import: every chunk counts once, and the state follows from what was counted."""

import boto3
import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.model import (
    MAX_ERRORS,
    Chunk,
    ChunkOutcome,
    Cut,
    Failure,
    File,
    Format,
    Record,
    RowError,
    Span,
    State,
)
from anfl.vectors.imports.records import Records, new_id
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.test_store import WORDS, code_of


def chunk(number: int, *, import_id: str = "i") -> Chunk:
    span = Span(start=0, stop=1, first_row=0, rows=1)
    return Chunk(
        tenant="demo",
        import_id=import_id,
        number=number,
        collection="words",
        incarnation="0" * 32,
        format=Format.JSONL,
        span=span,
    )


def record(import_id: str = "i", *, collection: str = "words") -> Record:
    file = File(format=Format.JSONL, bytes=7, upload="u")
    return Record(
        tenant="demo", id=import_id, collection=collection, incarnation="0" * 32, files=(file,), created_at=1.5
    )


@pytest.fixture(name="records")
def _records(session: boto3.session.Session) -> Records:
    records = Records(session.resource("dynamodb").Table(TABLE))
    records.add(record())
    return records


@pytest.fixture(name="chunks")
def _chunks(records: Records) -> ChunkRecords:
    return ChunkRecords(records.table)


def test_an_import_runs_until_every_chunk_is_done_once(records: Records, chunks: ChunkRecords) -> None:
    assert records.get("demo", "i") == record()
    assert records.get("demo", "i").state is State.UPLOADING
    for moment in (5.0, 6.0):
        records.start("demo", "i", at=moment)
    assert records.get("demo", "i").started_at == 5.0
    records.cut("demo", "i", chunks=2, rows=7)
    assert records.get("demo", "i").state is State.RUNNING
    for _ in range(3):
        chunks.done(chunk(0), ChunkOutcome(stored=5, refused=0))
    assert chunks.is_done(chunk(0))
    assert not chunks.is_done(chunk(1))
    half = records.get("demo", "i")
    assert (half.state, half.chunks_done, half.stored, chunks.finished("i")) == (State.RUNNING, 1, 5, {0})
    chunks.done(chunk(1), ChunkOutcome(stored=1, refused=1, errors=(RowError(row=9, detail="wrong", field="id"),)))
    whole = records.get("demo", "i")
    assert (whole.state, whole.stored, whole.refused, whole.rows) == (State.DONE, 6, 1, 7)
    assert chunks.errors("i") == (RowError(row=9, detail="wrong", field="id"),)


def test_a_file_without_rows_is_done_at_once(records: Records) -> None:
    records.cut("demo", "i", chunks=0, rows=0)
    assert records.get("demo", "i").state is State.DONE


def test_the_first_reason_of_a_failure_stays_until_it_is_tried_again(records: Records, chunks: ChunkRecords) -> None:
    records.start("demo", "i", at=1.0)
    records.cut("demo", "i", chunks=1, rows=1)
    for code in ("a", "b"):
        records.fail("demo", "i", Failure(code=code, detail="because"))
    failed = records.get("demo", "i")
    assert (failed.state, failed.failure) == (State.FAILED, Failure(code="a", detail="because"))
    records.go_on("demo", "i")
    assert records.get("demo", "i").state is State.RUNNING
    records.fail("demo", "i", Failure(code="c", detail="because"))
    chunks.done(chunk(0), ChunkOutcome(stored=1, refused=0))
    assert records.get("demo", "i").state is State.DONE, "an operator redrove its messages"


def test_what_is_cancelled_is_neither_running_nor_failed(records: Records) -> None:
    records.start("demo", "i", at=1.0)
    records.cancel(record(), at=2.0, here=True)
    records.fail("demo", "i", Failure(code="a", detail="because"))
    assert records.get("demo", "i").state is State.CANCELLED


def test_a_last_attempt_lapses_unless_it_ends(records: Records, chunks: ChunkRecords) -> None:
    job = Cut(tenant="demo", import_id="i")
    chunks.last_attempt(job, until=100.0)
    chunks.last_attempt(chunk(3), until=200.0)
    assert [chunks.lapsed("i", now=now) for now in (99.0, 101.0, 201.0)] == [None, "cut", "chunk-00000003"]
    chunks.ended(job)
    assert (chunks.lapsed("i", now=101.0), chunks.lapsed("i", now=201.0)) == (None, "chunk-00000003")
    records.cut("demo", "i", chunks=9, rows=9)
    chunks.done(chunk(3), ChunkOutcome(stored=1, refused=0))
    assert chunks.lapsed("i", now=201.0) is None
    chunks.last_attempt(job, until=100.0)
    chunks.forget_attempts("i")
    assert chunks.lapsed("i", now=101.0) is None


def test_errors_are_counted_and_the_first_ones_kept(records: Records, chunks: ChunkRecords) -> None:
    for number in (1, 0):
        errors = tuple(RowError(row=1000 * number + row, detail="wrong") for row in range(MAX_ERRORS - 1))
        chunks.done(chunk(number), ChunkOutcome(stored=0, refused=500, errors=errors))
    found = chunks.errors("i")
    assert (records.get("demo", "i").refused, len(found)) == (1000, MAX_ERRORS)
    assert [error.row for error in found][-2:] == [MAX_ERRORS - 2, 1000]


def test_imports_are_listed_page_by_page_the_newest_first(records: Records) -> None:
    ids = [new_id(1_000_000.0 + moment) for moment in range(7)]
    for number, import_id in enumerate(ids):
        records.add(record(import_id, collection="words" if number % 2 else "others"))

    def pages(limit: int, collection: str | None) -> list[str]:
        found: list[str] = []
        before: str | None = None
        while True:
            page, more = records.page("demo", limit=limit, before=before, collection=collection)
            assert len(page) <= limit
            found += [each.id for each in page]
            if not more:
                return found
            before = found[-1]

    for limit in (1, 2, 3, 50):
        assert pages(limit, None) == ["i", *reversed(ids)]
        assert pages(limit, "others") == list(reversed(ids[::2]))
    assert records.page("other", limit=9, before=None, collection=None) == ([], False)


def test_an_import_that_there_is_not(records: Records, chunks: ChunkRecords, catalogue: Catalogue) -> None:
    absent = (404, "import_not_found")
    assert code_of(lambda: records.get("other", "i")) == absent
    assert code_of(lambda: records.cut("other", "i", chunks=1, rows=1)) == absent
    assert code_of(lambda: records.fail("demo", "j", Failure(code="x", detail="x"))) == absent
    assert code_of(lambda: chunks.done(chunk(0, import_id="j"), ChunkOutcome(stored=1, refused=0))) == absent
    assert not chunks.is_done(chunk(0, import_id="j"))
    catalogue.create("demo", WORDS)
    assert [each.name for each in catalogue.collections("demo", limit=9)[0]] == ["words"]
