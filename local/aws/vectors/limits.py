"""Limits of DynamoDB that moto has not, and that tables of vectors come near to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moto.dynamodb.exceptions import MockValidationException

MOST_DIGITS = 38
MOST_TOGETHER = 4 * 2**20
"""Bytes of a transaction: of its items, and of the keys of those that it deletes, checks or updates."""


def check_digits(values: Iterable[Mapping[str, Any]]) -> None:
    """Refuse numbers of more digits among attributes' values, each ``{type: value}``, and among those of lists.

    :raises MockValidationException: as AWS refuses them.
    """
    for value in values:
        if "L" in value:
            check_digits(value["L"])
        elif len(value.get("N", "")) > MOST_DIGITS and len(_digits(value["N"])) > MOST_DIGITS:
            raise MockValidationException(f"Attempting to store more than {MOST_DIGITS} significant digits in a Number")


def check_together(writes: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """Refuse a transaction that is too large.

    :raises MockValidationException: as AWS refuses it.
    """
    items = (write.get("Item") or write["Key"] for each in writes for write in each.values())
    if sum(len(name.encode()) + _size(value) for item in items for name, value in item.items()) > MOST_TOGETHER:
        raise MockValidationException("The aggregate size of the items in the transaction exceeds 4 MB")


def _digits(number: str) -> str:
    return number.lower().partition("e")[0].replace(".", "").lstrip("+-0").rstrip("0")


def _size(attribute: Mapping[str, Any]) -> int:
    """Bytes of a value, after "DynamoDB item sizes and formats"."""
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return (len(_digits(value)) + 1) // 2 + 1 + int(value.startswith("-"))
        case "B":
            return len(bytes(value))
        case "L":
            return 3 + sum(1 + _size(each) for each in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size(each) for name, each in value.items())
        case "S":
            return len(value.encode())
        case _:  # of sets, flags and null
            return len(str(value))
