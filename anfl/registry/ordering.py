"""MLflow's ``order_by``: items ``key [ASC|DESC]``."""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, TypeVar

from anfl.registry.errors import invalid_parameter

_ITEM = re.compile(
    r"""\s*(?P<key>(?:attribute\.)?(?:`[^`]*`|"[^"]*")|[\w.]+)(?:\s+(?P<direction>asc|desc))?\s*""", re.IGNORECASE
)
_FIRST = 400
"""Of many rows, so many are chosen before all are sorted: more than a page of a search, as a rule."""
_MANY = 10 * _FIRST
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Order:
    """One sort key."""

    field: str
    descending: bool


_TIMESTAMPS = {"timestamp": "updated_at", "last_updated_timestamp": "updated_at"}
MODEL_KEYS: Mapping[str, str] = {"name": "name"} | _TIMESTAMPS
MODEL_TIES = (Order(field="name", descending=False),)
VERSION_KEYS: Mapping[str, str] = {
    "name": "name",
    "version_number": "number",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
}
VERSION_DEFAULT = ("last_updated_timestamp DESC",)
VERSION_TIES = (Order(field="name", descending=False), Order(field="number", descending=True))


def parse(
    items: Iterable[str], *, keys: Mapping[str, str], ties: Sequence[Order], noun: str = "order by"
) -> tuple[Order, ...]:
    """Read the items and append the tie-breaks that they leave open.

    :param keys: the names that may be used → the field that each means.
    :param noun: what MLflow calls the keys of such items.
    :raises Problem: 400.
    """
    orders: list[Order] = []
    for item in items:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise invalid_parameter(f"Invalid order_by clause '{item}'. Could not be parsed.", field="order_by")
        key = match["key"].replace("`", "").replace('"', "").removeprefix("attribute.")
        if key not in keys:
            message = f"Invalid {noun} key '{key}' specified. Valid keys are '{sorted(keys)}'"
            raise invalid_parameter(message, field="order_by")
        if any(order.field == keys[key] for order in orders):
            raise invalid_parameter(f"`order_by` contains duplicate fields: {list(items)}", field="order_by")
        orders.append(Order(field=keys[key], descending=(match["direction"] or "").lower() == "desc"))
    used = {order.field for order in orders}
    return (*orders, *(tie for tie in ties if tie.field not in used))


def in_order(rows: list[Row], orders: Sequence[Order], keys: Mapping[str, Callable[[Row], Any]]) -> Iterator[Row]:
    """Rows in order (sorted in place). Only the first key is asked of all of them, others as far as rows are taken.

    :param keys: what tells a row's key, by the orders' fields.
    """
    if not orders:
        yield from rows
        return
    first, *others = orders
    for row, *more in _equals(rows, keys[first.field], descending=first.descending):
        if more:
            yield from in_order([row, *more], others, keys)
        else:
            yield row


def _equals(rows: list[Row], key: Callable[[Row], Any], *, descending: bool) -> Iterator[list[Row]]:
    """Rows of equal keys together, in the order of their keys. All are sorted once somebody asks beyond the first."""
    taken = 0
    if len(rows) > _MANY:
        *whole, _ = _groups((heapq.nlargest if descending else heapq.nsmallest)(_FIRST, rows, key=key), key)
        yield from whole  # of the last ones there may be more
        taken = sum(map(len, whole))
    rows.sort(key=key, reverse=descending)
    yield from _groups(islice(rows, taken, None), key)


def _groups(rows: Iterable[Row], key: Callable[[Row], Any]) -> Iterator[list[Row]]:
    return (list(equal) for _, equal in groupby(rows, key))
