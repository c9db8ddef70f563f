"""Every wrong input gets its status, code and field, a documented one, and nothing of it is applied."""

import base64
import json
import re
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.requests import MAX_FILE_BYTES
from anfl.vectors.requests import MAX_INTEGER, MAX_METADATA_BYTES, MAX_QUERIES, MAX_ROWS
from anfl.vectors.store import VectorStore
from services.vector_store.app import assemble
from services.vector_store.openapi import document
from tests.unit.vectors.serving import PlainTokens

pytestmark = pytest.mark.anyio

COLLECTIONS, WORDS, ABSENT = "/v1/collections", "/v1/collections/words", "/v1/collections/absent"
ALIASES, SNAPSHOTS = "/v1/aliases", f"{WORDS}/snapshots"
BEGIN, IMPORTS, NO_IMPORT = f"{WORDS}/imports", "/v1/imports", f"/v1/imports/{'0' * 32}"
GOOD = {"id": "good", "values": [1.0, 0.0]}
FIELDS = {"text": "string", "price": "number", "sold": "boolean", "tags": "string[]"}
DESCRIPTION = document()


def f32(*numbers: float) -> dict[str, str]:
    return {"f32": base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()}


def upsert(**wrong: Any) -> dict[str, Any]:
    """A good row and one that is wrong: whatever is wrong, neither may be stored."""
    return {"vectors": [GOOD, {"id": "bad", "values": [0.0, 1.0]} | wrong]}


def files(*formats: str, size: int = 1) -> dict[str, Any]:
    return {"files": [{"format": each, "bytes": size} for each in formats]}


def at_bad(member: str) -> str:
    return f"vectors[1].{member}"


