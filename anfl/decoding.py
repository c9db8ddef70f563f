"""JSON into typed requests; what does not fit is a problem that names the field and says what would."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from anfl.problems import Problem, invalid

T = TypeVar("T")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_NO_MEMBER = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(.*?)\]")


def parse(body: bytes, model: type[T]) -> T:
    """Decode a JSON body.

    :raises Problem: 400 naming the field.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=model)
    except msgspec.ValidationError as error:
        failing = _Failing(error, lambda other: msgspec.json.decode(msgspec.json.encode(other), type=model))
        raise _named(failing, failing.place_in(lambda: msgspec.json.decode(body)), model) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The body is not JSON: {error}", code="malformed_json") from None
    except RecursionError:
        raise invalid("The body nests too deeply.", code="malformed_json") from None


def convert(document: object, model: type[T], *, text: bool = False) -> T:
    """Like `parse`, from decoded JSON.

    :param text: numbers and booleans may be text, as in a query string.
    """
    try:
        return msgspec.convert(document, model, strict=not text)
    except msgspec.ValidationError as error:
        failing = _Failing(error, lambda other: msgspec.convert(other, model, strict=not text))
        raise _named(failing, failing.place_in(lambda: document), model) from None


class _Failing:
    """What msgspec says of a document.

    Of a wrong value in a mapping it says ``$.fields[...]``, of a wrong key "`key` in `$.fields`", and neither which.
    """

    def __init__(self, error: msgspec.ValidationError, decode: Callable[[object], object]) -> None:
        """:param decode: raises such an error for another document as well."""
        self._decode = decode
        self.detail, _, path = str(error).partition(" - at `")
        self.path = path.rstrip("`").rpartition("`")[2]
        self._knows_all = "[...]" not in path and not path.startswith("key` in `")

    def place_in(self, document: Callable[[], object]) -> str:
        """The path, with the name of the mapping's member; of one whose name is empty the path of the mapping."""
        if self._knows_all:
            return self.path
        before, _, after = self.path.partition("[...]")
        steps = _STEP.findall(before)
        try:
            whole = document()
            found = next((key for key in _mapping(whole, steps) if self._fails(_alone(whole, steps, key))), None)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # behind what is wrong, it is no JSON
            return self.path
        if found is None:
            return self.path
        return f"{before}.{found}{after}" if found else before

    def _fails(self, document: object) -> bool:
        try:
            self._decode(document)
        except msgspec.ValidationError as error:
            return str(error).partition(" - at `")[0] == self.detail
        return False


def _mapping(node: Any, steps: Sequence[tuple[str, str]]) -> list[str]:  # noqa: ANN401 - decoded JSON
    """Keys of the mapping at the end of ``steps``."""
    for name, index in steps:
        node = node[name] if name else node[int(index)]
    return list(node)


def _alone(node: Any, steps: Sequence[tuple[str, str]], key: str) -> Any:  # noqa: ANN401
    """``node`` with nothing but ``key`` in the mapping at the end of ``steps``, and nothing beside it in lists."""
    if not steps:
        return {key: node[key]}
    name, index = steps[0]
    if name:
        return {**node, name: _alone(node[name], steps[1:], key)}
    return [_alone(node[int(index)], steps[1:], key)]


def _named(failing: _Failing, place: str, model: Any) -> Problem:  # noqa: ANN401 - any type
    detail, field = failing.detail, re.sub(r"^\$\.?", "", place)
    places = list(_places(inspect.type_info(model), failing.path))
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
    for name, _index in _STEP.findall(path):
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
