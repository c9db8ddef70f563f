"""The OpenAPI 3.1 description, made from the table of operations and the types of their requests and answers.

``python -m services.vector_store.openapi`` writes it to ``docs/openapi.json``, where a test compares it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from anfl.auth.rbac import ROUTES
from anfl.http.requests import SILENCE_SECONDS
from anfl.openapi import REFERENCE, frame, reference
from anfl.problems import MEDIA_TYPE
from anfl.vectors.dynamodb.capabilities import Capability
from anfl.vectors.dynamodb.table import MOST_TOGETHER
from anfl.vectors.imports.operations import IMPORT_CALLS
from anfl.vectors.model import MAX_DIMENSION, MAX_ID_BYTES, NAME_PATTERN
from anfl.vectors.operations import OPERATIONS, STREAMS, Call, Streamed
from anfl.vectors.refusals import MEANINGS, Meaning
from anfl.vectors.requests import MAX_BODY_BYTES, MAX_K, MAX_METADATA_BYTES, MAX_QUERIES, MAX_ROWS
from services.vector_store.examples import EXAMPLES, Example

PLACE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
_LACKS = "; ".join(each.value.what for each in Capability)
_DESCRIPTION = f"""\
Vectors with metadata in collections of a tenant, searched by distance and filter.

**Limits.** A body has at most {MAX_BODY_BYTES} bytes, decompressed; {MAX_ROWS} rows, ids or patches a request;
{MAX_QUERIES} vectors a query; k up to {MAX_K}; dimensions up to {MAX_DIMENSION}; ids up to {MAX_ID_BYTES} bytes of
UTF-8; a row's metadata up to {MAX_METADATA_BYTES} bytes. Through the gateway, bodies and answers end at 10 MB.

**Bodies** are JSON in UTF-8, and may be compressed (`content-encoding: gzip` or `zstd`).

**Values** are a list of numbers, or `{{"f32": "<base64 of little-endian float32>"}}`, which is smaller and faster;
`values_format` chooses in which form they are given back.

**Consistency.** An answer is at most a second old (`bounded`), newer than anything acknowledged before it was asked for
(`strong`), or at least as new as `min_sequence`, the `sequence` of an earlier answer.

**Writes** with a `request_id` may be repeated at will for 24 hours: they are applied once.

**Engines.** `hnsw` keeps a collection in the memory of a node or two; `dynamodb` keeps it in a table with a vector
index, for collections beyond that, in classes that operators make room for. What it has not is 400
`not_supported_by_engine`: {_LACKS}. It changes {MOST_TOGETHER} rows together at most, a `request_id` counting as one,
unless `atomic` is false; `hnsw` takes `atomic` false as well, and does all or nothing. All its positions are the same:
queries are of a moment ago, everything else is strong.

**Imports** take files of any number of rows: begin one, `PUT` the parts of its files to the addresses in the answer,
start it, and look how far it is. Rows that are wrong are named and left out.

