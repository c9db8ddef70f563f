"""Parquet files in processes of their own: the same rows, and bounded memory and time, whatever is sent."""

import signal
from subprocess import Popen
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from anfl.confined import processes
from anfl.problems import Problem, unavailable
from anfl.vectors.imports import tables
from anfl.vectors.imports.confined_tables import ConfinedTables
from anfl.vectors.imports.model import Chunk, Format, Record, RowError, Span, State
from anfl.vectors.imports.table_messages import Reading
from tests.unit.vectors.importing import Place, TablesHere, parquet_of
from tests.unit.vectors.test_store import WORDS, code_of

MIB = 2**20
ROWS = 2_500


@pytest.fixture(autouse=True)
def _collection(place: Place) -> None:
    place.store.create("demo", WORDS)


def lists_of(numbers: int, *, rows: int) -> Any:
    """A column of ``rows`` lists that together have ``numbers`` zeros."""
    offsets = np.linspace(0, numbers, rows + 1).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.zeros(numbers, np.float32)))


def names(count: int) -> Any:
    """A column of ids."""
    return pa.array([f"r{number}" for number in range(count)])


def cut(place: Place, data: bytes, reader: Any) -> tuple[Record, list[Span]]:
    """An import of a file, and how ``reader`` cuts it."""
    record = place.records.get("demo", place.started(parquet=data))
    return record, reader.spans(record, 0, place.store.describe("demo", "words"))


def rows_of(reader: Any, record: Record, span: Span) -> list[Any]:
    """What ``reader`` finds, by row."""
    chunk = Chunk(
        tenant="demo",
        import_id=record.id,
        number=0,
        collection="words",
        incarnation=record.incarnation,
        format=Format.PARQUET,
        span=span,
    )
    return sorted((number, row) for number, _, row in reader.of(record, chunk))


def test_its_rows_are_those_that_are_read_here(place: Place) -> None:
    values = [[float(number), 1.0] for number in range(ROWS)]
    columns = {
        "id": pa.array([None if number == 3 else f"r{number}" for number in range(ROWS)]),
        "values": pa.array(values, pa.list_(pa.float32())),
        "text": pa.array(["é" * (number % 50) for number in range(ROWS)]),
        "expires_at": pa.array([9e9 if number % 2 else None for number in range(ROWS)]),
    }
    confined, here = ConfinedTables(place.files), TablesHere(place.files)
    record, spans = cut(place, parquet_of(columns, row_group_size=2_000), confined)
    assert spans == here.spans(record, 0, place.store.describe("demo", "words"))
    assert [span.rows for span in spans] == [2_000, 500]
    for span in spans:
        found = rows_of(confined, record, span)
        assert len(found) == span.rows
        assert found == rows_of(here, record, span)
    wrong = [number for number, row in rows_of(confined, record, spans[0]) if isinstance(row, RowError)]
    assert wrong == [3]


BOMBS = {
    "one row of very many numbers": lambda: {"id": names(1), "values": lists_of(30_000_000, rows=1)},
    "rows of many numbers": lambda: {"id": names(1_000), "values": lists_of(30_000_000, rows=1_000)},
    "one text in many rows": lambda: {
        "id": names(1_000),
        "values": lists_of(2_000, rows=1_000),
        "text": pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array(["x" * MIB])),
    },
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_grows_when_it_is_read_takes_no_more_than_its_process_has(place: Place, bomb: str) -> None:
    data = parquet_of(BOMBS[bomb](), compression="zstd")
    assert len(data) < MIB / 2
    confined = ConfinedTables(place.files, memory_bytes=100 * MIB)
    record, [span] = cut(place, data, confined)
    with pytest.raises(Problem) as refused:
        rows_of(confined, record, span)
    if "ended the process" not in refused.value.detail:  # as C++ does that finds no memory for its own exception
        assert (refused.value.status, refused.value.code) == (413, "too_large")
        assert "100 MiB" in refused.value.detail
    assert refused.value.field == "files[0]"


def test_a_row_that_is_larger_than_any_is_named_and_the_others_are_stored(place: Place) -> None:
    values = pa.array([[1, 1], [0] * MIB, [1, 1], [1, 1]], pa.list_(pa.float32()))
    columns = {"id": names(4), "values": values, "text": pa.array(["x", "x", "x" * 2 * MIB, "x"])}
    import_id = place.started(parquet=parquet_of(columns))
    place.work()
    shown = place.show(import_id)
    assert (shown.state, shown.stored) == (State.DONE, 2)
    assert [(error.row, error.field) for error in shown.errors] == [(1, "values"), (2, "metadata")]


