"""A collection goes from the one engine to the other and back, over HTTP, while others write to it."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from anfl.vectors import replication
from tests.local.dynamodb_engine.contract import DIMENSION, Api
from tests.unit.vectors.importing import Place

ROWS = 300
STEPS = 500
WRITTEN = 20
"""Rows that are written, at least, after the move has begun and before it goes on."""


@pytest.mark.parametrize(("source", "target"), [("hnsw", "dynamodb"), ("dynamodb", "hnsw")])
def test_whatever_is_acknowledged_meanwhile_is_there_afterwards(
    source: str,
    target: str,
    service: tuple[httpx.Client, Place, Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replication, "REPLICATION_SECONDS", 0.5)
    api = Api(source, *service)
    api.create()
    old = api.name
    api.name = f"{old}-alias"
    alias = {"alias": api.name, "collection": old}
    assert api.client.post("/v1/aliases", json=alias).status_code == 200
    dice = np.random.default_rng(7)
    before = {f"r{n:03}": _row(f"r{n:03}", dice, tag="before") for n in range(ROWS)}
    api.upsert(*before.values())
    cleaning = {"filter": {"tag": "nobody"}, "request_id": f"{old}/clean"}
    api.call("POST", "/vectors/delete", cleaning, status=202 if source == "dynamodb" else 200)
    api.work()
    writer = _Writer(api, dice)
    with writer:
        assert _step(api, target).status_code == 202
        writer.has_written(WRITTEN)
        moved = _moved(api, target)
    assert (moved["collection"], moved["engine"], moved["stage"]) == (old, target, "done")
    assert api.call("GET", "")["engine"] == target
    expected = {row_id: row for row_id, row in (before | writer.acknowledged).items() if row is not None}
    assert len(writer.acknowledged) > WRITTEN
    found = _rows(api)
    assert found.keys() == expected.keys()
    for row_id, row in found.items():
        wanted = expected[row_id]
        assert (row["metadata"], row.get("expires_at")) == (wanted["metadata"], wanted.get("expires_at"))
        assert np.array_equal(np.float32(row["values"]), np.float32(wanted["values"]))
    again = api.upsert(*writer.first["vectors"], request_id=writer.first["request_id"])
    assert again["upserted"] == len(writer.first["vectors"])
    assert _rows(api) == found, "a request that was carried out before is carried out once more"
    if source == "hnsw":
        api.upsert(_row("nobody", dice, tag="nobody"))
        assert api.call("POST", "/vectors/delete", cleaning, status=202)["state"] == "DONE"
        api.work()
        assert api.call("POST", "/vectors/fetch", {"ids": ["nobody"]})["vectors"]
    fresh = {"vectors": [_row("fresh", dice, tag="a")]}
    refused = api.client.put(f"/v1/collections/{old}/vectors", json=fresh)
    assert (refused.status_code, refused.json()["code"]) == (409, "collection_moved"), refused.text


class _Writer:
    """Writes by the alias all the while, and tries again what is refused for the time being."""

    def __init__(self, api: Api, dice: np.random.Generator) -> None:
        self.acknowledged: dict[str, Any] = {}
        """Rows as they were written last; None: deleted."""
        self.first: dict[str, Any] = {}
        self._api = api
        self._dice = dice
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._failures: list[str] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        assert not self._failures

    def has_written(self, rows: int) -> None:
        """Wait until more than so many ``rows`` are acknowledged."""
        deadline = time.monotonic() + 60
        while len(self.acknowledged) <= rows:
            assert time.monotonic() < deadline, self._failures
            time.sleep(0.01)

    def _write(self) -> None:
        number = 0
        while not self._end.is_set():
            number += 1
            rows = [_row(f"r{self._dice.integers(ROWS + 50):03}", self._dice, tag="b", n=number)]
            body = {"vectors": rows, "request_id": f"{self._api.name}/{number}"}
            self._sent("PUT", "vectors", body)
            self.acknowledged |= {row["id"]: row for row in rows}
            self.first = self.first or body
            if number % 5 == 0:
                doomed = f"r{self._dice.integers(ROWS):03}"
                self._sent("POST", "vectors/delete", {"ids": [doomed], "request_id": f"{self._api.name}/d{number}"})
                self.acknowledged[doomed] = None

    def _sent(self, method: str, path: str, body: dict[str, Any]) -> None:
        while True:
            answer = self._api.client.request(method, f"/v1/collections/{self._api.name}/{path}", json=body)
            if answer.status_code == 200:
                return
            if answer.status_code != 503:
                self._failures.append(answer.text)
                return
            time.sleep(0.05)


def _step(api: Api, target: str) -> httpx.Response:
    return api.client.post(f"/v1/collections/{api.name}/move", json={"engine": target})


def _moved(api: Api, target: str) -> dict[str, Any]:
    for _ in range(STEPS):
        answer = _step(api, target)
        assert answer.status_code in (200, 202), answer.text
        moved: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            return moved
        time.sleep(moved.get("wait", 0))
    raise AssertionError(moved)


def _row(row_id: str, dice: np.random.Generator, *, tag: str, n: int = 0) -> dict[str, Any]:
    values = dice.normal(size=DIMENSION).astype(np.float32).tolist()
    row = {"id": row_id, "values": values, "metadata": {"tag": tag, "n": n, "flag": True, "free": [1, "x"]}}
    return row | {"expires_at": 4e9} if n % 2 else row


def _rows(api: Api) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    cursor: dict[str, Any] = {}
    while True:
        page = api.call("GET", "/vectors", limit=200, include="values,metadata", consistency="strong", **cursor)
        found |= {row["id"]: row for row in page["vectors"]}
        if "cursor" not in page:
            return found
        cursor = {"cursor": page["cursor"]}
