"""moto's answers to queries and scans without a copy of all that is read: an item of 384 numbers is 385 objects there.

Answers are written out as JSON and nothing else, so they share the values of what is stored.
"""

import copy
from types import SimpleNamespace
from typing import Any

from moto.dynamodb.models import table
from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict

from local.aws.patching import Patch


def apply(patch: Patch) -> None:
    """Patch moto's reads of many items."""
    project = Item.project

    def projected(self: Item, projection_expressions: list[list[str]]) -> Item:  # moto's translates all, for each path
        if any(len(path) > 1 or "[" in path[0] for path in projection_expressions):
            return project(self, projection_expressions)
        return _with(self, {path[0]: self.attrs[path[0]] for path in projection_expressions if path[0] in self.attrs})

    patch(Item, "project", projected)
    patch(table, "copy", SimpleNamespace(copy=copy.copy, deepcopy=_copied))


def _copied(value: Any) -> Any:  # noqa: ANN401 - as `copy.deepcopy`
    if isinstance(value, Item):
        return _with(value, value.attrs)
    return [_copied(each) for each in value] if isinstance(value, list) else copy.deepcopy(value)


def _with(item: Item, attributes: dict[str, Any]) -> Item:
    """The item with these attributes, which are not checked again: each would ask for the size of all."""
    twin = Item(item.hash_key, item.range_key, {})
    twin.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.__init__(twin.attrs, attributes)
    return twin
