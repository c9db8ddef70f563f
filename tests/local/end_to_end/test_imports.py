"""Imports through gateway, object store, queues, service and function."""

import io
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anfl.client import BusyError, Client, Collection, ImportFailedError
from anfl.vectors.imports.model import State
from anfl.vectors.imports.requests import Import
from tests.local.end_to_end.running import Run

DIMENSION = 16
ROWS = 12_000


@pytest.fixture(name="client")
def _client(run: Run) -> Iterator[Client]:
    with Client(run.document["api"], token=run.document["tokens"]["writer"]) as client:
        yield client


@pytest.fixture(name="collection")
def _collection(client: Client) -> Iterator[Collection]:
    made = client.create_collection(f"imported-{uuid.uuid4().hex[:8]}", dimension=DIMENSION, metric="l2")
    yield made
    made.delete_collection()


def files_in(folder: Path, *, rows: int = ROWS, seed: int = 1) -> tuple[Path, Path, Any]:
    """Lines and an array of ``rows`` rows, and what the array holds."""
    values = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    lines, array = folder / "rows.jsonl", folder / "rows.npy"
    lines.write_text("".join(json.dumps({"id": f"r{n}", "metadata": {"n": n}}) + "\n" for n in range(rows)))
    np.save(array, values)
    return lines, array, values


def test_lines_and_an_array_by_way_of_the_function(
    client: Client, collection: Collection, tmp_path: Path, run: Run
) -> None:
    lines, array, values = files_in(tmp_path)
    sent: list[int] = []
    ended = client.imports.run(collection.name, [array, lines], sent=sent.append)
    assert (ended.rows, ended.stored, ended.refused, ended.errors) == (ROWS, ROWS, 0, []), run.told()
    assert sent[-1] == lines.stat().st_size + array.stat().st_size
    assert collection.count(consistency="strong") == ROWS
    for number in (0, 4_999, 5_000, ROWS - 1):
        [found] = collection.fetch([f"r{number}"], consistency="strong")
        assert found.values is not None
        assert (found.metadata, found.values.tobytes()) == ({"n": number}, values[number].tobytes())
    functions = (run.state / "logs" / "functions").glob("*vector-processing*")
    logs = [log.read_text() for log in functions]
    assert logs, "the function took no chunk"
    assert not any("message failed" in log for log in logs)


def test_a_table_by_the_service_which_is_killed_meanwhile(
    client: Client, collection: Collection, tmp_path: Path, run: Run
) -> None:
    values = np.random.default_rng(2).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    columns = {"id": [f"t{n}" for n in range(ROWS)], "values": list(values), "even": [n % 2 == 0 for n in range(ROWS)]}
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=500)
    begun = client.imports.begin(collection.name, [path])
    client.imports.send(begun, [path])
    client.imports.start(begun.id)
    victim = run.current()["pids"]["vector-store"]
    killed: list[int] = []

    def kill(shown: Import) -> None:
        if not killed and shown.chunks_done:
            os.kill(victim, signal.SIGKILL)
            killed.append(shown.chunks_done)

    until = time.monotonic() + 60
    while True:
        try:
            ended = client.imports.wait(begun.id, watch=kill)
            break
        except BusyError:  # a loaded machine takes longer to start the service again than a client tries
            assert time.monotonic() < until, run.told()
    assert (ended.state, ended.stored, ended.chunks) == (State.DONE, ROWS, ROWS // 500), run.told()
    assert killed, "it was over before it could be killed"
    assert killed[0] < ROWS // 500
    assert collection.count(consistency="strong") == ROWS
    assert collection.count({"even": True}, consistency="strong") == ROWS // 2
    stats = client.json("GET", f"/v1/collections/{collection.name}/stats")
    assert int(stats["sequence"].rpartition(".")[2]) <= ROWS // 500, (
        "a write for each chunk, none twice; one put may commit two"
    )


def test_rows_that_are_wrong_are_named_and_an_export_comes_back(
    client: Client, collection: Collection, tmp_path: Path
) -> None:
    good = [{"id": f"g{n}", "values": [float(n)] * DIMENSION} for n in range(50)]
    wrong: list[Any] = [{"id": "w", "values": [1.0]}, {"values": []}, 7]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*good[:20], *wrong, *good[20:]]))
    ended = client.imports.run(collection.name, [path])
    assert (ended.stored, ended.refused) == (50, 3)
    assert [(error.row, error.field) for error in ended.errors] == [(20, "values"), (21, "id"), (22, None)]
    buffer = io.StringIO()
    for exported in collection.export():
        assert exported.values is not None
        buffer.write(json.dumps({"id": exported.id, "values": exported.values.tolist()}) + "\n")
    again = tmp_path / "again.jsonl"
    again.write_text(buffer.getvalue())
    assert client.imports.run(collection.name, [again]).stored == 50
    assert collection.count(consistency="strong") == 50


def test_a_file_that_is_wrong_fails_its_import_by_name(client: Client, collection: Collection, tmp_path: Path) -> None:
    lines, array, _ = files_in(tmp_path, rows=10)
    np.save(array, np.zeros((9, DIMENSION), np.float32))
    with pytest.raises(ImportFailedError) as caught:
        client.imports.run(collection.name, [lines, array])
    failed = caught.value.failed
    assert failed.failure is not None
    assert (failed.state, failed.failure.field, failed.failure.row) == (State.FAILED, "files[1]", 9)
    assert collection.count(consistency="strong") == 0
    assert client.imports.redrive(failed.id).state is State.RUNNING
    assert client.imports.wait(failed.id).state is State.FAILED
    assert client.imports.cancel(failed.id).state is State.CANCELLED
    assert [each.id for each in client.imports.list(collection.name)] == [failed.id]


def test_a_reader_sees_imports_and_begins_none(
    run: Run, client: Client, collection: Collection, tmp_path: Path
) -> None:
    lines, _, _ = files_in(tmp_path, rows=1)
    begun = client.imports.begin(collection.name, [lines])
    with run.client("reader") as reader:
        assert reader.get(f"/v1/imports/{begun.id}").json()["state"] == "UPLOADING"
        assert reader.get("/v1/imports").status_code == 200
        refused = reader.post(f"/v1/imports/{begun.id}/start")
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
