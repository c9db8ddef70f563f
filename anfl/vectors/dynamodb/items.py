"""Rows as items of a class's table.

=============  ====  =================================================================================
``pk``         S     ``{tenant}#{incarnation}#{shard}``: partitions of a collection's rows, by id
``sk``         S     the row's id
``h``          S     ``{tenant}#{incarnation}``: the vector index's partition key
``v``          L     the values, each the shortest decimal that is that float32 number again
``m``          B     the metadata, MessagePack
``ver``        N     the row's version
``expires``    N     when it expires, in whole seconds (rounded up): DynamoDB's own TTL, which comes late
``expires_at`` N     when it expires, exactly
``s1`` …,
``n1`` …       S, N  declared fields (`anfl.vectors.dynamodb.classes`)
=============  ====  =================================================================================
"""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from anfl.resources import PARTITION_KEY, SORT_KEY, VECTOR, VECTOR_PARTITION_KEY, VECTOR_PROJECTED, VECTOR_TTL
from anfl.vectors.dynamodb.capabilities import Capability, refuse
from anfl.vectors.dynamodb.classes import slots_of
from anfl.vectors.model import Collection, FieldType, Metadata, Values

SHARDS = 16
"""Partitions of one collection: each takes 1,000 writes of 1 kB a second."""
LONGEST_TEXT = 255
"""Bytes of a declared field that stand in its slot as they are."""
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-129, 1e125
"""Magnitudes between which DynamoDB has numbers, and 0."""
PARTITION, SORT, HASH, VALUES, TTL = PARTITION_KEY, SORT_KEY, VECTOR_PARTITION_KEY, VECTOR, VECTOR_TTL
METADATA, VERSION, EXPIRES_AT = VECTOR_PROJECTED
WITHOUT_VALUES = (SORT, *VECTOR_PROJECTED)
"""Attributes of which a row is made that is not asked for its values."""
Item = Mapping[str, Any]
"""As the client has it: name → {type: value}."""


@dataclass(frozen=True, kw_only=True)
class StoredItem:
    """A row as the table holds it. ``values`` (dimension,), or of no length where they were not asked for."""

    id: str
    version: int
    metadata: Metadata
    values: Values
    expires_at: float | None

    def is_there(self, now: float) -> bool:
        """Whether it has not expired at ``now``."""
        return self.expires_at is None or self.expires_at > now


def hash_of(collection: Collection) -> str:
    """The partition of the vector index that holds a collection."""
    return f"{collection.tenant}#{collection.incarnation}"


def shard_of(row_id: str) -> int:
    """The shard of a row."""
    return zlib.crc32(row_id.encode()) % SHARDS


def partition_of(collection: Collection, shard: int) -> str:
    """The partition key of a shard."""
    return f"{hash_of(collection)}#{shard:02}"


def deletions_of(collection: Collection) -> str:
    """The partition key of a collection's deletions by filter."""
    return f"{hash_of(collection)}#deletions"


def requests_of(collection: Collection) -> str:
    """The partition key of the request ids that it knows."""
    return f"{hash_of(collection)}#requests"


def parts_of(collection: Collection) -> str:
    """The partition key of the further parts of requests that go in parts."""
    return f"{hash_of(collection)}#parts"


def key_of(collection: Collection, row_id: str) -> dict[str, Any]:
    """The key of a row's item."""
    return {PARTITION: {"S": partition_of(collection, shard_of(row_id))}, SORT: {"S": row_id}}


def encode(
    collection: Collection,
    row_id: str,
    *,
    values: Values,
    metadata: Metadata,
    version: int,
    expires_at: float | None,
) -> dict[str, Any]:
    """A row's item."""
    item = {
        **key_of(collection, row_id),
        HASH: {"S": hash_of(collection)},
        VALUES: {"L": numbers(values)},
        METADATA: {"B": msgspec.msgpack.encode(metadata)},
        VERSION: {"N": str(version)},
        **slots(collection.settings.fields, metadata),
    }
    if expires_at is not None:
        moment = expires_at if expires_at > SMALLEST_NUMBER else 0.0
        item[EXPIRES_AT], item[TTL] = {"N": repr(moment)}, {"N": str(math.ceil(expires_at))}
    return item


def decode(item: Item) -> StoredItem:
    """The row of an item."""
    values = item.get(VALUES)
    expires_at = item.get(EXPIRES_AT)
    return StoredItem(
        id=item[SORT]["S"],
        version=int(item[VERSION]["N"]) if VERSION in item else 0,
        metadata=msgspec.msgpack.decode(item[METADATA]["B"], type=Metadata) if METADATA in item else {},
        values=np.array([each["N"] for each in values["L"]] if values else [], dtype=np.float32),
        expires_at=None if expires_at is None else float(expires_at["N"]),
    )


def numbers(values: Values) -> list[dict[str, str]]:
    """``values`` (dimension,) as DynamoDB has vectors: exact, as NumPy prints a float32 number in its shortest form."""
    return [{"N": str(number)} for number in values.astype(np.float32, copy=False)]


def slots(fields: Mapping[str, FieldType], metadata: Metadata) -> dict[str, Any]:
    """The attributes of declared fields; a row without one, or with null, has none."""
    found = {}
    for name, slot in slots_of(fields).items():
        value = metadata.get(name)
        if value is not None:
            found[slot] = attribute(value)
    return found


def check_slots(fields: Mapping[str, FieldType], rows: Sequence[Metadata]) -> None:
    """Refuse declared numbers that DynamoDB does not have.

    :raises Problem: 400 ``not_supported_by_engine``.
    """
    numeric = [name for name, declared in fields.items() if declared is FieldType.NUMBER]
    for index, metadata in enumerate(rows):
        for name in numeric:
            if not holds(metadata.get(name)):
                raise refuse(Capability.EXTREME_NUMBERS, field=f"vectors[{index}].metadata.{name}")


def holds(value: object) -> bool:
    """Whether a slot can have the value: a number's magnitude lies between `SMALLEST_NUMBER` and `LARGEST_NUMBER`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return True
    return SMALLEST_NUMBER < abs(value) < LARGEST_NUMBER


def attribute(value: object) -> dict[str, str]:
    """A declared field's value; booleans are 0 and 1, long texts their digests: only equality counts, and keys of
    indexes are neither empty nor long."""
    if not isinstance(value, str):
        number = float(value)  # type: ignore[arg-type]  # the declaration was enforced
        return {"N": repr(number or 0.0)}  # DynamoDB has one zero
    data = value.encode()
    return {"S": f"={value}" if len(data) <= LONGEST_TEXT else f"#{hashlib.sha256(data).hexdigest()}"}
