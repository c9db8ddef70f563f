"""The OpenAPI 3.1 description, made from the table of operations and the types of their requests and answers."""

from collections.abc import Sequence
from typing import Any

import msgspec

from anfl.problems import MEDIA_TYPE
from anfl.vectors.operations import Operation

_REFERENCE = "#/components/schemas/{name}"
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; programs may match on it."},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "Path of the offending input."},
    },
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The description of ``operations``, JSON-ready."""
    types = {
        type_ for operation in operations for type_ in (*operation.answers[200], operation.takes) if type_ is not None
    }
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ANFL vector store", "version": "1"},
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _described(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    if operation.names_collection:
        parameters.append({"name": "name", "in": "path", "required": True, "schema": {"type": "string"}})
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    if operation.takes is not None and operation.method == "GET":
        parameters += _query_parameters(components[operation.takes.__name__])
    elif operation.takes is not None:
        body = _reference(operation.takes)
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if parameters:
        described["parameters"] = parameters
    answers = [_reference(answer) for answer in operation.answers[200]]
    answer = answers[0] if len(answers) == 1 else {"oneOf": answers}
    described["responses"] = {
        "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
        "default": {
            "description": "Refused, or failed",
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
        },
    }
    return described


def _reference(type_: type) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=type_.__name__)}


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Members of a request as a query string has them: objects as JSON text, lists joined by commas."""
    parameters: list[dict[str, Any]] = []
    for name, member in schema["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query"}
        if name == "filter":
            parameter["content"] = {"application/json": {"schema": member}}
        elif member.get("type") == "array":
            parameter |= {"schema": member, "style": "form", "explode": False}
        else:
            parameter["schema"] = member
        parameters.append(parameter)
    return parameters