UPSERTS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("too few numbers", upsert(values=[1.0]), 400, "invalid_request", at_bad("values")),
    ("too many numbers", upsert(values=[1.0, 2.0, 3.0]), 400, "invalid_request", at_bad("values")),
    ("no numbers", upsert(values=[]), 400, "invalid_request", at_bad("values")),
    ("text for a number", upsert(values=[1.0, "x"]), 400, "invalid_request", at_bad("values[1]")),
    ("zero under cosine", upsert(values=[0.0, 0.0]), 400, "invalid_request", at_bad("values")),
    ("zero under cosine, packed", upsert(values=f32(0.0, 0.0)), 400, "invalid_request", at_bad("values")),
    ("overflows float32", upsert(values=[1e300, 0.0]), 400, "invalid_request", at_bad("values")),
    ("as long as squares cannot hold", upsert(values=[3e38, 0.0]), 400, "invalid_request", at_bad("values")),
    ("as short as squares cannot hold", upsert(values=[1e-40, 0.0]), 400, "invalid_request", at_bad("values")),
    ("NaN, packed", upsert(values=f32(float("nan"), 1.0)), 400, "invalid_request", at_bad("values")),
    ("infinity, packed", upsert(values=f32(float("inf"), 1.0)), 400, "invalid_request", at_bad("values")),
    ("wrong dimension, packed", upsert(values=f32(1.0, 2.0, 3.0)), 400, "invalid_request", at_bad("values")),
    ("no base64", upsert(values={"f32": "?"}), 400, "invalid_request", at_bad("values.f32")),
    ("base64 of half a number", upsert(values={"f32": "AAA="}), 400, "invalid_request", at_bad("values.f32")),
    ("another packing", upsert(values={"f64": "AAAA"}), 400, "invalid_request", at_bad("values.f64")),
    ("no values", {"vectors": [GOOD, {"id": "bad"}]}, 400, "invalid_request", at_bad("values")),
    ("no id", {"vectors": [GOOD, {"values": [0.0, 1.0]}]}, 400, "invalid_request", at_bad("id")),
    ("an empty id", upsert(id=""), 400, "invalid_request", at_bad("id")),
    ("an id that is a number", upsert(id=7), 400, "invalid_request", at_bad("id")),
    ("an id of 513 bytes", upsert(id="é" * 256 + "x"), 400, "invalid_request", at_bad("id")),
    ("an id twice", {"vectors": [GOOD, GOOD]}, 400, "invalid_request", at_bad("id")),
    ("a text for a declared number", upsert(metadata={"price": "1"}), 400, "invalid_request", at_bad("metadata.price")),
    ("a boolean for a number", upsert(metadata={"price": True}), 400, "invalid_request", at_bad("metadata.price")),
    ("a number for a boolean", upsert(metadata={"sold": 1}), 400, "invalid_request", at_bad("metadata.sold")),
    ("a number for a text", upsert(metadata={"text": 1}), 400, "invalid_request", at_bad("metadata.text")),
    ("a text for texts", upsert(metadata={"tags": "x"}), 400, "invalid_request", at_bad("metadata.tags")),
    ("a number among texts", upsert(metadata={"tags": ["x", 1]}), 400, "invalid_request", at_bad("metadata.tags")),
    ("an object in metadata", upsert(metadata={"x": {"y": 1}}), 400, "invalid_request", at_bad("metadata.x")),
    ("a list in a list", upsert(metadata={"x": [[1]]}), 400, "invalid_request", at_bad("metadata.x[0]")),
    ("a name that a filter cannot say", upsert(metadata={"$x": None}), 400, "invalid_request", at_bad("metadata.$x")),
    ("beyond safe integers", upsert(metadata={"x": MAX_INTEGER + 1}), 400, "invalid_request", at_bad("metadata.x")),
    ("too much metadata", upsert(metadata={"x": "y" * MAX_METADATA_BYTES}), 413, "too_large", at_bad("metadata")),
    ("expiry before time", upsert(expires_at=-1), 400, "invalid_request", at_bad("expires_at")),
    ("expiry that is a text", upsert(expires_at="soon"), 400, "invalid_request", at_bad("expires_at")),
    ("a negative version", upsert(if_version=-1), 400, "invalid_request", at_bad("if_version")),
    ("another version", upsert(if_version=7), 409, "version_conflict", at_bad("if_version")),
    ("a member unknown to rows", upsert(value=[1.0]), 400, "invalid_request", at_bad("value")),
    ("an unknown member", upsert() | {"vector": []}, 400, "invalid_request", "vector"),
    ("no rows", {"vectors": []}, 400, "invalid_request", "vectors"),
    ("nothing", {}, 400, "invalid_request", "vectors"),
    (
        "too many rows",
        {"vectors": [{"id": str(n), "values": [1.0, 0.0]} for n in range(MAX_ROWS + 1)]},
        400,
        "invalid_request",
        "vectors",
    ),
    ("an empty request id", upsert() | {"request_id": ""}, 400, "invalid_request", "request_id"),
    ("a long request id", upsert() | {"request_id": "x" * 129}, 400, "invalid_request", "request_id"),
    ("a request id used for something else", upsert() | {"request_id": "used"}, 409, "request_id_reused", None),
]

