"""Metadata filters: JSON conditions compiled once into a predicate.

``$eq $ne $gt $gte $lt $lte $in $nin $exists $contains $contains_any $contains_all`` on a field, joined by ``$and $or
$not``; plain ``{"field": value}`` is ``$eq``. Several members of one object are joined by AND. A condition on an absent
field is false, but for ``$ne``, ``$nin`` and ``$exists: false``. Order is defined between two numbers and between two
strings; anything else compares as false. A boolean is no number.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from anfl.problems import Problem, invalid
from anfl.vectors.model import Metadata, is_number

MAX_DEPTH = 16
MAX_CONDITIONS = 256
LIST_WORK = 1_000
"""Of a condition that looks through a row's list, which may have thousands of members."""
ABSENT = object()
"""What a condition tests where a row has no such field."""
_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


@dataclass(frozen=True, eq=False)
class Condition:
    """``operand`` by ``operation`` to the value of ``field``; `test` decides about one value, or `ABSENT`."""

    field: str
    operation: str
    operand: object
    test: Callable[[object], bool]

    def __call__(self, metadata: Metadata) -> bool:
        """Whether a row's metadata fulfils it."""
        return self.test(metadata.get(self.field, ABSENT))


@dataclass(frozen=True, eq=False)
class Every:
    """All parts hold; of none, true."""

    parts: "tuple[Node, ...]"

    def __call__(self, metadata: Metadata) -> bool:
        """Whether a row's metadata fulfils it."""
        return all(part(metadata) for part in self.parts)


@dataclass(frozen=True, eq=False)
class Either:
    """At least one part holds."""

    parts: "tuple[Node, ...]"

    def __call__(self, metadata: Metadata) -> bool:
        """Whether a row's metadata fulfils it."""
        return any(part(metadata) for part in self.parts)


@dataclass(frozen=True, eq=False)
class Not:
    """The part does not hold."""

    part: "Node"

    def __call__(self, metadata: Metadata) -> bool:
        """Whether a row's metadata fulfils it."""
        return not self.part(metadata)


Node = Condition | Every | Either | Not


@dataclass(frozen=True, eq=False)
class Filter:
    """A compiled filter."""

    root: Node
    key: bytes
    """The same for equal documents."""

    def __call__(self, metadata: Metadata) -> bool:
        """Whether a row's metadata fulfils it."""
        return self.root(metadata)

    @cached_property
    def work(self) -> int:
        """About how long it takes to evaluate it for one row, in conditions on one value."""
        return _work(self.root)


def compile_filter(document: object) -> Filter:
    """Compile a filter.

    :raises Problem: 400 naming the member that is wrong.
    """
    root = _Compiler().compile(document, "filter", 0)
    return Filter(root, msgspec.json.encode(document))


def fields_of(node: Node) -> set[str]:
    """The fields that it looks at."""
    match node:
        case Condition():
            return {node.field}
        case Not():
            return fields_of(node.part)
        case Every() | Either():
            return {field for part in node.parts for field in fields_of(part)}


def _work(node: Node) -> int:
    match node:
        case Condition():
            if node.operation.startswith("$contains"):
                return LIST_WORK
            return 1 + (len(node.operand) if node.operation in {"$eq", "$ne"} and isinstance(node.operand, list) else 0)
        case Not():
            return 1 + _work(node.part)
        case Every() | Either():
            return 1 + sum(map(_work, node.parts))


class _Compiler:
    def __init__(self) -> None:
        self._conditions = 0

    def compile(self, document: object, place: str, depth: int) -> Node:
        if not isinstance(document, Mapping):
            raise invalid("A filter is a JSON object.", field=place)
        if depth > MAX_DEPTH:
            raise invalid(f"A filter nests at most {MAX_DEPTH} levels.", field=place)
        if depth:
            self._count(place)
        return _all([self._member(str(key), value, place, depth) for key, value in document.items()])

    def _member(self, key: str, value: object, place: str, depth: int) -> Node:
        inner = f"{place}.{key}"
        if key in {"$and", "$or"}:
            if not isinstance(value, list) or not value:
                raise invalid(f"{key} takes a list of at least one filter.", field=inner)
            parts = [self.compile(part, f"{inner}[{index}]", depth + 1) for index, part in enumerate(value)]
            return _all(parts) if key == "$and" else Either(tuple(parts))
        if key == "$not":
            return Not(self.compile(value, inner, depth + 1))
        if key.startswith("$"):
            raise invalid(f"{key} is no operator that joins filters; use $and, $or or $not.", field=inner)
        if isinstance(value, Mapping):
            if not value:
                raise invalid('Name a condition, for example {"$exists": true}.', field=inner)
            return _all(
                [self._condition(key, str(name), operand, f"{inner}.{name}") for name, operand in value.items()]
            )
        return self._condition(key, "$eq", value, inner)

    def _condition(self, field: str, name: str, operand: object, place: str) -> Condition:
        self._count(place)
        return Condition(field, name, operand, _test(name, operand, place))

    def _count(self, place: str) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise invalid(f"A filter holds at most {MAX_CONDITIONS} conditions and inner filters.", field=place)


