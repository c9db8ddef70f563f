"""``SearchConditionExpression``: equalities joined by AND.

Newer pages of the Developer Guide describe IN, BETWEEN, OR and comparisons as well. What all of them agree on is held
here, so that nothing is used that a region may still refuse.
"""

import re
from collections.abc import Mapping
from typing import Any

from moto.dynamodb.exceptions import MockValidationException

from local.aws.vectors.definitions import Definition

_EQUALITY = re.compile(r"\s*([A-Za-z#][\w.\-]*)\s*=\s*(:\w+)\s*")
_AND = re.compile(r"\bAND\b", re.IGNORECASE)


def equalities(
    expression: str | None, names: Mapping[str, str], values: Mapping[str, Any], definition: Definition
) -> dict[str, Any]:
    """The value (``{type: value}``) that each named attribute must have.

    :raises MockValidationException: as AWS refuses it.
    """
    if not expression:
        if definition.partition_key:
            raise _invalid("SearchConditionExpression must be provided when SearchSchema has a HASH key")
        return {}
    found: dict[str, Any] = {}
    used: set[str] = set()
    for part in _AND.split(expression):
        match = _EQUALITY.fullmatch(part)
        if match is None:
            raise _invalid("Invalid comparator used in SearchConditionExpression")
        given, placeholder = match[1], match[2]
        name = names.get(given, given)
        used |= {given, placeholder}
        if given.startswith("#") and given not in names:
            raise _invalid(f"An expression attribute name used in the document path is not defined: {given}")
        if placeholder not in values:
            raise _invalid(f"An expression attribute value used in expression is not defined: {placeholder}")
        if name not in definition.searchable:
            raise _invalid(f"SearchConditionExpression names {name}, which the search schema has not")
        if name in found:
            raise _invalid(f"SearchConditionExpression names {name} twice")
        if set(values[placeholder]) != {definition.types[name]}:
            raise _invalid("One or more parameter values were invalid: Condition parameter type does not match schema")
        found[name] = values[placeholder]
    if unused := (set(names) | set(values)) - used:
        raise _invalid(f"Value unused in expressions: {', '.join(sorted(unused))}")
    if definition.partition_key and definition.partition_key not in found:
        raise _invalid("SearchConditionExpression must be provided when SearchSchema has a HASH key")
    return found


def _invalid(message: str) -> MockValidationException:
    return MockValidationException(message)