**Errors** are problem documents (RFC 9457) with a stable `code`; those with `retry-after` may be tried again.
"""
_EVERYWHERE: dict[str, Meaning] = {
    "malformed_http": Meaning(400, "What came is no HTTP request."),
    "invalid_request": Meaning(400, "The query string cannot be read, or holds what the call does not take."),
    "target_too_long": Meaning(414, "Path and query string are too long."),
    "headers_too_large": Meaning(431, "The headers are too many or too long."),
    "internal_error": Meaning(500, "An error of ours; `x-request-id` finds it."),
}
_GUARDED: dict[str, Meaning] = {
    "token_missing": Meaning(401, "There is no bearer token."),
    "token_malformed": Meaning(401, "The token is no JWT of ours."),
    "token_too_large": Meaning(401, "The token is too long."),
    "token_algorithm": Meaning(401, "The token is signed by an algorithm that is not accepted."),
    "token_unknown_key": Meaning(401, "The token is signed by a key that is not published."),
    "token_signature": Meaning(401, "The token's signature is wrong."),
    "token_audience": Meaning(401, "The token was issued by or for somebody else."),
    "token_claims": Meaning(401, "The token lacks a claim, or one is wrong."),
    "token_expired": Meaning(401, "The token has expired."),
    "token_not_yet_valid": Meaning(401, "The token is not valid yet."),
    "token_revoked": Meaning(401, "The token was revoked."),
    "forbidden": Meaning(403, "None of the token's roles grants the action."),
    "too_large": Meaning(413, "The body is over its limit."),
    "too_many_requests": Meaning(429, "The caller sends more than it may, or the node has its hands full."),
    "auth_unavailable": Meaning(503, "Tokens cannot be verified at the moment."),
}
_WITH_BODY: dict[str, Meaning] = {
    "malformed_body": Meaning(400, "The body is not compressed as it says."),
    "request_timeout": Meaning(408, f"Nothing of the body came for {SILENCE_SECONDS:.0f} s."),
    "unsupported_media_type": Meaning(415, "The body is no JSON in UTF-8."),
    "unsupported_encoding": Meaning(415, "The body is compressed by something else than gzip or zstd."),
}
_HEALTH: dict[str, Meaning] = {
    "draining": Meaning(503, "The process is about to stop."),
    "catalogue_unavailable": Meaning(503, "The catalogue does not answer."),
}
_HEADERS: dict[str, dict[str, Any]] = {
    "x-request-id": {
        "description": "The request's id: the caller's, the gateway's, or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "retry-after": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
    "www-authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "accept-encoding": {"description": "Where the encoding was wrong.", "schema": {"type": "string"}},
}
_HEADERS_OF = {401: ["www-authenticate"], 415: ["accept-encoding"], 429: ["retry-after"], 503: ["retry-after"]}
_EXACTLY_ONE = {"Query": ("vector", "vectors", "id"), "DeleteRows": ("ids", "filter")}
"""Members of a request of which one must be there, which its type cannot say."""


class Refusals:
    """The answers to what is refused: operations that refuse for the same reasons share one."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {}
        self._names: dict[tuple[str, ...], str] = {}

    def of(self, meanings: Mapping[str, Meaning]) -> dict[str, dict[str, str]]:
        """By status, a reference."""
        by_status: dict[int, dict[str, str]] = {}
        for code, meaning in sorted(meanings.items()):
            by_status.setdefault(meaning.status, {})[code] = meaning.text
        return {str(status): self._shared(status, codes) for status, codes in sorted(by_status.items())}

    def _shared(self, status: int, codes: Mapping[str, str]) -> dict[str, str]:
        key = (str(status), *codes)
        if key not in self._names:
            number = sum(known[0] == str(status) for known in self._names)
            name = self._names[key] = f"Refused{status}{chr(ord('a') + number)}"
            self.components[name] = _refusal(status, codes)
        return {"$ref": f"#/components/responses/{self._names[key]}"}


def _refusal(status: int, codes: Mapping[str, str]) -> dict[str, Any]:
    text = "\n".join(f"- `{code}`: {meaning}" for code, meaning in codes.items())
    narrowed = {"type": "object", "properties": {"code": {"enum": list(codes)}, "status": {"const": status}}}
    schema = {"allOf": [{"$ref": REFERENCE.format(name="Problem")}, narrowed]}
    return _response(f"{HTTPStatus(status).phrase}\n\n{text}", {MEDIA_TYPE: {"schema": schema}}, status)


def document() -> dict[str, Any]:
    """The description, JSON-ready."""
    calls: tuple[Call, ...] = (*OPERATIONS, *IMPORT_CALLS, *STREAMS)
    paths: dict[str, dict[str, Any]] = {}
    components, refusals = _components(calls), Refusals()
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _described(call, components, refusals)
    paths |= _unguarded(refusals)
    return frame(
        title="ANFL vector store",
        description=_DESCRIPTION,
        paths=paths,
        schemas=components,
        tags=("collections", "vectors", "imports", "snapshots", "service"),
        components={"headers": _HEADERS, "responses": refusals.components},
    )


def _components(calls: Iterable[Call]) -> dict[str, Any]:
    answers = {type_ for call in calls for types in call.answers.values() for type_ in types}
    requests = {call.takes for call in calls if call.takes is not None}
    _, components = msgspec.json.schema_components(answers | requests, ref_template=REFERENCE)
    for name, members in _EXACTLY_ONE.items():
        components[name]["oneOf"] = [_has_only(member, members) for member in members]
    return components


def _has_only(member: str, members: Iterable[str]) -> dict[str, Any]:
    others = {other: {"type": "null"} for other in members if other != member}
    return {"required": [member], "properties": {member: {"not": {"type": "null"}}, **others}}