def _test(name: str, operand: object, place: str) -> Callable[[object], bool]:
    match name:
        case "$eq":
            wanted = _scalar_or_list(operand, place)
            return lambda value: _equal(value, wanted)
        case "$ne":
            unwanted = _scalar_or_list(operand, place)
            return lambda value: not _equal(value, unwanted)
        case "$gt" | "$gte" | "$lt" | "$lte":
            return _ordered(_ORDER[name], operand, place)
        case "$in" | "$nin":
            choices = frozenset(map(scalar_key, _list(operand, place)))
            positive = name == "$in"
            return lambda value: (not isinstance(value, list) and scalar_key(value) in choices) is positive
        case "$exists":
            if not isinstance(operand, bool):
                raise invalid("$exists takes true or false.", field=place)
            return lambda value: (value is not ABSENT) is operand
        case "$contains":
            item = _scalar(operand, place)
            return lambda value: isinstance(value, list) and item in value and _holds(value, item)
        case "$contains_any" | "$contains_all":
            given = _list(operand, place)
            items, nearly = frozenset(map(scalar_key, given)), frozenset(given)
            if name == "$contains_any":
                return lambda value: (
                    isinstance(value, list)
                    and not nearly.isdisjoint(value)
                    and not items.isdisjoint(map(scalar_key, value))
                )
            return lambda value: (
                isinstance(value, list) and nearly.issubset(value) and items.issubset(map(scalar_key, value))
            )
        case _:
            raise _unknown(name, place)


def _ordered(compare: Callable[..., bool], bound: object, place: str) -> Callable[[object], bool]:
    if isinstance(bound, str):
        return lambda value: isinstance(value, str) and compare(value, bound)
    if is_number(bound):
        return lambda value: is_number(value) and compare(value, bound)
    raise invalid("An order needs a number or a string.", field=place)


def _equal(value: object, wanted: object) -> bool:
    """JSON equality: ``1`` equals ``1.0`` but not ``true``. What is not equal to Python, which is quicker with long
    lists, never is."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, list) and isinstance(wanted, list):
        return value == wanted and all(map(_equal, value, wanted))
    return value is not ABSENT and type(value) in _kin(wanted) and value == wanted


def _kin(wanted: object) -> tuple[type, ...]:
    return (int, float) if isinstance(wanted, int | float) else (type(wanted),)


def scalar_key(scalar: object) -> tuple[type, object]:
    """What is the same for equal scalars, and only for them: long lists of choices cost one look."""
    is_a_number = isinstance(scalar, int | float) and not isinstance(scalar, bool)
    return (float if is_a_number else type(scalar), scalar)


def _holds(items: list[object], wanted: object) -> bool:
    return any(_equal(item, wanted) for item in items)


def _scalar(operand: object, place: str) -> object:
    if operand is None or isinstance(operand, str | bool) or is_number(operand):
        return operand
    raise invalid("This condition takes a string, a number, a boolean or null.", field=place)


def _scalar_or_list(operand: object, place: str) -> object:
    return _list(operand, place) if isinstance(operand, list) else _scalar(operand, place)


def _list(operand: object, place: str) -> list[object]:
    if not isinstance(operand, list):
        raise invalid("This condition takes a list.", field=place)
    return [_scalar(item, f"{place}[{index}]") for index, item in enumerate(operand)]


def _unknown(name: str, place: str) -> Problem:
    known = "$eq $ne $gt $gte $lt $lte $in $nin $exists $contains $contains_any $contains_all"
    return invalid(f"{name} is no condition; there are {known}.", field=place)


def _all(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Every(tuple(parts))
