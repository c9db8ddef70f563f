"""A damaged object of a log is put right from the version before it, by whoever comes upon it, under its own role."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.local.end_to_end.running import Run
from tests.local.end_to_end.test_functions import invoker
from tests.local.end_to_end.test_sealing import bucket_of

ROWS = [{"id": "a", "values": [1, 0]}, {"id": "b", "values": [0, 1]}]
FETCH = {"ids": ["b"], "consistency": "strong"}


@pytest.fixture(name="settings")
def _settings(run: Run) -> Iterator[dict[str, Any]]:
    with settings_of_one(run) as settings:
        yield settings


@contextmanager
def settings_of_one(run: Run) -> Iterator[dict[str, Any]]:
    """Those of a collection that somebody creates, and that is deleted afterwards."""
    settings = {"name": f"damaged-{uuid.uuid4().hex[:8]}", "dimension": 2}
    try:
        yield settings
    finally:
        with run.client("writer") as client:
            assert client.delete(f"/v1/collections/{settings['name']}").status_code == 200


@contextmanager
def damaged(run: Run, name: str) -> Iterator[dict[str, bytes]]:
    """Write nonsense over the log of a collection, which stays no longer than this; yields what was there."""
    bucket = bucket_of(run)
    logged = [entry.key for entry in bucket.list("") if f"/{name}/" in entry.key and "/log/" in entry.key]
    before = {key: bucket.get(key) or b"" for key in logged}
    assert before
    for key in before:
        bucket.put(key, b"nonsense")
    try:
        yield before
    finally:
        for key, body in before.items():
            if bucket.get(key) != body:
                bucket.put(key, body)


def is_right_again(run: Run, before: dict[str, bytes]) -> bool:
    bucket = bucket_of(run)
    return {key: bucket.get(key) for key in before} == before


def test_the_service_reads_what_the_function_wrote(run: Run, settings: dict[str, Any]) -> None:
    invoke, name = invoker(run), settings["name"]
    assert invoke("vector-processing", {"operation": "create_collection", **settings})["status"] == 201
    assert invoke("vector-processing", {"operation": "upsert", "collection": name, "vectors": ROWS})["status"] == 200
    with damaged(run, name) as before:
        with run.client("reader") as client:
            found = client.post(f"/v1/collections/{name}/vectors/fetch", json=FETCH)
        assert [row["values"] for row in found.json()["vectors"]] == [[0, 1]], run.told()
        assert is_right_again(run, before)


def test_the_function_reads_what_the_service_wrote(run: Run, settings: dict[str, Any]) -> None:
    name = settings["name"]
    with run.client("writer") as client:
        assert client.post("/v1/collections", json=settings).status_code == 201
        assert client.put(f"/v1/collections/{name}/vectors", json={"vectors": ROWS}).status_code == 200
    with damaged(run, name) as before:
        answer = invoker(run)("vector-processing", {"operation": "fetch", "collection": name, **FETCH})
        assert [row["values"] for row in answer["result"]["vectors"]] == [[0, 1]], run.told()
        assert is_right_again(run, before)
