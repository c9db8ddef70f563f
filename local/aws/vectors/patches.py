"""Gives moto's tables vector indexes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from moto.dynamodb.exceptions import MockValidationException, ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler, DynamoResult

from local.aws.patching import Patch
from local.aws.vectors.content import Attributes, Delays, Key, VectorIndex
from local.aws.vectors.definitions import Definition, definitions, described
from local.aws.vectors.limits import check_digits, check_together
from local.aws.vectors.search import search

DELAYS = Delays()
_OWN, _ALL = "vector_indexes", "vector_indexes_of_all_replicas"


def apply(patch: Patch) -> None:
    """Change moto."""
    put, update, delete, transact, describe = (
        DynamoDBBackend.put_item,
        DynamoDBBackend.update_item,
        DynamoDBBackend.delete_item,
        DynamoDBBackend.transact_write_items,
        Table.describe,
    )

    def put_item(self: DynamoDBBackend, table_name: str, item_attrs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        table = self.get_table(table_name)
        _check(table, item_attrs)
        item = put(self, table_name, item_attrs, *args, **kwargs)
        _tell(table, item_attrs)
        return item

    def update_item(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        table = self.get_table(table_name)
        if not _own(table):
            return update(self, table_name, key, *args, **kwargs)
        hash_key, range_key = self.get_keys_value(table, key)
        before = table.get_item(hash_key, range_key)
        item = update(self, table_name, key, *args, **kwargs)
        try:
            _check(table, _plain(item.attrs))
        except MockValidationException:
            _put_back(table, hash_key, range_key, before)
            raise
        _tell(table, key)
        return item

    def delete_item(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        item = delete(self, table_name, key, *args, **kwargs)
        _tell(self.get_table(table_name), key)
        return item

    def transact_write_items(self: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
        check_together(items)
        transact(self, items)

    def with_indexes(self: Table, base_key: str = "TableDescription") -> dict[str, Any]:
        description = describe(self, base_key)
        if indexes := _own(self):
            description[base_key]["VectorIndexes"] = [
                described(index.definition, items=len(index), table_arn=self.table_arn) for index in indexes.values()
            ]
        return description

    patch(DynamoDBBackend, "put_item", put_item)
    patch(DynamoDBBackend, "update_item", update_item)
    patch(DynamoDBBackend, "delete_item", delete_item)
    patch(DynamoDBBackend, "transact_write_items", transact_write_items)
    patch(Table, "describe", with_indexes)
    patch(DynamoHandler, "search_vectors", _search_vectors)


def add_indexes(tables: Sequence[Table], declared: Sequence[Mapping[str, Any]]) -> None:
    """Give the replicas of one table, which share their items, the vector indexes of a template.

    :raises MockValidationException: as AWS refuses them.
    """
    everywhere: list[VectorIndex] = []
    for table in tables:
        found = definitions(declared, table.attr, billing_mode=str(table.billing_mode))
        before = _own(table)
        own = {each.name: _kept(before, each) or _new(table, each) for each in found}
        everywhere += own.values()
        setattr(table, _OWN, own)
        setattr(table, _ALL, everywhere)


def _kept(before: Mapping[str, VectorIndex], definition: Definition) -> VectorIndex | None:
    index = before.get(definition.name)
    return index if index is not None and index.definition == definition else None


def _new(table: Table, definition: Definition) -> VectorIndex:
    index = VectorIndex(definition=definition, item_of=_reader(table), delays=DELAYS)
    for key in _keys(table):
        index.changed(key)
    return index


def _search_vectors(handler: DynamoHandler) -> DynamoResult:
    request = handler.body
    name = request["TableName"].rpartition("/")[2]
    table = handler.dynamodb_backend.tables.get(name)
    if table is None:
        raise ResourceNotFoundException
    index = _own(table).get(request["IndexName"])
    if index is None:
        raise MockValidationException(f"The table does not have the specified index: {request['IndexName']}")
    return DynamoResult(search(index, request, table.table_key_attrs))


def _own(table: Table) -> dict[str, VectorIndex]:
    return getattr(table, _OWN, {})


def _definitions(table: Table) -> list[Definition]:
    return [index.definition for index in _own(table).values()]


def _check(table: Table, item: Mapping[str, Any]) -> None:
    """:raises MockValidationException: the item cannot be indexed as it is."""
    if _own(table):
        check_digits(item.values())
    for definition in _definitions(table):
        for name, kind in definition.types.items():
            if name in item and set(item[name]) != {kind}:
                raise MockValidationException(
                    f"One or more parameter values were invalid: Type mismatch for Index Key {name} "
                    f"Expected: {kind} Actual: {next(iter(item[name]))} IndexName: {definition.name}"
                )
        vector = item.get(definition.attribute)
        if vector is None:
            continue
        if set(vector) != {"L"} or any(set(element) != {"N"} for element in vector["L"]):
            raise MockValidationException(
                f"One or more parameter values were invalid: Invalid type for vector attribute {definition.attribute}"
            )
        if len(vector["L"]) != definition.dimensions:
            raise MockValidationException(
                f"One or more parameter values were invalid: Vector attribute {definition.attribute} has "
                f"{len(vector['L'])} dimensions, IndexName: {definition.name} has {definition.dimensions}"
            )


def _tell(table: Table, item: Mapping[str, Any]) -> None:
    indexes: list[VectorIndex] = getattr(table, _ALL, [])
    if indexes:
        key = tuple(DynamoType(item[name]) for name in table.table_key_attrs)
        for index in indexes:
            index.changed(key)


def _put_back(table: Table, hash_key: DynamoType, range_key: DynamoType | None, item: Item | None) -> None:
    if item is None:
        table.delete_item(hash_key, range_key)
    elif range_key is None:
        table.items[hash_key] = item  # type: ignore[assignment]  # as moto has it
    else:
        table.items[hash_key][range_key] = item


def _keys(table: Table) -> Iterator[Key]:
    for hash_key, found in table.items.items():
        if table.range_key_attr is None:
            yield (hash_key,)
        else:
            yield from ((hash_key, range_key) for range_key in found)


def _reader(table: Table) -> Callable[[Key], Attributes | None]:
    def read(key: Key) -> Attributes | None:
        item = table.get_item(*key)
        return None if item is None else _plain(item.attrs)

    return read


def _json(value: DynamoType) -> Any:  # noqa: ANN401 - {type: value}
    if value.is_list():
        return {"L": [_json(each) for each in value.value]}
    if value.is_map():
        return {"M": {name: _json(each) for name, each in value.value.items()}}
    return {value.type: value.value}


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) if isinstance(value, DynamoType) else value for name, value in attributes.items()}
