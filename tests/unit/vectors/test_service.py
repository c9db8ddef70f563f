"""The vector store service over ASGI, with tokens that say who they are."""

import asyncio
import gzip
import json
import logging
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from anfl.auth.principal import Principal
from anfl.auth.rbac import ROUTES
from anfl.http.admission import Room
from anfl.http.service import Service
from anfl.problems import Problem
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.operations import IMPORT_CALLS
from anfl.vectors.operations import OPERATIONS, STREAMS, Call
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from services.vector_store.examples import EXAMPLES
from tests.unit.vectors.serving import PlainTokens

pytestmark = pytest.mark.anyio


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="client")
async def _client(store: VectorStore, imports: Imports) -> AsyncIterator[httpx.AsyncClient]:
    service = assemble(store, imports, verifier=PlainTokens(), stage_prefix="/live")
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


async def test_a_mistake_is_undone_behind_an_alias(client: httpx.AsyncClient) -> None:
    await created(client)
    base = "/v1/collections/words"
    live = {"alias": "live", "collection": "words"}
    assert (await client.post("/v1/aliases", json=live)).json() == live
    await client.put("/v1/collections/live/vectors", json=ROWS)
    made = await client.post("/v1/collections/live/snapshots", json={"snapshot": "monday"})
    assert (made.status_code, made.json()["rows"], made.json()["sequence"]) == (201, 2, "1.1")
    assert (await client.post(f"{base}/vectors/delete", json={"filter": {"n": 1}})).status_code == 200
    restored = await client.post(f"{base}/restore", json={"snapshot": "monday", "into": "again"})
    assert (restored.status_code, restored.json()["name"]) == (201, "again")
    assert (await client.post("/v1/aliases", json=live | {"collection": "again"})).status_code == 200
    assert (await client.get("/v1/aliases")).json() == {"aliases": [live | {"collection": "again"}]}
    assert (await client.post("/v1/collections/live/count", json={})).json()["count"] == 2
    assert (await client.get(f"{base}/snapshots")).json()["snapshots"] == [made.json()]
    assert (await client.post(f"{base}/snapshots/delete", json={"snapshot": "monday"})).json() == {"deleted": "monday"}
    assert (await client.get(f"{base}/snapshots")).json() == {"snapshots": []}
    assert (await client.delete("/v1/aliases/live")).json() == {"deleted": "live"}
    assert (await client.get("/v1/collections/live")).status_code == 404


async def test_snapshots_are_the_operators_and_aliases_the_writers(client: httpx.AsyncClient) -> None:
    await created(client)
    operator, writer = ({"authorization": f"Bearer demo.{role}"} for role in ("operator", "writer"))
    snapshots, alias = "/v1/collections/words/snapshots", {"alias": "live", "collection": "words"}
    for headers, snapshot, aliased in ((writer, 403, 200), (operator, 201, 403)):
        asked = await client.post(snapshots, json={"snapshot": "monday"}, headers=headers)
        assert asked.status_code == snapshot, asked.text
        assert (await client.post("/v1/aliases", json=alias, headers=headers)).status_code == aliased
        assert (await client.get(snapshots, headers=headers)).status_code == 200
    restore = "/v1/collections/words/restore"
    stranger = {"authorization": "Bearer other.admin"}
    answer = await client.post(restore, json={"snapshot": "monday", "into": "mine"}, headers=stranger)
    assert answer.status_code == 404
    assert (await client.delete("/v1/aliases/live", headers=stranger)).status_code == 404


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
        ("GET", "/v1/collections/words/vectors?nonsense=1", b"", 400, "nonsense"),
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


async def test_no_call_ignores_what_stands_in_the_query_string(client: httpx.AsyncClient) -> None:
    await created(client)
    for call in (*OPERATIONS, *STREAMS, *IMPORT_CALLS):
        path = call.path.format(name="words", id="0" * 32, alias="live")
        content = b"{}" if call.has_body else None
        answer = await client.request(call.method, path, params={"colour": "red"}, content=content)
        assert (answer.status_code, answer.json()["field"]) == (400, "colour"), (call.name, answer.text)
    assert (await client.get("/v1/collections/words")).status_code == 200


