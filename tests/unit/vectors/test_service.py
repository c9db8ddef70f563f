"""The vector store service over ASGI, with tokens that say who they are."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from anfl.auth.principal import Principal, Role
from anfl.auth.rbac import ROUTES
from anfl.http.admission import Room
from anfl.http.service import Service
from anfl.problems import Problem
from anfl.vectors.operations import OPERATIONS, STREAMS
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble

pytestmark = pytest.mark.anyio


class PlainTokens:
    """Believes ``<tenant>.<role>``."""

    def cached(self, token: str) -> Principal | None:
        """The principal that the token names."""
        tenant, _, role = token.partition(".")
        return Principal(subject="me", tenant=tenant, roles=frozenset({Role(role)}), token_id="1", expires_at=0)

    def verify(self, token: str) -> Principal:
        """Never asked."""
        raise AssertionError(token)


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="client")
async def _client(store: VectorStore) -> AsyncIterator[httpx.AsyncClient]:
    service = assemble(store, verifier=PlainTokens(), stage_prefix="/live")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service), base_url="http://api", headers={"authorization": "Bearer demo.admin"}
    ) as client:
        yield client


async def created(client: httpx.AsyncClient, **settings: Any) -> None:
    answer = await client.post("/v1/collections", json={"name": "words", "dimension": 2, **settings})
    assert answer.status_code == 201, answer.text


ROWS = {"vectors": [{"id": "a", "values": [1, 0], "metadata": {"n": 1}}, {"id": "b", "values": [0, 1]}]}


async def test_the_whole_life_of_a_collection(client: httpx.AsyncClient) -> None:
    await created(client)
    assert (await client.post("/v1/collections", json={"name": "words", "dimension": 2})).status_code == 200
    base = "/v1/collections/words"
    assert (await client.put(f"{base}/vectors", json=ROWS)).json() == {"sequence": "1.1", "upserted": 2}
    patch = {"vectors": [{"id": "b", "metadata": {"n": 2}}]}
    assert (await client.patch(f"{base}/vectors", json=patch)).json() == {"sequence": "1.2", "patched": 1}
    query = (await client.post(f"{base}/query", json={"vector": [1, 0], "k": 1, "include": ["metadata"]})).json()
    assert query == {"matches": [{"id": "a", "distance": 0.0, "metadata": {"n": 1}}], "sequence": "1.2"}
    page = await client.get(f"{base}/vectors", params={"limit": 1, "filter": json.dumps({"n": 2}), "include": "values"})
    assert page.json()["vectors"] == [{"id": "b", "version": 2, "values": [0.0, 1.0]}]
    assert (await client.post(f"{base}/count", json={})).json() == {"count": 2, "sequence": "1.2"}
    assert (await client.post(f"{base}/vectors/delete", json={"ids": ["a"]})).json()["deleted"] == 1
    assert (await client.get(f"{base}/stats")).json()["rows"] == 1
    assert (await client.get("/live/v1/collections")).json()["collections"][0]["name"] == "words"
    assert (await client.delete(base)).json() == {"deleted": "words"}
    assert (await client.get(base)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/v1/collections", b"{", 400, None),
        ("POST", "/v1/collections", b'{"name": "x", "dimension": 99999}', 400, "dimension"),
        (
            "PUT",
            "/v1/collections/words/vectors",
            b'{"vectors": [{"id": "a", "values": [1]}]}',
            400,
            "vectors[0].values",
        ),
        ("POST", "/v1/collections/absent/query", b'{"vector": [1, 1]}', 404, None),
        ("POST", "/v1/collections/words/query", b'{"vector": [1, 1], "filter": {"$a": 1}}', 400, "filter.$a"),
        ("GET", "/v1/collections/words/vectors?filter={", b"", 400, "filter"),
        ("GET", "/v1/collections/words/vectors?filter=" + quote('{"$\\ud800": 1}'), b"", 400, "filter"),
        ("GET", "/v1/collections/words/vectors?filter=" + "[" * 10_000 + "]" * 10_000, b"", 400, "filter"),
        ("GET", "/v1/collections/words/vectors?filter=" + quote('{"a": NaN}'), b"", 400, "filter"),
        ("GET", "/v1/collections/words/vectors?limit=no", b"", 400, "limit"),
        ("GET", "/v1/collections/words/vectors?nonsense=1", b"", 400, None),
        ("PUT", "/v1/collections/words/query", b"{}", 405, None),
        ("GET", "/v1/nothing", b"", 404, None),
    ],
)
async def test_wrong_requests(
    client: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, field: str | None
) -> None:
    await created(client)
    answer = await client.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("field") == field


async def test_roles_and_tenants(client: httpx.AsyncClient) -> None:
    await created(client)
    reader = {"authorization": "Bearer demo.reader"}
    assert (await client.put("/v1/collections/words/vectors", json=ROWS, headers=reader)).status_code == 403
    assert (await client.post("/v1/collections/words/count", json={}, headers=reader)).status_code == 200
    stranger = {"authorization": "Bearer other.admin"}
    assert (await client.get("/v1/collections/words", headers=stranger)).status_code == 404
    assert (await client.get("/v1/collections", headers={"authorization": ""})).status_code == 401


def calling(service: Service) -> httpx.AsyncClient:
    headers = {"authorization": "Bearer demo.admin"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://api", headers=headers)


async def test_a_body_above_the_limit(store: VectorStore) -> None:
    async with calling(assemble(store, verifier=PlainTokens(), max_body=100)) as client:
        answer = await client.post("/v1/collections", content=b" " * 101)
    assert answer.status_code == 413


async def test_too_many_at_once_are_told_to_slow_down_and_the_node_is_healthy(store: VectorStore) -> None:
    full = assemble(store, verifier=PlainTokens(), room=Room(requests=0, body_bytes=0))
    async with calling(full) as client:
        answer = await client.get("/v1/collections")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert (await client.get("/health/ready")).status_code == 200


async def test_bodies_count_before_they_are_read(store: VectorStore) -> None:
    client = calling(assemble(store, verifier=PlainTokens(), room=Room(requests=9, body_bytes=150)))
    await created(client)
    first_part, go_on = asyncio.Event(), asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield b'{"filter": '
        first_part.set()
        await go_on.wait()
        yield b"null}"

    count = "/v1/collections/words/count"
    slow = asyncio.create_task(client.post(count, content=slow_body(), headers={"content-length": "100"}))
    await first_part.wait()
    refused = await client.post(count, content=b"{}" + b" " * 98)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (await client.post(count, content=b"{}")).status_code == 200
    go_on.set()
    assert (await slow).status_code == 200
    assert (await client.post(count, content=b"{}" + b" " * 98)).status_code == 200


async def test_health_needs_no_token_and_tells_of_the_catalogue(
    client: httpx.AsyncClient, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/health/live", headers={"authorization": ""})).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200

    def fail() -> None:
        raise Problem(503, "catalogue_unavailable", "no answer")

    monkeypatch.setattr(store.catalogue, "reachable", fail)
    assert (await client.get("/health/ready")).status_code == 503


async def test_the_description_has_every_operation(client: httpx.AsyncClient) -> None:
    described = (await client.get("/v1/openapi.json", headers={"authorization": ""})).json()
    found = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert found == {(operation.method, operation.path) for operation in OPERATIONS}
    references = {
        part.partition('"')[0] for part in msgspec.json.encode(described).decode().split("#/components/schemas/")[1:]
    }
    assert references <= set(described["components"]["schemas"])


def test_every_collection_route_is_served() -> None:
    routes = {(route.method, route.path) for route in ROUTES if route.path.startswith("/v1/collections")}
    assert routes == {(call.method, call.path) for call in (*OPERATIONS, *STREAMS)}
