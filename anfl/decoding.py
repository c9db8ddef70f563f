"""JSON into typed requests; what does not fit is a problem that names the field and says what would."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from anfl.misfit import Misfit, steps_of
from anfl.problems import Problem, invalid

T = TypeVar("T")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_NO_MEMBER = re.compile(r"Invalid enum value (.*)", re.DOTALL)


def parse(body: bytes, model: type[T], *, what: str = "body") -> T:
    """Decode a JSON body.

    :param what: it is, for whoever sent it.
    :raises Problem: 400 naming the field.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=model)
    except msgspec.ValidationError as error:
        misfit = Misfit(error, lambda other: msgspec.json.decode(msgspec.json.encode(other), type=model))
        raise _named(misfit, misfit.place_in(msgspec.Raw(body)), model) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The {what} is not JSON: {error}.", code="malformed_json") from None
    except RecursionError:
        raise invalid(f"The {what} nests too deeply.", code="malformed_json") from None


def convert(document: object, model: type[T], *, text: bool = False) -> T:
    """Like `parse`, from decoded JSON.

    :param text: numbers and booleans may be text, as in a query string.
    """
    try:
        return msgspec.convert(document, model, strict=not text)
    except msgspec.ValidationError as error:
        misfit = Misfit(error, lambda other: msgspec.convert(other, model, strict=not text))
        raise _named(misfit, misfit.place_in(document), model) from None


def _named(misfit: Misfit, place: str, model: Any) -> Problem:  # noqa: ANN401 - any type
    detail, field = misfit.detail, re.sub(r"^\$\.?", "", place)
    places = list(_places(inspect.type_info(model), misfit.path))
    if found := _UNKNOWN.fullmatch(detail):
        known = sorted({member.encode_name for place in places for member in getattr(place, "fields", ())})
        detail, field = f"There is no field {found[1]}; there are {', '.join(known)}", _below(field, found[1])
    elif found := _MISSING.fullmatch(detail):
        detail, field = f"{found[1]} is missing", _below(field, found[1])
    elif found := _NO_MEMBER.fullmatch(detail):
        members = [str(member) for place in places for member in _members(place)]
        detail = f"{found[1]} is none of {', '.join(members)}"
    elif "matching regex" in detail:
        detail = next((told for place in places if (told := _described(place))), detail)
    return invalid(f"{detail}.", field=field or None)


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _places(node: inspect.Type, path: str) -> Iterator[inspect.Type]:
    """The types that stand at ``path`` (``$.vectors[0].id``, as msgspec tells it) in ``node``."""
    nodes = [node]
    for name, _index in steps_of(path):
        nodes = [below for each in nodes for below in _step(each, name)]
    for each in nodes:
        yield from _alternatives(each)


def _step(node: inspect.Type, name: str) -> Iterator[inspect.Type]:
    for each in _alternatives(node):
        if name:
            yield from (member.type for member in getattr(each, "fields", ()) if member.encode_name == name)
        elif isinstance(each, inspect.DictType):
            yield each.value_type
        elif isinstance(each, inspect.CollectionType):
            yield each.item_type


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        for each in node.types:
            yield from _alternatives(each)
    else:
        yield node
        if isinstance(node, inspect.Metadata):
            yield from _alternatives(node.type)


def _members(node: inspect.Type) -> list[Any]:
    if isinstance(node, inspect.EnumType):
        return [member.value for member in node.cls]
    return list(node.values) if isinstance(node, inspect.LiteralType) else []


def _described(node: inspect.Type) -> str:
    """What the type's ``Meta(description=…)`` says."""
    schema = (node.extra_json_schema or {}) if isinstance(node, inspect.Metadata) else {}
    return str(schema.get("description", ""))