REST: list[tuple[str, str, str, Any, int, str, str | None]] = [
    ("POST", COLLECTIONS, "no dimension", {"name": "x"}, 400, "invalid_request", "dimension"),
    ("POST", COLLECTIONS, "dimension 0", {"name": "x", "dimension": 0}, 400, "invalid_request", "dimension"),
    ("POST", COLLECTIONS, "dimension 4097", {"name": "x", "dimension": 4097}, 400, "invalid_request", "dimension"),
    ("POST", COLLECTIONS, "half a dimension", {"name": "x", "dimension": 1.5}, 400, "invalid_request", "dimension"),
    ("POST", COLLECTIONS, "a name with a slash", {"name": "a/b", "dimension": 2}, 400, "invalid_request", "name"),
    ("POST", COLLECTIONS, "a name too long", {"name": "a" * 64, "dimension": 2}, 400, "invalid_request", "name"),
    (
        "POST",
        COLLECTIONS,
        "another metric",
        {"name": "x", "dimension": 2, "metric": "hamming"},
        400,
        "invalid_request",
        "metric",
    ),
    (
        "POST",
        COLLECTIONS,
        "a graph of one link",
        {"name": "x", "dimension": 2, "index": {"m": 1}},
        400,
        "invalid_request",
        "index.m",
    ),
    (
        "POST",
        COLLECTIONS,
        "an unknown type",
        {"name": "x", "dimension": 2, "fields": {"a": "date"}},
        400,
        "invalid_request",
        "fields.a",
    ),
    (
        "POST",
        COLLECTIONS,
        "a field that a filter cannot name",
        {"name": "x", "dimension": 2, "fields": {"$a": "string"}},
        400,
        "invalid_request",
        "fields.$a",
    ),
    ("PATCH", WORDS, "the same", {"fields": {**FIELDS, "$a": "string"}}, 400, "invalid_request", "fields.$a"),
    (
        "PATCH",
        f"{WORDS}/vectors",
        "the same",
        {"vectors": [{"id": "kept", "metadata": {"ok": 1}}, {"id": "gone", "metadata": {"$": 1}}]},
        400,
        "invalid_request",
        "vectors[1].metadata.$",
    ),
    ("POST", COLLECTIONS, "other settings", {"name": "words", "dimension": 3}, 409, "collection_exists", None),
    ("POST", COLLECTIONS, "no JSON", b"{", 400, "malformed_json", None),
    ("POST", COLLECTIONS, "no UTF-8", b'{"name": "\xff"}', 400, "malformed_json", None),
    ("POST", COLLECTIONS, "NaN", b'{"dimension": NaN}', 400, "malformed_json", None),
    ("POST", COLLECTIONS, "a list", [], 400, "invalid_request", None),
    ("PATCH", WORDS, "a graph's parameter", {"index": {"m": 8}}, 400, "invalid_request", "index.m"),
    ("PATCH", WORDS, "ef 0", {"index": {"ef_search": 0}}, 400, "invalid_request", "index.ef_search"),
    ("PATCH", ABSENT, "absent", {}, 404, "collection_not_found", None),
    ("GET", ABSENT, "absent", None, 404, "collection_not_found", None),
    ("DELETE", ABSENT, "absent", None, 404, "collection_not_found", None),
    ("GET", f"{ABSENT}/stats", "absent", None, 404, "collection_not_found", None),
    ("POST", f"{ABSENT}/warm", "absent", None, 404, "collection_not_found", None),
    ("GET", f"{ABSENT}/export", "absent", None, 404, "collection_not_found", None),
    ("PUT", f"{ABSENT}/vectors", "absent", {"vectors": [GOOD]}, 404, "collection_not_found", None),
    (
        "PATCH",
        f"{WORDS}/vectors",
        "another version",
        {"vectors": [{"id": "kept", "metadata": {"price": 2}}, {"id": "gone", "metadata": {}, "if_version": 1}]},
        409,
        "version_conflict",
        "vectors[1].if_version",
    ),
    (
        "PATCH",
        f"{WORDS}/vectors",
        "an undeclared type",
        {"vectors": [{"id": "kept", "metadata": {"price": "2"}}]},
        400,
        "invalid_request",
        "vectors[0].metadata.price",
    ),
    ("POST", f"{WORDS}/vectors/delete", "neither", {}, 400, "invalid_request", "ids"),
    (
        "POST",
        f"{WORDS}/vectors/delete",
        "both",
        {"ids": ["kept"], "filter": {"price": 1}},
        400,
        "invalid_request",
        "ids",
    ),
    ("POST", f"{WORDS}/vectors/delete", "everything", {"filter": {}}, 400, "invalid_request", "filter"),
    (
        "POST",
        f"{WORDS}/vectors/delete",
        "an operator there is not",
        {"filter": {"price": {"$near": 1}}},
        400,
        "invalid_request",
        "filter.price.$near",
    ),
    ("POST", f"{WORDS}/vectors/delete", "no ids", {"ids": []}, 400, "invalid_request", "ids"),
    ("POST", f"{WORDS}/vectors/fetch", "no ids", {"ids": []}, 400, "invalid_request", "ids"),
    (
        "POST",
        f"{WORDS}/vectors/fetch",
        "too many ids",
        {"ids": [str(n) for n in range(MAX_ROWS + 1)]},
        400,
        "invalid_request",
        "ids",
    ),
    ("POST", f"{WORDS}/query", "nothing to search for", {}, 400, "invalid_request", "vector"),
    ("POST", f"{WORDS}/query", "two things", {"vector": [1, 0], "id": "kept"}, 400, "invalid_request", "vector"),
    ("POST", f"{WORDS}/query", "wrong dimension", {"vector": [1]}, 400, "invalid_request", "vector"),
    ("POST", f"{WORDS}/query", "zero", {"vector": [0, 0]}, 400, "invalid_request", "vector"),
    ("POST", f"{WORDS}/query", "one of many", {"vectors": [[1, 0], [1]]}, 400, "invalid_request", "vectors[1]"),
    (
        "POST",
        f"{WORDS}/query",
        "too many",
        {"vectors": [[1, 0]] * (MAX_QUERIES + 1)},
        400,
        "invalid_request",
        "vectors",
    ),
    ("POST", f"{WORDS}/query", "k 0", {"vector": [1, 0], "k": 0}, 400, "invalid_request", "k"),
    ("POST", f"{WORDS}/query", "k 1001", {"vector": [1, 0], "k": 1001}, 400, "invalid_request", "k"),
    ("POST", f"{WORDS}/query", "k a text", {"vector": [1, 0], "k": "1"}, 400, "invalid_request", "k"),
    ("POST", f"{WORDS}/query", "ef 0", {"vector": [1, 0], "ef": 0}, 400, "invalid_request", "ef"),
    (
        "POST",
        f"{WORDS}/query",
        "include",
        {"vector": [1, 0], "include": ["vector"]},
        400,
        "invalid_request",
        "include[0]",
    ),
    (
        "POST",
        f"{WORDS}/query",
        "format",
        {"vector": [1, 0], "values_format": "f64"},
        400,
        "invalid_request",
        "values_format",
    ),
    (
        "POST",
        f"{WORDS}/query",
        "consistency",
        {"vector": [1, 0], "consistency": "eventual"},
        400,
        "invalid_request",
        "consistency",
    ),
    (
        "POST",
        f"{WORDS}/query",
        "position",
        {"vector": [1, 0], "min_sequence": "x"},
        400,
        "invalid_request",
        "min_sequence",
    ),
    (
        "POST",
        f"{WORDS}/query",
        "another history",
        {"vector": [1, 0], "min_sequence": "9.1"},
        409,
        "history_lost",
        None,
    ),
    ("POST", f"{WORDS}/query", "an absent row", {"id": "gone"}, 404, "row_not_found", None),
    ("POST", f"{WORDS}/count", "filter", {"filter": {"$or": 1}}, 400, "invalid_request", "filter.$or"),
    ("GET", f"{WORDS}/vectors?limit=0", "limit 0", None, 400, "invalid_request", "limit"),
    ("GET", f"{WORDS}/vectors?limit=1001", "limit 1001", None, 400, "invalid_request", "limit"),
    ("GET", f"{WORDS}/vectors?limit=1&limit=2", "twice", None, 400, "invalid_request", "limit"),
    ("GET", f"{WORDS}/vectors?cursor=x", "cursor", None, 400, "invalid_request", "cursor"),
    ("GET", f"{WORDS}/vectors?filter=1", "filter", None, 400, "invalid_request", "filter"),
    ("GET", f"{WORDS}/vectors?include=all", "include", None, 400, "invalid_request", "include[0]"),
    ("GET", f"{WORDS}/export?filter={{", "filter", None, 400, "invalid_request", "filter"),
    ("GET", f"{WORDS}/export?limit=1", "unknown", None, 400, "invalid_request", "limit"),
    ("PATCH", WORDS, "rows contradict", {"fields": {"price": "string"}}, 409, "field_contradicted", "fields.price"),
    ("POST", COLLECTIONS, "an engine", {"name": "x", "dimension": 2, "engine": "?"}, 400, "invalid_request", "engine"),
    ("POST", COLLECTIONS, "an alias", {"name": "live", "dimension": 2}, 409, "alias_exists", None),
    ("POST", ALIASES, "no collection", {"alias": "x"}, 400, "invalid_request", "collection"),
    ("POST", ALIASES, "no name", {"alias": "a/b", "collection": "words"}, 400, "invalid_request", "alias"),
    ("POST", ALIASES, "absent", {"alias": "x", "collection": "absent"}, 404, "collection_not_found", None),
    ("POST", ALIASES, "of an alias", {"alias": "x", "collection": "live"}, 404, "collection_not_found", None),
    ("POST", ALIASES, "a collection", {"alias": "words", "collection": "words"}, 409, "collection_exists", None),
    ("POST", ALIASES, "unknown", {"alias": "x", "collection": "words", "y": 1}, 400, "invalid_request", "y"),
    ("DELETE", f"{ALIASES}/gone", "absent", None, 404, "alias_not_found", None),
    ("DELETE", f"{ALIASES}/-", "no name", None, 400, "invalid_request", "alias"),
    ("DELETE", f"{ALIASES}/live?x=1", "unknown", None, 400, "invalid_request", "x"),
    ("DELETE", f"{ALIASES}/live?alias=x", "twice", None, 400, "invalid_request", "alias"),
    ("POST", SNAPSHOTS, "no name", {}, 400, "invalid_request", "snapshot"),
    ("POST", SNAPSHOTS, "a path", {"snapshot": "../parts"}, 400, "invalid_request", "snapshot"),
    ("POST", SNAPSHOTS, "taken", {"snapshot": "monday"}, 409, "snapshot_exists", None),
    ("POST", f"{ABSENT}/snapshots", "absent", {"snapshot": "x"}, 404, "collection_not_found", None),
    ("GET", f"{ABSENT}/snapshots", "absent", None, 404, "collection_not_found", None),
    ("POST", f"{SNAPSHOTS}/delete", "absent", {"snapshot": "gone"}, 404, "snapshot_not_found", None),
    ("POST", f"{SNAPSHOTS}/delete", "no name", {"snapshot": "-"}, 400, "invalid_request", "snapshot"),
    ("POST", f"{ABSENT}/snapshots/delete", "absent", {"snapshot": "monday"}, 404, "collection_not_found", None),
    ("POST", f"{WORDS}/restore", "no name", {"snapshot": "monday"}, 400, "invalid_request", "into"),
    ("POST", f"{WORDS}/restore", "a path", {"snapshot": "a/b", "into": "x"}, 400, "invalid_request", "snapshot"),
    ("POST", f"{WORDS}/restore", "into a path", {"snapshot": "monday", "into": "."}, 400, "invalid_request", "into"),
    ("POST", f"{WORDS}/restore", "absent", {"snapshot": "gone", "into": "x"}, 404, "snapshot_not_found", None),
    ("POST", f"{WORDS}/restore", "itself", {"snapshot": "monday", "into": "words"}, 409, "collection_exists", None),
    ("POST", f"{WORDS}/restore", "an alias", {"snapshot": "monday", "into": "live"}, 409, "collection_exists", None),
    ("POST", BEGIN, "no files", {}, 400, "invalid_request", "files"),
    ("POST", BEGIN, "nothing", files(), 400, "invalid_request", "files"),
    ("POST", BEGIN, "too many", files("jsonl", "npy", "npy"), 400, "invalid_request", "files"),
    ("POST", BEGIN, "an array alone", files("npy"), 400, "invalid_request", "files"),
    ("POST", BEGIN, "two of a kind", files("jsonl", "jsonl"), 400, "invalid_request", "files"),
    ("POST", BEGIN, "another format", files("jsonl", "csv"), 400, "invalid_request", "files[1].format"),
    ("POST", BEGIN, "an empty file", files("jsonl", size=0), 400, "invalid_request", "files[0].bytes"),
    ("POST", BEGIN, "huge", files("jsonl", size=MAX_FILE_BYTES + 1), 400, "invalid_request", "files[0].bytes"),
    ("POST", BEGIN, "unknown", {**files("jsonl"), "x": 1}, 400, "invalid_request", "x"),
    ("POST", f"{ABSENT}/imports", "absent", files("jsonl"), 404, "collection_not_found", None),
    ("GET", f"{IMPORTS}?limit=0", "limit 0", None, 400, "invalid_request", "limit"),
    ("GET", f"{IMPORTS}?cursor=x", "cursor", None, 400, "invalid_request", "cursor"),
    ("GET", f"{IMPORTS}?collection=a/b", "a path", None, 400, "invalid_request", "collection"),
    ("GET", f"{IMPORTS}/x", "no id", None, 400, "invalid_request", "id"),
    ("GET", NO_IMPORT, "absent", None, 404, "import_not_found", None),
    *(
        (
            "POST",
            f"{NO_IMPORT}/{call}",
            "absent",
            None,
            404,
            "import_not_found",
            None,
        )
        for call in ("uploads", "start", "redrive", "cancel")
    ),
    ("POST", f"{NO_IMPORT}/start?force=1", "unknown", None, 400, "invalid_request", "force"),
    ("POST", f"{ABSENT}/restore", "absent", {"snapshot": "x", "into": "y"}, 404, "collection_not_found", None),
]