def test_a_file_that_takes_too_long_is_given_up(place: Place) -> None:
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), place.cutter.tables)
    slow = ConfinedTables(place.files, seconds=0)
    slow._code = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    with pytest.raises(Problem) as refused:
        rows_of(slow, record, span)
    assert (refused.value.status, refused.value.code, refused.value.field) == (413, "too_large", "files[0]")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os; os.kill(os.getpid(), 11)", 400),
        ("import os; os.abort()", 400),
        ("print('no message')", 400),
        ("import os; os.write(1, bytes.fromhex('00000003') + b'abc')", 400),
        ("import os; os.write(1, bytes.fromhex('ffffffff'))", 400),
        ("import os; os.kill(os.getpid(), 9)", 503),
        ("import os, msgspec; m = msgspec.msgpack.encode({'type': 'Range', 'start': -1, 'stop': 5}); "
         "os.write(1, len(m).to_bytes(4, 'big') + m)", 400),
        ("import os, time; os.close(1); time.sleep(60)", 400),
    ],
)  # fmt: skip
def test_a_process_that_does_not_end_as_it_should_is_no_success(place: Place, code: str, status: int) -> None:
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), place.cutter.tables)
    confined = ConfinedTables(place.files)
    confined._code = code
    with pytest.raises(Problem) as refused:
        rows_of(confined, record, span)
    assert refused.value.status == status


def test_a_process_gets_no_more_of_a_file_at_a_time_than_one_asks_for_that_is_as_it_should_be(place: Place) -> None:
    data = parquet_of({"id": names(10), "values": lists_of(20, rows=10)})
    record, [span] = cut(place, data + bytes(5 * MIB) + data, place.cutter.tables)
    confined = ConfinedTables(place.files)
    asking = {"type": "Range", "start": 0, "stop": 5 * MIB}
    confined._code = f"import os, msgspec; m = msgspec.msgpack.encode({asking}); os.write(1, len(m).to_bytes(4) + m)"
    with pytest.raises(Problem) as refused:
        rows_of(confined, record, span)
    assert refused.value.status == 400


def test_metadata_may_take_more_bytes_on_its_way_than_as_json(place: Place) -> None:
    columns = {
        "id": names(250),
        "values": pa.array([[1.0, 1.0]] * 250, pa.list_(pa.float32())),
        "weights": pa.array([[0.0] * 9_000] * 250, pa.list_(pa.float64())),  # 36 kB as JSON, 81 kB as MessagePack
    }
    confined, here = ConfinedTables(place.files), TablesHere(place.files)
    record, [span] = cut(place, parquet_of(columns), confined)
    found = rows_of(confined, record, span)
    assert [isinstance(row, RowError) for _, row in found] == [False] * 250
    assert found == rows_of(here, record, span)


def test_a_process_that_somebody_has_taken_over_opens_no_file(place: Place) -> None:
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), place.cutter.tables)
    confined = ConfinedTables(place.files)
    confined._code = f"""
from anfl.vectors.imports import table_process
from anfl.vectors.imports.table_messages import End, Rows
from anfl.vectors.imports.model import RowError
def taken_over(asked, source, tell):
    try:
        found = open("/proc/self/environ").read()
    except OSError as error:
        found = f"refused: {{error.strerror}}"
    tell(Rows([], [RowError(row=0, detail=found)]))
    tell(End())
table_process._answer = taken_over
table_process.main(memory_bytes={100 * MIB}, seconds=5)
"""
    [(_, told)] = rows_of(confined, record, span)
    assert told.detail.startswith("refused")


def test_an_error_of_its_program_is_ours_and_not_the_files(place: Place) -> None:
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), place.cutter.tables)
    confined = ConfinedTables(place.files)
    confined._code = "raise SystemExit(1)"
    with pytest.raises(RuntimeError, match="ended with 1"):
        rows_of(confined, record, span)


def test_a_store_that_does_not_answer_is_no_fault_of_the_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    confined = ConfinedTables(place.files)
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), confined)

    def silent(*_: Any) -> Any:
        raise unavailable("no answer", code="storage_unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(place.files, "read", silent)
        assert code_of(lambda: rows_of(confined, record, span)) == (503, "storage_unavailable")
    assert len(rows_of(confined, record, span)) == 10


def test_who_stops_reading_ends_the_process(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Popen[bytes]] = []
    start = processes.start

    def noted(*args: Any, **more: Any) -> Popen[bytes]:
        started.append(start(*args, **more))
        return started[-1]

    monkeypatch.setattr(processes, "start", noted)
    confined = ConfinedTables(place.files)
    record, [span] = cut(place, parquet_of({"id": names(5_000), "values": lists_of(10_000, rows=5_000)}), confined)
    asked = Reading(size=record.files[0].bytes, field="files[0]", span=span)
    told: Any = confined._told(asked, record, 0)
    next(told)
    assert started[-1].poll() is None
    told.close()
    assert started[-1].returncode == -signal.SIGKILL


def test_a_file_says_of_no_more_rows_than_can_be_stored(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_SPANS", 4)
    data = parquet_of({"id": names(10), "values": lists_of(20, rows=10)}, row_group_size=2)
    import_id = place.started(parquet=data)
    place.work()
    failure = place.show(import_id).failure
    assert failure is not None
    assert (failure.code, failure.field) == ("too_large", "files[0]")


def test_a_row_group_that_ends_before_its_last_row_is_damaged(place: Place) -> None:
    here = TablesHere(place.files)
    record, [span] = cut(place, parquet_of({"id": names(10), "values": lists_of(20, rows=10)}), here)
    with pytest.raises(Problem, match="fewer than the file says"):
        rows_of(here, record, Span(start=0, stop=12, first_row=0, rows=12, group=span.group))