async def test_collections_and_aliases_come_page_by_page(client: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await created(client, name=name)
        await client.post("/v1/aliases", json={"alias": f"x{name}", "collection": name})
    for path, member, key, names in (
        ("/v1/collections", "collections", "name", ["a", "b", "c"]),
        ("/v1/aliases", "aliases", "alias", ["xa", "xb", "xc"]),
    ):
        first = (await client.get(path, params={"limit": 2})).json()
        second = (await client.get(path, params={"limit": 2, "cursor": first["cursor"]})).json()
        assert [each[key] for each in first[member] + second[member]] == names
        assert "cursor" not in second
        for wrong in ({"limit": 0}, {"limit": 1001}, {"cursor": "a/b"}):
            answer = await client.get(path, params=wrong)
            assert (answer.status_code, answer.json()["field"]) == (400, next(iter(wrong)))


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


async def test_a_body_above_the_limit(store: VectorStore, imports: Imports) -> None:
    async with calling(assemble(store, imports, verifier=PlainTokens(), max_body=100)) as client:
        answer = await client.post("/v1/collections", content=b" " * 101)
    assert answer.status_code == 413


async def test_too_many_at_once_are_told_to_slow_down_and_the_node_is_healthy(
    store: VectorStore, imports: Imports
) -> None:
    full = assemble(store, imports, verifier=PlainTokens(), room=Room(requests=0, body_bytes=0))
    async with calling(full) as client:
        answer = await client.get("/v1/collections")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert (await client.get("/health/ready")).status_code == 200


async def test_bodies_count_before_they_are_read(store: VectorStore, imports: Imports) -> None:
    client = calling(assemble(store, imports, verifier=PlainTokens(), room=Room(requests=9, body_bytes=150)))
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


async def slow_body(first_part: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    yield b'{"filter": '
    first_part.set()
    await go_on.wait()
    yield b"null}"


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("room", "size"), [(Room(requests=4, body_bytes=9_999), 14), (Room(requests=9, body_bytes=400), 100)]
)
async def test_a_tenant_leaves_room_to_others(store: VectorStore, imports: Imports, room: Room, size: int) -> None:
    """Three quarters are full of its requests."""
    service = assemble(store, imports, verifier=PlainTokens(), room=room)
    async with calling(service) as client:
        await created(client)
        go_on, count, slow = asyncio.Event(), "/v1/collections/words/count", []
        for _ in range(3):
            first_part = asyncio.Event()
            body = slow_body(first_part, go_on)
            slow.append(asyncio.create_task(client.post(count, content=body, headers={"content-length": str(size)})))
            await first_part.wait()
        refused = await client.post(count, content=b"{}" + b" " * (size - 2))
        other = {"authorization": "Bearer other.admin"}
        theirs = await client.post("/v1/collections", json={"name": "words", "dimension": 2}, headers=other)
        assert (refused.status_code, theirs.status_code) == (429, 201)
        go_on.set()
        assert {(await each).status_code for each in slow} == {200}
        assert (await client.post(count, content=b"{}" + b" " * (size - 2))).status_code == 200


async def test_bodies_without_a_length_count_as_they_come(store: VectorStore, imports: Imports) -> None:
    """Each counted as the largest there may be, so that a tenant's second one was refused, however small."""
    service = assemble(store, imports, verifier=PlainTokens(), room=Room(requests=9, body_bytes=400), max_body=400)
    async with calling(service) as client:
        await created(client)
        first_part, go_on, count = asyncio.Event(), asyncio.Event(), "/v1/collections/words/count"
        slow = asyncio.create_task(client.post(count, content=slow_body(first_part, go_on)))
        await first_part.wait()
        assert (await client.post(count, content=in_parts(b"{}", b" " * 9))).status_code == 200
        refused = await client.post(count, content=in_parts(b"{}", b" " * 298))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        go_on.set()
        assert (await slow).status_code == 200
        assert (await client.post(count, content=in_parts(b"{}", b" " * 298))).status_code == 200


async def test_health_needs_no_token_and_tells_of_the_catalogue(
    client: httpx.AsyncClient, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/health/live", headers={"authorization": ""})).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200

    def fail() -> None:
        raise Problem(503, "catalogue_unavailable", "no answer")

    monkeypatch.setattr(store.catalogue, "reachable", fail)
    assert (await client.get("/health/ready")).status_code == 503


def test_every_route_of_the_vector_store_is_served() -> None:
    ours = ("/v1/collections", "/v1/aliases", "/v1/imports")
    routes = {(route.method, route.path) for route in ROUTES if route.path.startswith(ours)}
    assert routes == {(call.method, call.path) for call in (*OPERATIONS, *IMPORT_CALLS, *STREAMS)}


async def test_bodies_may_be_compressed_within_the_same_limits(store: VectorStore, imports: Imports) -> None:
    room = Room(requests=9, body_bytes=3_000)
    async with calling(assemble(store, imports, verifier=PlainTokens(), room=room, max_body=2_000)) as client:
        await created(client)
        upsert, rows = "/v1/collections/words/vectors", json.dumps(ROWS).encode()
        for encoding, pack in (("gzip", gzip.compress), ("zstd", zstd.compress)):
            headers = {"content-encoding": encoding}
            assert (await client.put(upsert, content=pack(rows), headers=headers)).status_code == 200
            bomb = await client.put(upsert, content=pack(b" " * 2_001), headers=headers)
            assert (bomb.status_code, bomb.json()["code"]) == (413, "too_large")
            wrong = await client.put(upsert, content=rows, headers=headers)
            assert (wrong.status_code, wrong.json()["code"]) == (400, "malformed_body")
        refused = await client.put(upsert, content=rows, headers={"content-encoding": "br"})
        assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "gzip, zstd")
        assert (await client.put(upsert, content=rows, headers={"content-type": "text/csv"})).status_code == 415
        assert (await client.post("/v1/collections/words/count", json={})).json()["count"] == 2


async def test_what_a_compressed_body_holds_counts_while_it_is_inside(store: VectorStore, imports: Imports) -> None:
    async with calling(
        assemble(store, imports, verifier=PlainTokens(), room=Room(requests=9, body_bytes=500))
    ) as client:
        await created(client)
        body = gzip.compress(b" " * 1_000 + b"{}")
        count = "/v1/collections/words/count"
        refused = await client.post(count, content=body, headers={"content-encoding": "gzip"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await client.post(count, content=b"{}" + b" " * 490)).status_code == 200


async def test_what_is_anothers_is_met_as_what_is_not_there(client: httpx.AsyncClient) -> None:
    """Whatever is asked: another tenant's gets the answer of what nobody has, and nothing comes of it."""
    await created(client)
    base = "/v1/collections/words"
    await client.put(f"{base}/vectors", json=ROWS)
    await client.post("/v1/aliases", json={"alias": "terms", "collection": "words"})
    await client.post(f"{base}/snapshots", json={"snapshot": "monday"})
    files = {"files": [{"format": "jsonl", "bytes": 76}]}
    begun = (await client.post(f"{base}/imports", json=files)).json()["id"]
    # It is in memory, so that nobody has to look.
    assert (await client.post(f"{base}/query", json={"vector": [1, 0], "k": 1})).is_success
    shown = ("/v1/collections", "/v1/aliases", "/v1/imports", f"{base}/snapshots", f"{base}/stats")
    before = [(await client.get(path)).json() for path in shown]
    stranger = {"authorization": "Bearer other.admin"}

    async def answer(call: Call, **named: str) -> tuple[int, str]:
        asked = {name: value for name, value in (EXAMPLES[call.name].request or {}).items() if name not in call.in_path}
        given: dict[str, Any] = {"json": asked} if call.has_body else {"params": query_string(asked)}
        found = await client.request(call.method, call.path.format(**named), headers=stranger, **given)
        return found.status_code, re.sub("|".join(map(re.escape, named.values())), "…", found.text)

    calls = [call for call in (*OPERATIONS, *STREAMS, *IMPORT_CALLS) if "{" in call.path]
    assert len(calls) > 20
    for call in calls:
        found = await answer(call, name="words", id=begun, alias="terms")
        assert found[0] == 404, call.name
        assert found == await answer(call, name="nowhere", id="0" * len(begun), alias="nobodys"), call.name
    named = await client.post("/v1/aliases", json={"alias": "mine", "collection": "words"}, headers=stranger)
    assert named.status_code == 404
    for path in shown[:3]:
        assert not any((await client.get(path, headers=stranger)).json().values())
    assert [(await client.get(path)).json() for path in shown] == before


def query_string(asked: dict[str, Any]) -> dict[str, Any]:
    """As lists and filters stand in one."""
    text = {name: ",".join(value) if isinstance(value, list) else value for name, value in asked.items()}
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in text.items()}


async def test_an_export_is_refused_before_it_begins_or_comes_whole(client: httpx.AsyncClient) -> None:
    await created(client)
    rows = [{"id": f"r{number:04}", "values": [number, 1]} for number in range(1, 1_001)]
    assert (await client.put("/v1/collections/words/vectors", json={"vectors": rows})).status_code == 200
    assert (await client.get("/v1/collections/words/export?filter={")).status_code == 400
    answer = await client.get("/v1/collections/words/export", params={"include": "values", "values_format": "f32"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert lines[0] == {"id": "r0001", "version": 1, "values": {"f32": "AACAPwAAgD8="}}


async def test_an_export_ends_within_a_page_once_its_bearer_is_revoked(
    store: VectorStore, imports: Imports, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads slowly would otherwise read on for days by a token that somebody had to take back."""
    pages = 0

    class Revoked(PlainTokens):
        def is_revoked(self, principal: Principal) -> bool:
            nonlocal pages
            pages += 1
            return principal.tenant == "demo" and pages > 1

    async with calling(assemble(store, imports, verifier=Revoked())) as client:
        await created(client)
        rows = [{"id": f"r{number:04}", "values": [number, 1]} for number in range(1, 1_001)]
        assert (await client.put("/v1/collections/words/vectors", json={"vectors": rows})).status_code == 200
        caplog.clear()  # other tests leave the level where all of it is told
        # over HTTP, the body is cut off
        with caplog.at_level(logging.INFO, "anfl.audit"), pytest.raises(Problem, match="token_revoked"):
            await client.get("/v1/collections/words/export")
    assert pages == 2
    told = [vars(record) for record in caplog.records if record.name == "anfl.audit"]
    assert [(line["decision"], line["reason"], line["tenant"]) for line in told] == [("deny", "token_revoked", "demo")]


async def test_a_query_of_what_is_at_hand_needs_no_thread(
    client: httpx.AsyncClient, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await created(client)
    await client.put("/v1/collections/words/vectors", json=ROWS)

    def elsewhere(*_: object) -> None:
        raise AssertionError("in a thread")

    monkeypatch.setattr(store, "query", elsewhere)
    query = "/v1/collections/words/query"
    assert (await client.post(query, json={"vector": [1, 0], "k": 1})).json()["matches"][0]["id"] == "a"
    assert (await client.post(query, json={"vector": [1], "k": 1})).status_code == 400
    for wanting in ({"consistency": "strong"}, {"min_sequence": "1.9"}, {"k": 1_000}):
        assert (await client.post(query, json={"vector": [1, 0], **wanting})).status_code == 500
