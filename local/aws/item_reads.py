"""moto's answers to queries and scans without a copy of all that is read: an item of 384 numbers is 385 objects there.

Answers are written out as JSON and nothing else, so they share the values of what is stored. A query of a table looks
at the items of its partition, and not at a sorted list of all items of the table.
"""

import copy
from types import SimpleNamespace
from typing import Any

from moto.dynamodb.models import table
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table

from local.aws.patching import Patch

_INDEX_NAME = 6  # its place among the arguments of ``Table.query`` behind the key


def apply(patch: Patch) -> None:
    """Patch moto's reads of many items."""
    project, query = Item.project, Table.query

    def projected(self: Item, projection_expressions: list[list[str]]) -> Item:  # moto's translates all, for each path
        if any(len(path) > 1 or "[" in path[0] for path in projection_expressions):
            return project(self, projection_expressions)
        return _with(self, {path[0]: self.attrs[path[0]] for path in projection_expressions if path[0] in self.attrs})

    def of_partition(self: Table, hash_key: DynamoType | None, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        asked: Any = copy.copy(self)
        if args[_INDEX_NAME] is None and self.range_key_attr:
            asked.items = {hash_key: asked.items.get(hash_key, {})}
        return query(asked, hash_key, *args, **kwargs)

    patch(Table, "query", of_partition)
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
