"""Parquet files: however their columns are stored, their rows are those that were meant, or named."""

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from anfl.vectors.imports import tables
from anfl.vectors.imports.model import Chunk, State
from anfl.vectors.requests import Count, Fetch
from tests.unit.vectors.importing import Place, parquet_of
from tests.unit.vectors.test_store import WORDS

NAMES = [f"r{number}" for number in range(10)]
VECTORS = [[float(number), 1.0] for number in range(10)]
PLAIN = {"id": pa.array(NAMES), "values": pa.array(VECTORS, pa.list_(pa.float32()))}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 3)
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    place.store.create("demo", WORDS)


def stored(place: Place) -> dict[str, Any]:
    found = place.store.fetch("demo", "words", Fetch(ids=NAMES, consistency="strong")).vectors
    return {each.id: each for each in found}


@pytest.mark.parametrize(
    "values",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 2),
        pa.list_(pa.float16()),
    ],
    ids=str,
)
@pytest.mark.parametrize("group", [1, 4, 100])
def test_rows_of_every_kind_of_list(place: Place, values: Any, group: int) -> None:
    vectors = VECTORS if values.value_type != pa.float16() else [[np.float16(v) for v in each] for each in VECTORS]
    columns = {"id": pa.array(NAMES), "values": pa.array(vectors, values), "n": pa.array(range(10))}
    import_id = place.started(parquet=parquet_of(columns, row_group_size=group))
    place.work()
    shown = place.show(import_id)
    assert (shown.state, shown.rows, shown.stored, shown.errors) == (State.DONE, 10, 10, []), shown.failure
    found = stored(place)
    assert [(found[name].values, found[name].metadata["n"]) for name in NAMES] == [
        (vector, number) for number, vector in enumerate(VECTORS)
    ]
    assert place.kept() == []


def test_metadata_and_expiry(place: Place) -> None:
    columns = {
        **{name: array.slice(0, 2) for name, array in PLAIN.items()},
        "text": pa.array(["x", None]).dictionary_encode(),
        "sold": pa.array([True, False]),
        "tags": pa.array([["a", "b"], None]),
        "nothing": pa.nulls(2),
        "expires_at": pa.array([9e9, None]),
    }
    place.started(parquet=parquet_of(columns))
    place.work()
    found = stored(place)
    assert found["r0"].metadata == {"text": "x", "sold": True, "tags": ["a", "b"]}
    assert (found["r0"].expires_at, found["r1"].metadata, found["r1"].expires_at) == (9e9, {"sold": False}, None)


def test_rows_that_are_wrong_are_named(place: Place) -> None:
    columns = {
        "id": pa.array(["r0", None, "", "r3", "r4", "r5", "r6"]),
        "values": pa.array([[1, 1], [1, 1], [1, 1], None, [1], [1, None], [1e300, 1]], pa.list_(pa.float64())),
        "n": pa.array([1.0, 1, 1, 1, 1, 1, 1]),
    }
    import_id = place.started(parquet=parquet_of(columns))
    place.work()
    shown = place.show(import_id)
    assert [(error.row, error.field) for error in shown.errors] == [
        (1, "id"),
        (2, "id"),
        (3, "values"),
        (4, "values"),
        (5, "values"),
        (6, "values"),
    ]
    other = place.started(parquet=parquet_of({**PLAIN, "n": pa.array([1.0] * 9 + [float("nan")])}))
    place.work()
    assert [(error.row, error.field) for error in place.show(other).errors] == [(9, "metadata.n")]


def bytes_as_text(*texts: bytes) -> Any:
    """A column of strings, as whoever writes a file may take for some what is none."""
    return pa.StringArray.from_buffers(len(texts), *pa.array(texts, pa.binary()).buffers()[1:])


def test_text_that_is_no_utf8_is_named(place: Place) -> None:
    bad, good = b"\xff", b"good"
    columns = {
        "id": bytes_as_text(b"r0", bad, b"r2", b"r3"),
        "values": pa.array(VECTORS[:4], pa.list_(pa.float32())),
        "a": bytes_as_text(good, good, bad, good),
        "b": pa.ListArray.from_arrays([0, 1, 2, 3, 4], bytes_as_text(good, good, good, bad)),
    }
    import_id = place.started(parquet=parquet_of(columns))
    place.work()
    shown = place.show(import_id)
    assert [(error.row, error.field) for error in shown.errors] == [(1, "id"), (2, "metadata.a"), (3, "metadata.b")]
    assert stored(place)["r0"].metadata == {"a": "good", "b": ["good"]}


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"values": PLAIN["values"]}, "files[0].id"),
        ({"id": PLAIN["id"]}, "files[0].values"),
        ({**PLAIN, "id": pa.array(range(10))}, "files[0].id"),
        ({**PLAIN, "values": pa.array([[1, 1]] * 10)}, "files[0].values"),
        ({**PLAIN, "values": pa.array([1.0] * 10)}, "files[0].values"),
        ({**PLAIN, "values": pa.array([[1.0] * 3] * 10, pa.list_(pa.float32(), 3))}, "files[0].values"),
        ({**PLAIN, "when": pa.array([0] * 10, pa.timestamp("s"))}, "files[0].when"),
        ({**PLAIN, "$n": pa.array([1] * 10)}, "files[0].$n"),
        ({**PLAIN, "nested": pa.array([{"a": 1}] * 10)}, "files[0].nested"),
        ({**PLAIN, "expires_at": pa.array(["x"] * 10)}, "files[0].expires_at"),
    ],
)
def test_columns_that_make_no_rows_are_named_and_nothing_is_stored(
    place: Place, columns: dict[str, Any], field: str
) -> None:
    import_id = place.started(parquet=parquet_of(columns))
    place.work()
    failure = place.show(import_id).failure
    assert failure is not None
    assert (failure.code, failure.field) == ("invalid_request", field), failure
    assert place.store.count("demo", "words", Count(consistency="strong")).count == 0


@pytest.mark.parametrize("data", [b"PAR1", b"no parquet at all", parquet_of(PLAIN)[:-9], parquet_of(PLAIN)[9:]])
def test_a_file_that_is_none_or_truncated_is_named(place: Place, data: bytes) -> None:
    import_id = place.started(parquet=data)
    place.work()
    failure = place.show(import_id).failure
    assert failure is not None
    assert (failure.code, failure.field) == ("invalid_request", "files[0]"), failure


@pytest.mark.parametrize("function_bytes", [10**12])
def test_its_chunks_are_the_services_alone(place: Place) -> None:
    place.started(parquet=parquet_of(PLAIN, row_group_size=7))
    cut = place.service.take()
    assert cut is not None
    place.carry_out(cut)
    assert place.function.bodies == []
    spans = [job.span for job in iter(place.service.take, None) if isinstance(job, Chunk)]
    assert [(span.group, span.start, span.stop, span.first_row) for span in spans] == [
        (0, 0, 3, 0),
        (0, 3, 6, 3),
        (0, 6, 7, 6),
        (1, 0, 3, 7),
    ]


@pytest.mark.parametrize("module", ["services.vector_store.app", "services.vector_store.jobs"])
def test_pyarrow_is_not_loaded_before_it_is_needed(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print('pyarrow' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "False"