ALL = [("PUT", f"{WORDS}/vectors", *rest) for rest in UPSERTS] + REST


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="client")
async def _client(store: VectorStore, imports: Imports) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(assemble(store, imports, verifier=PlainTokens()))
    headers = {"authorization": "Bearer demo.admin"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        settings = {"name": "words", "dimension": 2, "metric": "cosine", "fields": FIELDS}
        assert (await client.post(COLLECTIONS, json=settings)).status_code == 201
        rows = [{"id": "kept", "values": [1, 0], "metadata": {"price": 1}}]
        written = await client.put(f"{WORDS}/vectors", json={"vectors": rows, "request_id": "used"})
        assert written.status_code == 200
        assert (await client.post(ALIASES, json={"alias": "live", "collection": "words"})).status_code == 200
        assert (await client.post(SNAPSHOTS, json={"snapshot": "monday"})).status_code == 201
        yield client


async def everything(client: httpx.AsyncClient) -> list[Any]:
    """All that a tenant can see."""
    strong = {"consistency": "strong", "include": "values,metadata"}
    rows = await client.get(f"{WORDS}/vectors", params=strong)
    return [rows.json(), *[(await client.get(path)).json() for path in (COLLECTIONS, ALIASES, SNAPSHOTS, IMPORTS)]]


async def test_each_is_refused_by_name_and_nothing_is_applied(client: httpx.AsyncClient) -> None:
    before = await everything(client)
    wrong: list[str] = []
    for method, path, what, body, status, code, field in ALL:
        if body is None:
            answer = await client.request(method, path)
        else:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await client.request(method, path, content=content)
        found = answer.json()
        if (answer.status_code, found.get("code"), found.get("field")) != (status, code, field):
            wrong.append(f"{method} {path}, {what}: {answer.status_code} {answer.text}")
        elif not is_documented(method, path, status, code):
            wrong.append(f"{method} {path}, {what}: {status} {code} is not documented")
        elif answer.headers["content-type"] != "application/problem+json":
            wrong.append(f"{method} {path}, {what}: {answer.headers['content-type']}")
    assert wrong == []
    assert await everything(client) == before


def is_documented(method: str, path: str, status: int, code: str) -> bool:
    template = re.sub("/(words|absent)", "/{name}", path.partition("?")[0])
    template = re.sub(f"{ALIASES}/.*", f"{ALIASES}/{{alias}}", template)
    template = re.sub(f"{IMPORTS}/[^/]+", f"{IMPORTS}/{{id}}", template)
    reference = DESCRIPTION["paths"][template][method.lower()]["responses"][str(status)]["$ref"]
    response = DESCRIPTION["components"]["responses"][reference.rpartition("/")[2]]
    schema = response["content"]["application/problem+json"]["schema"]
    return code in schema["allOf"][1]["properties"]["code"]["enum"]
