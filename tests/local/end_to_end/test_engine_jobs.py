"""What the engine ``dynamodb`` leaves to jobs, through gateway, queues, service and function, under their roles."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from anfl.client import Client, Collection
from anfl.vectors.requests import Deletion
from tests.local.end_to_end.running import Run

DIMENSION = 384
ROWS = 300


@pytest.fixture(name="client")
def _client(run: Run) -> Iterator[Client]:
    with Client(run.document["api"], token=run.document["tokens"]["writer"]) as client:
        yield client


@pytest.fixture(name="collection")
def _collection(client: Client) -> Iterator[Collection]:
    name = f"jobs-{uuid.uuid4().hex[:8]}"
    made = client.create_collection(name, dimension=DIMENSION, fields={"n": "number"}, engine="dynamodb")
    yield made
    made.delete_collection()


def test_rows_are_imported_exported_and_deleted_by_filter(
    client: Client, collection: Collection, tmp_path: Path, run: Run
) -> None:
    lines = tmp_path / "rows.jsonl"
    vector = [float(place == 7) for place in range(DIMENSION)]
    rows = ({"id": f"r{n:04}", "values": vector, "metadata": {"n": n}} for n in range(ROWS))
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = client.imports.run(collection.name, [lines])
    assert (ended.stored, ended.refused) == (ROWS, 0), run.told()
    assert sum(1 for _ in collection.export()) == ROWS
    begun = collection.delete(where={"n": {"$gte": 100}})
    assert isinstance(begun, Deletion)
    deadline = time.monotonic() + 60
    while (shown := collection.deletion(begun.id)).state == "RUNNING":
        assert time.monotonic() < deadline, run.told()
        time.sleep(0.2)
    assert (shown.state, shown.deleted) == ("DONE", ROWS - 100)
    assert collection.count() == 100
    assert [match.id for match in collection.query(vector, k=3)] == ["r0000", "r0001", "r0002"]
