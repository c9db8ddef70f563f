"""As many slots, and as many numbers, as a vector index takes: made, filled, searched, read and exported."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from anfl.vectors.dynamodb.classes import MOST_SLOTS
from tests.local.dynamodb_engine.classes import FULL, WIDE
from tests.local.dynamodb_engine.contract import Api
from tests.unit.vectors.importing import Place

TEXTS = {f"s{number}": "string" for number in range(FULL.strings)}
NUMBERS = {f"n{number}": "number" for number in range(5)}
FLAGS = {f"b{number}": "boolean" for number in range(FULL.numbers - 5)}
FIELDS = TEXTS | NUMBERS | FLAGS
ROWS, WIDE_ROWS = 100, 20
PAD = "p" * 35_000


@pytest.fixture(name="api")
def _api(service: tuple[httpx.Client, Place, Callable[[], None]]) -> Api:
    return Api("dynamodb", *service)


def metadata(number: int) -> dict[str, Any]:
    """Two rows that differ in ``n4`` alone, and the next two in another field, too."""
    pair = number // 2
    return {
        **{name: f"{place}{'x' * 300 if (pair >> place % 6) & 1 else ''}" for place, name in enumerate(TEXTS)},
        **{name: [0, -1.5, 1e100][(pair + place) % 3] for place, name in enumerate(NUMBERS)},
        **{name: bool((pair >> place) & 1) for place, name in enumerate(FLAGS)},
        "n4": number,
    }


def test_all_slots_are_used_at_once(api: Api) -> None:
    assert len(FIELDS) == MOST_SLOTS
    api.create(metric="l2", fields=FIELDS)
    assert api.call("GET", "")["engine_class"] == FULL.name
    dice = np.random.default_rng(7)
    values = dice.normal(size=(ROWS, FULL.dimension)).astype(np.float32)
    rows = [{"id": f"r{n:02}", "values": values[n].tolist(), "metadata": metadata(n)} for n in range(ROWS)]
    assert api.call("PUT", "/vectors", {"vectors": rows})["upserted"] == ROWS
    query = dice.normal(size=FULL.dimension).astype(np.float32)
    distances = np.linalg.norm(values.astype(float) - query.astype(float), axis=1)
    for n in (0, 37, 99):
        assert [match["id"] for match in api.query(vector=query.tolist(), filter=metadata(n))] == [f"r{n:02}"]
        both = {**metadata(n), "n4": {"$in": [n, n ^ 1, -1, "x"]}}
        expected = sorted((n, n ^ 1), key=lambda each: distances[each])
        found = api.query(vector=query.tolist(), filter=both, include=["metadata"])
        assert [(match["id"], match["metadata"]) for match in found] == [(f"r{e:02}", metadata(e)) for e in expected]
        assert np.allclose([match["distance"] for match in found], distances[expected], rtol=0, atol=1e-5)
        assert api.call("POST", "/count", {"filter": metadata(n)})["count"] == 1
    assert (
        api.call("PATCH", "/vectors", {"vectors": [{"id": "r37", "metadata": dict.fromkeys(FIELDS)}]})["patched"] == 1
    )
    assert api.query(vector=query.tolist(), filter=metadata(37)) == []
    assert len(api.query(vector=query.tolist(), k=ROWS)) == ROWS


@pytest.mark.parametrize("more", ["string", "number", "boolean"])
def test_one_more_than_there_are_is_refused_by_the_names_of_those(api: Api, more: str) -> None:
    wanted = {"name": api.name, "dimension": FULL.dimension, "metric": "l2", "engine": "dynamodb"}
    refused = api.client.post("/v1/collections", json=wanted | {"fields": FIELDS | {"more": more}})
    assert (refused.status_code, refused.json()["code"]) == (400, "no_engine_class")
    assert str(FULL) in refused.json()["detail"]
    assert api.client.get(f"/v1/collections/{api.name}").status_code == 404


def test_the_longest_vectors(api: Api) -> None:
    fields = TEXTS | {f"n{number}": "number" for number in range(WIDE.numbers)}
    api.create(metric="cosine", dimension=WIDE.dimension, fields=fields)
    assert api.call("GET", "")["engine_class"] == WIDE.name
    values = np.random.default_rng(8).normal(size=(100, WIDE.dimension)).astype("<f4")
    slots = {**dict.fromkeys(TEXTS, "x" * 255), **{f"n{number}": -1 / 3 for number in range(WIDE.numbers)}}
    rows = [
        {
            "id": f"{n:02}" + "\u00e9" * 255,
            "values": {"f32": base64.b64encode(each.tobytes()).decode()},
            "metadata": {**slots, "n8": n, "pad": PAD},
        }
        for n, each in enumerate(values)
    ]
    much = {"vectors": rows}
    assert api.call("PUT", "/vectors", much, status=413)["code"] == "batch_not_atomic"
    assert api.call("POST", "/count", {})["count"] == 0
    rows = rows[:WIDE_ROWS]
    assert api.call("PUT", "/vectors", {"vectors": rows})["upserted"] == WIDE_ROWS
    fetch = {"ids": [row["id"] for row in rows], "values_format": "f32"}
    fetched = [
        {name: row[name] for name in ("id", "values", "metadata")}
        for row in api.call("POST", "/vectors/fetch", fetch)["vectors"]
    ]
    assert fetched == rows
    found = api.query(vector=rows[3]["values"], k=100, include=["metadata"])
    unit = values[:WIDE_ROWS].astype(float) / np.linalg.norm(values[:WIDE_ROWS].astype(float), axis=1)[:, np.newaxis]
    distances = 1 - unit @ unit[3]
    assert [match["id"] for match in found] == [rows[n]["id"] for n in np.argsort(distances)]
    assert np.allclose([match["distance"] for match in found], np.sort(distances), rtol=0, atol=1e-5)
    assert all(match["metadata"]["pad"] == PAD for match in found)
    condition = {**slots, "n8": 7}
    assert [match["id"] for match in api.query(vector=rows[3]["values"], filter=condition)] == [rows[7]["id"]]
    exported = api.client.get(f"/v1/collections/{api.name}/export", params={"values_format": "f32"}).text.splitlines()
    assert [json.loads(line)["values"] for line in exported] == [row["values"] for row in rows]
