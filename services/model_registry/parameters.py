"""Reads the parameters of MLflow's calls as its server does, with its messages.

GET carries them in the query string, everything else in a JSON body; absent, null and (for required ones) empty are the
same; unknown ones are ignored.
"""

import asyncio
import json
import re
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from anfl.decoding import convert
from anfl.problems import Problem
from anfl.registry.errors import invalid_parameter
from services.model_registry.errors import MLFLOW_PREFIXES

T = TypeVar("T")
MAX_BODY_BYTES = 2 * 1024 * 1024
"""Of a JSON body. A transaction holds 4 MB; the largest single value that MLflow allows is 100,000 characters."""
LARGEST_BODY_BYTES = 10_000_000
"""Of the one call that takes more: a list of parts, as much as the gateway passes."""
BODY_SECONDS = 60.0
"""For all of a body, however soon each part comes after the last one: the gateway waits no longer for an answer."""
_INTEGER = re.compile(r"\s*[+-]?\d{1,18}\s*")
_HINT = " See the API docs for more information about request parameters."


class Kind(Enum):
    """Type of a parameter."""

    TEXT = "text"
    REQUIRED = "required text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    TEXTS = "list of text"
    TAGS = "list of {key, value}"
    EVENT = "{entity, action}"
    EVENTS = "list of {entity, action}"
    PARTS = "list of {part_number, etag}"


Schema = Mapping[str, Kind]


class Parameters:
    """The parameters of one call, of the types that its schema declares."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """A required text."""
        return str(self._values[name])

    def optional(self, name: str) -> str | None:
        """A text, None where absent."""
        value: str | None = self._values.get(name)
        return value

    def flag(self, name: str) -> bool:
        """A boolean, False where absent."""
        return bool(self._values.get(name, False))

    def number(self, name: str, default: int) -> int:
        """An integer."""
        return int(self._values.get(name, default))

    def optional_number(self, name: str) -> int | None:
        """An integer, None where absent."""
        value: int | None = self._values.get(name)
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty where absent."""
        return list(self._values.get(name, []))

    def tags(self, name: str = "tags") -> dict[str, str]:
        """Tags by key; the last of several with the same key counts."""
        return dict(self._values.get(name, {}))

    def event(self, name: str = "event") -> tuple[str, str] | None:
        """An event as (entity, action), None where absent."""
        event: tuple[str, str] | None = self._values.get(name)
        return event

    def events(self, name: str = "events") -> list[tuple[str, str]] | None:
        """Events as (entity, action), None where absent."""
        events: list[tuple[str, str]] | None = self._values.get(name)
        return events

    def parts(self, name: str = "parts") -> list[tuple[int, str]]:
        """Parts of an upload as (number, ETag), empty where absent."""
        return list(self._values.get(name, []))


async def read(
    request: Request, schema: Schema, *, needed: Collection[str] = (), most: int = MAX_BODY_BYTES
) -> Parameters:
    """The parameters of ``request``.

    :param needed: those that must be there, beside required texts.
    :param most: bytes of a body.
    :raises Problem: 400 naming the parameter, 413 for too large a body.
    """
    given = _from_query(request, schema) if request.method == "GET" else await _from_body(request, most)
    values: dict[str, Any] = {}
    for name, kind in schema.items():
        value = given.get(name)
        if value is None or (kind is Kind.REQUIRED and value == ""):
            if kind is Kind.REQUIRED or name in needed:
                raise invalid_parameter(f"Missing value for required parameter '{name}'.{_HINT}", field=name)
            continue
        values[name] = _READERS[kind](name, value)
    return Parameters(values)


async def read_as(request: Request, model: type[T]) -> T:
    """The JSON body of a call that is not MLflow's, as its type declares it.

    :raises Problem: 400 naming the field, 413 for too large a body.
    """
    given = {name: value for name, value in (await _from_body(request)).items() if value is not None}
    try:
        return convert(given, model, text=True)
    except Problem as problem:
        raise invalid_parameter(problem.detail, field=problem.field) from None


def _from_query(request: Request, schema: Schema) -> dict[str, Any]:
    query = request.query_params
    try:
        parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:  # what is none of UTF-8 would be replaced, and two names be one
        raise invalid_parameter("The query string is not percent-encoded UTF-8.") from None
    return {
        name: query.getlist(name) if kind is Kind.TEXTS else query.getlist(name)[0]
        for name, kind in schema.items()
        if name in query
    }


async def _from_body(request: Request, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    body = await _body(request, most)
    path = request.scope["path"].removeprefix(request.scope["root_path"])
    if not path.startswith(MLFLOW_PREFIXES):  # as the vector API has it: whatever calls itself JSON or not
        given = _decoded(body) if body else {}
        if not isinstance(given, dict):
            raise invalid_parameter("The body must be a JSON object.")
        return given
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and content_type != "application/json":
        raise invalid_parameter(
            f"Bad Request. Content-Type must be application/json, got '{content_type}'.", field="Content-Type"
        )
    document = _decoded(body)
    if isinstance(document, str):  # some clients encode twice
        document = _decoded(document.encode())
    return document if isinstance(document, dict) else {}


async def _body(request: Request, most: int) -> bytes:
    """:raises Problem: 413, it is too large; 408, it does not come to its end."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    detail = f"A request has at most {most} bytes."
                    raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)
    except TimeoutError:
        detail = f"The body did not come within {BODY_SECONDS:.0f} s."
        headers = {"connection": "close"}
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail, headers=headers) from None
    return bytes(body)


def _decoded(body: bytes) -> object:
    """The JSON document; None for what is none (MLflow's server then misses a required parameter)."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _wrong(name: str, value: object) -> Problem:
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)[:500]
    hint = f"Hint: Value was of type '{type(value).__name__}'."
    return invalid_parameter(f"Invalid value {shown} for parameter '{name}' supplied:  {hint}{_HINT}", field=name)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value)
    return value


def _integer(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise _wrong(name, value)


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, value)
    return value


def _tags(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, list):
        raise _wrong(name, value)
    tags: dict[str, str] = {}
    for entry in value:
        if not isinstance(entry, dict):
            raise _wrong(name, value)
        key, text = ("" if entry.get(part) is None else entry[part] for part in ("key", "value"))
        if not isinstance(key, str) or not isinstance(text, str):
            raise _wrong(name, value)
        tags[key] = text
    return tags


def _event(name: str, value: object) -> tuple[str, str]:
    entity, action = (value.get("entity"), value.get("action")) if isinstance(value, dict) else (None, None)
    if not isinstance(entity, str) or not isinstance(action, str):
        raise _wrong(name, value)
    return entity, action


def _events(name: str, value: object) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        raise _wrong(name, value)
    return [_event(name, item) for item in value]


def _parts(name: str, value: object) -> list[tuple[int, str]]:
    if not isinstance(value, list):
        raise _wrong(name, value)
    parts: list[tuple[int, str]] = []
    for entry in value:
        etag = entry.get("etag") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(etag, str):
            raise _wrong(name, value)
        parts.append((_integer(name, entry.get("part_number")), etag))
    return parts


_READERS: dict[Kind, Callable[[str, object], object]] = {
    Kind.TEXT: _text,
    Kind.REQUIRED: _text,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.TEXTS: _texts,
    Kind.TAGS: _tags,
    Kind.EVENT: _event,
    Kind.EVENTS: _events,
    Kind.PARTS: _parts,
}
