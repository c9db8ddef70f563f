"""The API through gateway, authorizer, balancer and services."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from local import sample
from tests.local.end_to_end.running import Run

DIMENSION = 8


def any_vectors(count: int, seed: int = 1) -> list[dict[str, Any]]:
    values = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return [{"id": f"v{i}", "values": row.tolist(), "metadata": {"even": i % 2 == 0}} for i, row in enumerate(values)]


@pytest.fixture
def writer(run: Run) -> Iterator[httpx.Client]:
    with run.client("writer") as client:
        yield client


@pytest.fixture
def collection(writer: httpx.Client) -> str:
    return new_collection(writer)


def new_collection(writer: httpx.Client) -> str:
    name = f"c-{uuid.uuid4().hex[:12]}"
    response = writer.post("/v1/collections", json={"name": name, "dimension": DIMENSION, "metric": "cosine"})
    assert response.status_code == 201, response.text
    return name


def test_a_field_is_declared_for_rows_that_are_there(writer: httpx.Client, collection: str) -> None:
    base, wanted = f"/v1/collections/{collection}", {"filter": {"even": True}, "consistency": "strong"}
    assert writer.put(f"{base}/vectors", json={"vectors": any_vectors(10)}).status_code == 200
    refused = writer.patch(base, json={"fields": {"even": "number"}})
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
        409,
        "field_contradicted",
        "fields.even",
    )
    declared = writer.patch(base, json={"fields": {"even": "boolean"}})
    assert declared.status_code in {200, 202}, declared.text
    while writer.get(base).json().get("pending_fields"):
        counted = writer.post(f"{base}/count", json=wanted)
        assert counted.is_success or counted.json()["code"] == "field_not_ready", counted.text
    assert writer.get(base).json()["fields"] == {"even": "boolean"}
    assert writer.post(f"{base}/count", json=wanted).json()["count"] == 5
    wrong = [any_vectors(1)[0] | {"metadata": {"even": "yes"}}]
    answer = writer.put(f"{base}/vectors", json={"vectors": wrong})
    assert (answer.status_code, answer.json()["field"]) == (400, "vectors[0].metadata.even")
    assert writer.delete(base).status_code == 200


def test_create_upsert_query_fetch_delete(writer: httpx.Client, collection: str) -> None:
    vectors = any_vectors(50)
    base = f"/v1/collections/{collection}"

    upserted = writer.put(f"{base}/vectors", json={"vectors": vectors})
    assert upserted.status_code == 200, upserted.text
    assert upserted.json()["upserted"] == 50

    found = writer.post(f"{base}/query", json={"vector": vectors[7]["values"], "k": 3, "include": ["metadata"]})
    assert found.status_code == 200, found.text
    first = found.json()["matches"][0]
    assert (first["id"], first["metadata"]) == ("v7", {"even": False})
    assert first["distance"] == pytest.approx(0, abs=1e-6)

    fetched = writer.post(f"{base}/vectors/fetch", json={"ids": ["v7"]})
    assert fetched.status_code == 200, fetched.text
    assert "v7" in fetched.text

    deleted = writer.post(f"{base}/vectors/delete", json={"ids": ["v7"]})
    assert deleted.status_code == 200, deleted.text
    again = writer.post(f"{base}/query", json={"vector": vectors[7]["values"], "k": 50})
    assert "v7" not in {match["id"] for match in again.json()["matches"]}

    assert writer.delete(base).status_code in {200, 204}
    assert writer.get(base).status_code == 404


def test_a_snapshot_is_restored_behind_an_alias(run: Run, writer: httpx.Client, collection: str) -> None:
    base, again, live = f"/v1/collections/{collection}", f"{collection}-again", f"{collection}-live"
    assert writer.put(f"{base}/vectors", json={"vectors": any_vectors(20)}).status_code == 200
    assert writer.post("/v1/aliases", json={"alias": live, "collection": collection}).status_code == 200
    with run.client("operator") as operator:
        made = operator.post(f"{base}/snapshots", json={"snapshot": "monday"})
        assert (made.status_code, made.json().get("rows")) == (201, 20), made.text
        assert writer.post(f"{base}/vectors/delete", json={"ids": ["v7"]}).status_code == 200
        restored = operator.post(f"{base}/restore", json={"snapshot": "monday", "into": again})
        assert restored.status_code == 201, restored.text
    assert writer.post("/v1/aliases", json={"alias": live, "collection": again}).status_code == 200

    counts = [
        writer.post(f"/v1/collections/{name}/count", json={"consistency": "strong"}).json()["count"]
        for name in (collection, again, live)
    ]
    assert counts == [19, 20, 20]
    assert writer.post(f"{base}/snapshots/delete", json={"snapshot": "monday"}).status_code == 403
    assert writer.delete(f"/v1/aliases/{live}").status_code == 200
    for name in (collection, again):
        assert writer.delete(f"/v1/collections/{name}").status_code == 200


def test_finds_words_near_a_given_word(run: Run) -> None:
    with run.client("reader") as reader:
        body = {"id": "happiness", "k": 5, "include": ["metadata"]}
        response = reader.post(f"/v1/collections/{sample.COLLECTION}/query", json=body)

    assert response.status_code == 200, response.text
    words = [match["id"] for match in response.json()["matches"]]
    assert words[:2] == ["joy", "contentment"]


def test_the_sample_is_complete(run: Run) -> None:
    with run.client("reader") as reader:
        stats = reader.get(f"/v1/collections/{sample.COLLECTION}/stats")

    assert stats.status_code == 200, stats.text
    assert 2000 in stats.json().values(), stats.text


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic YTpi"])
def test_without_a_valid_token(run: Run, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    with run.client() as client:
        response = client.get("/v1/collections", headers=headers)

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 401


def test_a_reader_may_not_write(run: Run, collection: str) -> None:
    with run.client("reader") as reader:
        response = reader.put(f"/v1/collections/{collection}/vectors", json={"vectors": any_vectors(1)})

    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"


def test_malformed_json(writer: httpx.Client, collection: str) -> None:
    response = writer.put(f"/v1/collections/{collection}/vectors", content=b'{"vectors": [')

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"]


def test_unknown_collection(writer: httpx.Client) -> None:
    response = writer.post("/v1/collections/absent/query", json={"vector": [1.0], "k": 1})

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_unknown_route(writer: httpx.Client) -> None:
    response = writer.get("/v1/nonsense")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_of_eleven_megabytes(writer: httpx.Client, collection: str) -> None:
    response = writer.put(f"/v1/collections/{collection}/vectors", content=bytes(11 * 1024 * 1024))

    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_token_for_a_client_of_vault(run: Run) -> None:
    with run.client() as client:
        good = client.post("/v1/auth/token", json={"grant": "approle", **run.document["clients"]["reader"]})
        wrong = client.post("/v1/auth/token", json={"grant": "approle", "role_id": "x", "secret_id": "y"})
        keys = client.get("/v1/auth/jwks.json")

    assert good.status_code == 200, good.text
    assert good.json()["token_type"] == "Bearer"
    assert wrong.status_code == 401
    assert [key["kid"] for key in keys.json()["keys"]] == [f"{run.document['region']}.1"]
