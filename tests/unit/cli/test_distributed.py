"""Collections of the engine ``dynamodb`` from the command line, which waits for what takes its time."""

from pathlib import Path

import pytest

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import DeletionJob
from anfl.vectors.imports.jobs import decode
from anfl.vectors.store import VectorStore
from tests.unit.cli.commands import Commands
from tests.unit.vectors.importing import MemoryQueue, carry_out_all


@pytest.fixture(name="store")
def _store(store_with_a_class: VectorStore) -> VectorStore:
    return store_with_a_class


@pytest.fixture(name="anfl")
def _anfl(url: str, tmp_path: Path) -> Commands:
    made = ["create", "photos", "--dimension", "2", "--metric", "l2", "--engine", "dynamodb"]
    assert Commands(url, "collections").json(*made)["engine_class"] == "small"
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"id": "r{n:03}", "values": [1, {n}], "metadata": {{"n": {n}}}}}\n' for n in range(250)))
    vectors = Commands(url, "vectors")
    assert vectors.json("upsert", "photos", rows)["upserted"] == 250
    return vectors


@pytest.mark.usefixtures("anfl")
def test_no_parameters_are_shown_of_a_graph_that_it_does_not_have(url: str) -> None:
    collections = Commands(url, "collections")
    shown = collections.json("show", "photos")["collection"]
    assert (shown["engine"], "index" in shown) == ("dynamodb", False)
    assert "ef_search" not in collections.text("show", "photos")


def test_deleting_waits_for_its_job(
    anfl: Commands,
    queue: MemoryQueue,
    catalogue: Catalogue,
    engine: DynamoDbEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anfl.cli.vectors.sleep", lambda _: carry_out_all(queue, catalogue, engine))
    assert anfl.text("delete", "photos", "--where", '{"n": {"$gte": 100}}') == "Deleted 150 rows."
    assert anfl.text("delete", "photos", "r000").startswith("Deleted 1 row (position")


def test_a_deletion_that_fails_fails_the_command(
    anfl: Commands, queue: MemoryQueue, catalogue: Catalogue, engine: DynamoDbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(_: float) -> None:
        job = decode(queue.bodies.pop())
        assert isinstance(job, DeletionJob)
        engine.give_up(catalogue.find("demo", "photos"), job.deletion_id, "It does not answer.")

    monkeypatch.setattr("anfl.cli.vectors.sleep", give_up)
    assert "failed after 0 rows: It does not answer." in anfl.fails("delete", "photos", "--where", '{"n": 1}')
