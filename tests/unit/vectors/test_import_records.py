"""What is known of an import: every chunk counts once, and the state follows from what was counted."""

import boto3
import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.imports.model import MAX_ERRORS, Chunk, ChunkOutcome, RowError, Span, State
from anfl.vectors.imports.records import Records
from tests.unit.vectors.conftest import TABLE
from tests.unit.vectors.test_store import WORDS, code_of


def chunk(number: int, *, import_id: str = "i") -> Chunk:
    span = Span(start=0, stop=1, first_row=0, rows=1)
    return Chunk(tenant="demo", import_id=import_id, number=number, collection="words", incarnation="0" * 32, span=span)


@pytest.fixture(name="records")
def _records(session: boto3.session.Session) -> Records:
    records = Records(session.resource("dynamodb").Table(TABLE))
    records.begin("demo", "i", "words")
    return records


def test_an_import_runs_until_every_chunk_is_done_once(records: Records) -> None:
    assert records.progress("demo", "i").state is State.PENDING
    records.cut("demo", "i", 2)
    records.begin("demo", "i", "words")
    assert records.progress("demo", "i").state is State.RUNNING
    for _ in range(3):
        records.done(chunk(0), ChunkOutcome(stored=5, refused=0))
    assert records.is_done(chunk(0))
    assert not records.is_done(chunk(1))
    half = records.progress("demo", "i")
    assert (half.state, half.chunks_done, half.stored) == (State.RUNNING, 1, 5)
    records.done(chunk(1), ChunkOutcome(stored=1, refused=1, errors=(RowError(row=9, detail="wrong", field="id"),)))
    whole = records.progress("demo", "i")
    assert (whole.state, whole.stored, whole.refused, whole.collection) == (State.DONE, 6, 1, "words")
    assert whole.errors == (RowError(row=9, detail="wrong", field="id"),)


def test_a_file_without_rows_is_done_at_once(records: Records) -> None:
    records.cut("demo", "i", 0)
    assert records.progress("demo", "i").state is State.DONE


def test_the_first_reason_of_a_failure_stays_until_it_is_tried_again(records: Records) -> None:
    records.cut("demo", "i", 1)
    for reason in ("a", "b"):
        records.fail("demo", "i", reason)
    failed = records.progress("demo", "i")
    assert (failed.state, failed.reason) == (State.FAILED, "a")
    records.go_on("demo", "i")
    assert records.progress("demo", "i").state is State.RUNNING


def test_errors_are_counted_and_the_first_ones_kept(records: Records) -> None:
    for number in (1, 0):
        errors = tuple(RowError(row=1000 * number + row, detail="wrong") for row in range(MAX_ERRORS - 1))
        records.done(chunk(number), ChunkOutcome(stored=0, refused=500, errors=errors))
    progress = records.progress("demo", "i")
    assert (progress.refused, len(progress.errors)) == (1000, MAX_ERRORS)
    assert [error.row for error in progress.errors][-2:] == [MAX_ERRORS - 2, 1000]


def test_an_import_that_there_is_not(records: Records, catalogue: Catalogue) -> None:
    absent = (404, "import_not_found")
    assert code_of(lambda: records.progress("other", "i")) == absent
    assert code_of(lambda: records.cut("other", "i", 1)) == absent
    assert code_of(lambda: records.fail("demo", "j", "x")) == absent
    assert code_of(lambda: records.done(chunk(0, import_id="j"), ChunkOutcome(stored=1, refused=0))) == absent
    assert not records.is_done(chunk(0, import_id="j"))
    catalogue.create("demo", WORDS)
    assert [each.name for each in catalogue.list("demo")] == ["words"]
