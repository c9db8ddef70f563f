"""What every OpenAPI 3.1 description here has: the frame of the document, bearer tokens, problem documents.

Operations that are told by their types alone are `Operation`; `document` describes all of a table of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from anfl.problems import MEDIA_TYPE

REFERENCE = "#/components/schemas/{name}"
_JSON = "application/json"
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "`POST /v1/auth/token` exchanges a credential for a token.",
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:anfl:problem:invalid_request"]},
        "title": {"type": "string", "examples": ["Bad Request"]},
        "status": {"type": "integer", "examples": [400]},
        "code": {"type": "string", "description": "Stable; programs may match on it.", "examples": ["invalid_request"]},
        "detail": {"type": "string", "examples": ["2 numbers; colours takes 3."]},
        "field": {"type": "string", "description": "Path of the offending input.", "examples": ["vector"]},
    },
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call, by the types of what it takes and answers."""

    method: str
    path: str
    name: str
    summary: str
    answer: type | None = None
    status: int = 200
    takes: tuple[type, ...] = ()
    """Of the body; of several, a tag says which one it is."""
    optional: bool = False
    """Whether the body may be left out."""
    guarded: bool = True
    """Whether it takes a token."""
    queries: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the query: name → JSON type."""


def document(
    operations: Iterable[Operation],
    *,
    title: str,
    description: str,
    refusals: Callable[[Operation], Mapping[str, Any]],
) -> dict[str, Any]:
    """The description of these operations, JSON-ready.

    :param refusals: the answers of an operation that are problems, by status.
    """
    operations = tuple(operations)
    types = dict.fromkeys(type_ for o in operations for type_ in (o.answer, *o.takes) if type_ is not None)
    _, schemas = msgspec.json.schema_components(types, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, refusals(operation))
    return frame(title=title, description=description, paths=paths, schemas=schemas)


def frame(
    *,
    title: str,
    description: str,
    paths: Mapping[str, Any],
    schemas: Mapping[str, Any],
    tags: Sequence[str] = (),
    components: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document around ``paths``, which take a bearer token unless they say otherwise.

    :param components: further ones than schemas.
    """
    tagged = {"tags": [{"name": tag} for tag in tags]} if tags else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": description},
        "servers": [{"url": "/"}],
        **tagged,
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {"bearer": _BEARER},
            **(components or {}),
        },
    }


def reference(type_: type) -> dict[str, str]:
    """To the schema of a type."""
    return {"$ref": REFERENCE.format(name=type_.__name__)}


def refusal(description: str) -> dict[str, Any]:
    """An answer that is a problem document."""
    return _answer(description, MEDIA_TYPE, {"$ref": REFERENCE.format(name="Problem")})


def _described(operation: Operation, refusals: Mapping[str, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(operation.status).phrase
    answer = {"description": phrase}
    if operation.answer is not None:
        answer = _answer(phrase, _JSON, reference(operation.answer))
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(operation.status): answer, **refusals},
    }
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [{"name": name, "in": "query", "schema": {"type": kind}} for name, kind in operation.queries.items()]
    if parameters:
        described["parameters"] = parameters
    if not operation.guarded:
        described["security"] = []
    if operation.takes:
        schema = reference(operation.takes[0]) if len(operation.takes) == 1 else _one_of(operation.takes)
        described["requestBody"] = {"required": not operation.optional, "content": {_JSON: {"schema": schema}}}
    return described


def _answer(description: str, media_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _one_of(types: tuple[type, ...]) -> dict[str, Any]:
    told: Any = [type_.__struct_config__ for type_ in types]  # type: ignore[attr-defined]
    tags = {str(each.tag): reference(type_)["$ref"] for each, type_ in zip(told, types, strict=True)}
    return {"oneOf": [*map(reference, types)], "discriminator": {"propertyName": told[0].tag_field, "mapping": tags}}
