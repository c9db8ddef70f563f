"""moto's DynamoDB: cancelled transactions leave no trace, and what is asked takes no longer as tables grow."""

import base64
import copy
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import StreamShard, Table
from moto.dynamodb.responses import DynamoHandler

from local.aws import item_reads
from local.aws.patching import Patch
from local.aws.transactions import Tokens


class _Backups(threading.local):
    """Of the transaction that a thread carries out: moto makes one for each of its items."""

    def __init__(self) -> None:
        self.of: dict[int, Table] | None = None


def apply(patch: Patch) -> None:
    """Patch moto's transactions and answers."""
    transact, update = DynamoDBBackend.transact_write_items, DynamoDBBackend.update_item
    backups = _Backups()

    def transact_in_place(self: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
        before, backups.of = dict(self.tables), {}
        try:
            transact(self, items)
        except Exception:
            for name, table in before.items():
                restored = self.tables[name]
                if restored is not table:  # other regions' tables share these items: put them back in place
                    table.items.clear()
                    table.items.update(restored.items)
                    self.tables[name] = table
            raise
        finally:
            backups.of = None

    def update_copy(self: DynamoDBBackend, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        table = self.tables.get(table_name)
        if table is not None and set(key) == set(table.table_key_attrs):
            hash_key, range_key = self.get_keys_value(table, key)
            item = table.get_item(hash_key, range_key)
            if item is not None:  # updated in place by moto; the backup of a transaction must keep the old one
                rows: Any = table.items
                if range_key:
                    rows = rows[hash_key]
                rows[range_key or hash_key] = copy.deepcopy(item)
        return update(self, table_name, key, *args, **kwargs)

    def backup(self: Table, _memo: object) -> Table:
        made = backups.of
        if made is not None and id(self) in made:
            return made[id(self)]
        twin = copy.copy(self)
        rows: Any = {key: dict(row) if self.range_key_attr else row for key, row in self.items.items()}
        twin.items = defaultdict(dict, rows)
        if made is not None:
            made[id(self)] = twin
        return twin

    patch(DynamoDBBackend, "transact_write_items", transact_in_place)
    patch(DynamoDBBackend, "update_item", update_copy)
    patch(DynamoHandler, "transact_write_items", Tokens().once(DynamoHandler.transact_write_items))
    patch(Table, "__deepcopy__", backup)
    patch(StreamShard, "add", lambda *_: None)
    item_reads.apply(patch)
    patch(BaseJSONSerializer, "_serialize_type_structure", _attribute(BaseJSONSerializer._serialize_type_structure))


def _attribute(serialize: Callable[..., None]) -> Callable[..., None]:
    def structure(self: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:  # noqa: ANN401
        if shape.name == "AttributeValue" and isinstance(value, (dict, DynamoType)):
            serialized[key] = _typed(value)
        else:
            serialize(self, serialized, value, shape, key)

    return structure


def _typed(value: Any) -> Any:  # noqa: ANN401 - an attribute's value, as moto keeps it
    """As DynamoDB's JSON has it: ``{type: value}``, bytes in base64."""
    if isinstance(value, DynamoType):
        return {value.type: _typed(value.value)}
    if isinstance(value, dict):
        return {name: _typed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
