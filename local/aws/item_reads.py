"""moto's answers to queries and scans without a copy of all that is read: an item of 384 numbers is 385 objects there.

Answers are written out as JSON and nothing else, so they share the values of what is stored.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict
from moto.dynamodb.models.table import Table

from local.aws.patching import Patch


class _Reading(threading.local):
    """Whether a thread answers a query or a scan."""

    on = False


def apply(patch: Patch) -> None:
    """Patch moto's reads of many items."""
    reading = _Reading()
    deepcopy, project = Item.__deepcopy__, Item.project

    def shared(read: Callable[..., Any]) -> Callable[..., Any]:
        def answer(self: Table, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            reading.on = True
            try:
                return read(self, *args, **kwargs)
            finally:
                reading.on = False

        return answer

    def copied(self: Item, memo: dict[int, Any]) -> Item:
        return _with(self, self.attrs) if reading.on else deepcopy(self, memo)

    def projected(self: Item, projection_expressions: list[list[str]]) -> Item:
        """moto translates the whole item, once for each attribute that is wanted."""
        if any(len(path) > 1 or "[" in path[0] for path in projection_expressions):
            return project(self, projection_expressions)
        names: Sequence[str] = [path[0] for path in projection_expressions]
        return _with(self, {name: self.attrs[name] for name in names if name in self.attrs})

    patch(Table, "query", shared(Table.query))
    patch(Table, "scan", shared(Table.scan))
    patch(Item, "__deepcopy__", copied)
    patch(Item, "project", projected)


def _with(item: Item, attributes: Mapping[str, Any]) -> Item:
    """The item with these attributes, which are not checked again: each would ask for the size of all."""
    twin = Item(item.hash_key, item.range_key, {})
    held = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.__init__(held, attributes)
    twin.attrs = held
    return twin