def _described(call: Call, components: dict[str, Any], refusals: Refusals) -> dict[str, Any]:
    example = EXAMPLES[call.name]
    action = next(route.action for route in ROUTES if (route.method, route.path) == (call.method, call.path))
    described: dict[str, Any] = {
        "operationId": call.name,
        "tags": [_tag(call.path)],
        "summary": call.summary,
        "description": f"{call.details} Needs a role that grants `{action}`.".lstrip(),
    }
    parameters = [_REQUEST_ID, *([_name(example)] if call.names_collection else [])]
    meanings = _EVERYWHERE | _GUARDED | {code.value: MEANINGS[code] for code in call.refusals}
    if call.takes is not None and not call.has_body:
        parameters += _parameters(components[call.takes.__name__], example, in_path=call.in_path)
        meanings.pop("malformed_json", None)
    elif call.takes is not None:
        content = {"application/json": {"schema": reference(call.takes), "examples": _named(example.request)}}
        schema = components[call.takes.__name__]
        described["requestBody"] = {"required": bool(schema.get("required") or schema.get("oneOf")), "content": content}
        meanings |= _WITH_BODY
    described["parameters"] = parameters
    described["responses"] = dict(_answers(call, example)) | refusals.of(meanings)
    return described


def _tag(path: str) -> str:
    if "/vectors" in path or "query" in path or "/deletions" in path:
        return "vectors"
    if "/imports" in path:
        return "imports"
    return "snapshots" if "/snapshots" in path or "/restore" in path else "collections"


def _answers(call: Call, example: Example) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, types in sorted(call.answers.items()):
        references = [reference(type_) for type_ in types]
        schema = references[0] if len(references) == 1 else {"oneOf": references}
        answered = example.answers.get(status)
        if isinstance(call, Streamed):
            lines = {"type": "string", "description": f"One {types[0].__name__} a line, as JSON."}
            content: dict[str, Any] = {"application/x-ndjson": {"schema": lines, "examples": _named(answered)}}
        else:
            content = {"application/json": {"schema": schema, "examples": _named(answered)}}
        yield str(status), _response(HTTPStatus(status).phrase, content, status)


def _response(description: str, content: Mapping[str, Any], status: int) -> dict[str, Any]:
    names = ["x-request-id", *_HEADERS_OF.get(status, [])]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": description, "headers": headers, "content": dict(content)}


def _unguarded(refusals: Refusals) -> dict[str, dict[str, Any]]:
    """What is served to everybody."""
    status = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
    found: dict[str, dict[str, Any]] = {}
    for path, name, summary, schema, meanings in (
        ("/health/live", "live", "Whether the process answers", status, {}),
        ("/health/ready", "ready", "Whether the service can serve", status, _HEALTH),
        ("/v1/openapi.json", "openapi", "This description", {"type": "object"}, {}),
    ):
        answer = _response("OK", {"application/json": {"schema": schema}}, 200)
        found[path] = {
            "get": {
                "operationId": name,
                "tags": ["service"],
                "summary": summary,
                "security": [],
                "parameters": [_REQUEST_ID],
                "responses": {"200": answer} | refusals.of(_EVERYWHERE | meanings),
            }
        }
    return found


_REQUEST_ID: dict[str, Any] = {
    "name": "x-request-id",
    "in": "header",
    "description": "Echoed if it has 1 to 128 of A-Z a-z 0-9 _ . : / = + -; else the answer carries a new one.",
    "schema": {"type": "string"},
}


def _name(example: Example) -> dict[str, Any]:
    schema = {"type": "string", "pattern": re.sub(r"\(\?!\\n\)", "", NAME_PATTERN)}
    return {"name": "name", "in": "path", "required": True, "schema": schema, "example": example.collection}


def _parameters(schema: dict[str, Any], example: Example, *, in_path: Collection[str]) -> list[dict[str, Any]]:
    """Members of a request as path and query string have them: objects as JSON text, lists joined by commas."""
    given = example.request if isinstance(example.request, dict) else {}
    parameters: list[dict[str, Any]] = []
    for name, member in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query"}
        if name in in_path:
            pattern = re.sub(r"\(\?!\\n\)", "", member["pattern"])
            parameter |= {"in": "path", "required": True, "schema": member | {"pattern": pattern}}
        elif name == "filter":
            parameter["content"] = {"application/json": {"schema": {"type": "object"}}}
        elif member.get("type") == "array":
            parameter |= {"schema": member, "style": "form", "explode": False}
        else:
            parameter["schema"] = _without_null(member)
        if name in given and name != "filter":
            parameter["example"] = given[name]
        parameters.append(parameter)
    return parameters


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    """In a query string, what is null is left out."""
    kinds = [kind for kind in member.get("anyOf", []) if kind != {"type": "null"}]
    return {**kinds[0]} if len(kinds) == 1 else member


def _named(value: object) -> dict[str, Any]:
    return {} if value is None else {"typical": {"value": value}}


if __name__ == "__main__":
    PLACE.write_bytes(msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1) + b"\n")
