"""What a change writes, given the rows that there are.

A row's version is no sequence here but a stamp: milliseconds and twelve random bits. No two changes of a row that
follow each other have the same: where chance has it otherwise, the later one is made anew. What depends on rows that
are there (patches, counts) is read first, and written on the condition that they still have the version that was read.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anfl.problems import Problem
from anfl.vectors.changes import Prepared, merged, version_conflict
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.items import EXPIRES_AT, METADATA, PARTITION, SORT, VERSION, StoredItem
from anfl.vectors.dynamodb.parts import check_together, item_bytes
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert, check_metadata_size

_BEGINNING = 1_750_000_000
"""Seconds since the epoch, from which stamps are counted: they stay whole as float64 until the year 2095."""
_NO_VERSION = 2**63
"""What no row has is demanded by this: DynamoDB's numbers have 38 digits, and callers' as many as they like."""
Write = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Writes that belong together, the version that the caller demands of each row, and how many rows they change."""

    writes: Sequence[Write]
    demanded: Sequence[int | None]
    count: int


@dataclass(frozen=True)
class Planner:
    """Of one class's collections."""

    table: Table

    def plan(self, collection: Collection, prepared: Prepared, now: float, *, attempt: int) -> Plan:
        """The writes of a change of up to 100 rows.

        :param attempt: how often it was planned before, in vain.
        :raises Problem: 409 ``version_conflict``; 413; 503.
        """
        change, stamp = prepared.change, _stamp(now) + attempt
        match change:
            case Upsert():
                return _upsert(collection, change.vectors, prepared.values, now, stamp)
            case PatchRows():
                return self._patch(collection, change.vectors, now, stamp)
            case DeleteRows():
                return self._delete(collection, change.ids or [], now)

    def conflict(self, collection: Collection, plan: Plan, place: int, now: float) -> Problem:
        """409 for the row at a ``place`` whose version is another than the caller demands."""
        row_id = plan.writes[place]["Put"]["Item"][SORT]["S"]
        stored = self._read(collection, [row_id], now).get(row_id)
        version = 0 if stored is None else stored.version
        return version_conflict(row_id, version, plan.demanded[place], place)

    def _patch(self, collection: Collection, rows: Sequence[PatchRow], now: float, stamp: int) -> Plan:
        found = self._read(collection, [row.id for row in rows], now)
        stamp = _above(stamp, (stored.version for stored in found.values()))
        writes: list[Write] = []
        for index, row in enumerate(rows):
            stored = found.get(row.id)
            version = 0 if stored is None else stored.version
            if row.if_version not in (None, version):
                raise version_conflict(row.id, version, row.if_version, index)
            if stored is not None:
                metadata = merged(stored.metadata, row.metadata)
                check_metadata_size(metadata, field=f"vectors[{index}].metadata")
                item = items.encode(
                    collection,
                    row.id,
                    values=stored.values,
                    metadata=metadata,
                    version=stamp,
                    expires_at=stored.expires_at,
                )
                writes.append({"Put": {"Item": item, **unchanged(stored)}})
        written = [each["Put"]["Item"] for each in writes]
        check_together(item_bytes(item[SORT]["S"], len(item[METADATA]["B"]), collection) for item in written)
        return Plan(writes=writes, demanded=[None] * len(writes), count=len(writes))

    def _delete(self, collection: Collection, ids: Sequence[str], now: float) -> Plan:
        found = self._read(collection, list(dict.fromkeys(ids)), now)
        writes = [
            {"Delete": {"Key": items.key_of(collection, row_id), **unchanged(stored)}}
            for row_id, stored in found.items()
        ]
        return Plan(writes=writes, demanded=[None] * len(writes), count=len(writes))

    def _read(self, collection: Collection, ids: Sequence[str], now: float) -> dict[str, StoredItem]:
        found = self.table.get([items.key_of(collection, row_id) for row_id in ids])
        rows = {row_id: items.decode(item) for row_id, item in found.items()}
        return {row_id: row for row_id, row in rows.items() if row.is_there(now)}


def _upsert(collection: Collection, rows: Sequence[NewRow], values: Sequence[bytes], now: float, stamp: int) -> Plan:
    demanded = [None if row.if_version is None else min(row.if_version, _NO_VERSION) for row in rows]
    stamp = _above(stamp, (version for version in demanded if version is not None))
    writes = [
        {
            "Put": {
                "Item": items.encode(
                    collection,
                    row.id,
                    values=np.frombuffer(given, dtype="<f4"),
                    metadata=row.metadata,
                    version=stamp,
                    expires_at=row.expires_at,
                ),
                **(_other_than(stamp) if version is None else _demanded(version, now)),
            }
        }
        for row, given, version in zip(rows, values, demanded, strict=True)
    ]
    return Plan(writes=writes, demanded=[row.if_version for row in rows], count=len(rows))


def _other_than(stamp: int) -> dict[str, Any]:
    """The condition of an upsert that demands nothing: who has read the row does not take the new one for the same."""
    return {
        "ConditionExpression": "attribute_not_exists(#v) OR #v <> :v",
        "ExpressionAttributeNames": {"#v": VERSION},
        "ExpressionAttributeValues": {":v": {"N": str(stamp)}},
    }


def _demanded(if_version: int, now: float) -> dict[str, Any]:
    """The condition of an upsert that does. What has expired is not there, though DynamoDB may still have it."""
    names, values = {"#e": EXPIRES_AT}, {":now": {"N": repr(now)}}
    if if_version == 0:
        return {
            "ConditionExpression": "attribute_not_exists(#p) OR #e <= :now",
            "ExpressionAttributeNames": names | {"#p": PARTITION},
            "ExpressionAttributeValues": values,
        }
    return {
        "ConditionExpression": "#v = :v AND (attribute_not_exists(#e) OR #e > :now)",
        "ExpressionAttributeNames": names | {"#v": VERSION},
        "ExpressionAttributeValues": values | {":v": {"N": str(if_version)}},
    }


def unchanged(stored: StoredItem) -> dict[str, Any]:
    """The condition of a write: the row is as it was read."""
    return {
        "ConditionExpression": "#v = :v",
        "ExpressionAttributeNames": {"#v": VERSION},
        "ExpressionAttributeValues": {":v": {"N": str(stored.version)}},
    }


def _stamp(now: float) -> int:
    return int((now - _BEGINNING) * 1000) << 12 | secrets.randbits(12)


def _above(stamp: int, versions: Iterable[int]) -> int:
    """A stamp that none of these rows has."""
    return max([stamp, *(version + 1 for version in versions)])
