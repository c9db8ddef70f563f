"""Filters of queries, as the vector index has them: alternatives, each a set of equalities on slots."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from anfl.problems import Problem
from anfl.vectors.dynamodb.capabilities import MOST_ON_THE_WAY, MOST_SEARCHES, Capability, refuse
from anfl.vectors.dynamodb.classes import slots_of
from anfl.vectors.dynamodb.items import attribute, holds
from anfl.vectors.filters import Condition, Either, Every, Filter, Node, Not
from anfl.vectors.model import FieldType, matches_type

Equalities = dict[str, Any]
"""The value (``{type: value}``) of each slot."""


def searches(wanted: Filter | None, fields: Mapping[str, FieldType]) -> list[Equalities]:
    """What to search for, so that the results together are the rows that fulfil ``wanted``; none where no row can.

    :raises Problem: 400 ``not_supported_by_engine``.
    """
    if wanted is None:
        return [{}]
    found = _Alternatives(fields).of(wanted.root)
    if len(found) > MOST_SEARCHES:
        raise refuse(Capability.MANY_SEARCHES, field="filter")
    return found


class _Alternatives:
    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        self._fields = fields
        self._slots = slots_of(fields)

    def of(self, node: Node) -> list[Equalities]:
        match node:
            case Condition():
                return self._equalities(node)
            case Either():
                return _distinct([each for part in node.parts for each in self.of(part)])
            case Every():
                return reduce(_both, (self.of(part) for part in node.parts), [{}])
            case Not():
                raise refuse(Capability.OTHER_CONDITIONS, field="filter")

    def _equalities(self, condition: Condition) -> list[Equalities]:
        if condition.field not in self._fields:
            raise refuse(Capability.UNDECLARED_FIELDS, field=f"filter.{condition.field}")
        if condition.operation == "$eq":
            choices = [condition.operand]
        elif condition.operation == "$in" and isinstance(condition.operand, list):
            choices = condition.operand
        else:
            raise self._other(condition)
        if any(choice is None or isinstance(choice, list) for choice in choices):
            raise self._other(condition)
        declared, slot = self._fields[condition.field], self._slots[condition.field]
        # What is of another type than the field, or what no row can have, equals no value of it.
        possible = (choice for choice in choices if matches_type(choice, declared) and holds(choice))
        return _distinct([{slot: attribute(choice)} for choice in possible if _is_told(choice)])

    def _other(self, condition: Condition) -> Problem:
        return refuse(Capability.OTHER_CONDITIONS, field=f"filter.{condition.field}")


def _is_told(choice: object) -> bool:
    """Whether a slot can tell it from others: it has all digits of a float64, and JSON has integers of more."""
    return isinstance(choice, str) or float(choice) == choice  # type: ignore[arg-type]  # of a slot's type


def _both(some: list[Equalities], others: list[Equalities]) -> list[Equalities]:
    """One of each, wherever they do not contradict each other."""
    return _distinct([one | other for one in some for other in others if (one | other) == (other | one)])


def _distinct(found: list[Equalities]) -> list[Equalities]:
    distinct: list[Equalities] = []
    for each in found:
        if each not in distinct:
            distinct.append(each)
            if len(distinct) > MOST_ON_THE_WAY:
                raise refuse(Capability.MANY_SEARCHES, field="filter")
    return distinct
