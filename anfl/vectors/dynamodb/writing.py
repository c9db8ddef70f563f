"""Changes of rows as transactions: all or nothing, and with a ``request_id`` once only.

A row's version is no sequence here but a stamp: milliseconds and twelve random bits, so that no two changes of a row
have the same. What depends on rows that are there (patches, counts) is read first, and written on the condition that
they still have the version that was read.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

import numpy as np

from anfl.problems import Problem, unavailable
from anfl.vectors.changes import Change, Prepared, merged, version_conflict
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.fences import Guard
from anfl.vectors.dynamodb.items import EXPIRES_AT, METADATA, PARTITION, SORT, VERSION, StoredItem
from anfl.vectors.dynamodb.parts import check_together, item_bytes
from anfl.vectors.dynamodb.requests import Requests
from anfl.vectors.dynamodb.table import MOST_TOGETHER, MOST_WRITTEN, ConditionError, Table
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert, check_metadata_size

_BEGINNING = 1_750_000_000
"""Seconds since the epoch, from which stamps are counted: they stay whole as float64 until the year 2095."""
ATTEMPTS = 8
"""How often what others change meanwhile is read and written anew."""
Write = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Writes that belong together, the version that the caller demands of each row, and how many rows they change."""

    writes: Sequence[Write]
    demanded: Sequence[int | None]
    count: int


class Rows:
    """Changes the rows of one class's collections. Safe for threads."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._requests = Requests(table)

    def write(self, collection: Collection, prepared: Prepared, *, until: float, guard: Guard) -> int:
        """Carry out a change of up to 100 rows; returns how many there were to change.

        A transaction that is full has no room for the check of ``guard``, and looks afterwards: what it has done may
        have come too late then, and is not acknowledged.

        :param until: monotonic seconds; later nothing is begun.
        :raises Problem: 409 ``version_conflict``, ``request_id_reused``, ``move_busy``; 413 ``batch_not_atomic``; 503,
            also ``writes_paused``.
        """
        request_id = prepared.change.request_id
        for _ in range(ATTEMPTS):
            now = self._clock.wall()
            if request_id is not None:
                earlier = self._requests.find(collection, request_id, now)
                if earlier is not None:
                    if _may_be_full(prepared.change):
                        guard.look()
                    return earlier.check(prepared.digest)
            plan = self._plan(collection, prepared, now)
            marks = (
                []
                if request_id is None
                else [self._requests.mark(collection, request_id, prepared.digest, plan.count, now)]
            )
            writes = [*plan.writes, *marks]
            if not writes:
                return plan.count
            if self._clock.monotonic() > until:
                break
            has_room = len(writes) < MOST_TOGETHER
            try:
                if has_room:
                    guard.transact(self._table, writes, by=_first(prepared.change))
                else:
                    self._table.transact(writes)
            except ConditionError as error:
                for place in error.failed:
                    if place < len(plan.writes) and plan.demanded[place] is not None:
                        raise self._conflict(collection, plan, place) from error
                continue  # somebody changed what was read, or carries out the same request
            if not has_room:
                guard.look()
            return plan.count
        raise unavailable("The rows are being changed too often; try again.", code=Refusal.STORAGE_UNAVAILABLE)

    def earlier(self, collection: Collection, prepared: Prepared) -> int | None:
        """The answer to a request that was carried out already; None to another.

        :raises Problem: 409 ``request_id_reused``.
        """
        request_id = prepared.change.request_id
        if request_id is None:
            return None
        known = self._requests.find(collection, request_id, self._clock.wall())
        return None if known is None else known.check(prepared.digest)

    def drop(self, collection: Collection) -> Iterator[int]:
        """Delete everything of a collection; yields how many items have gone, again and again. Can be repeated."""
        shards = (items.partition_of(collection, shard) for shard in range(items.SHARDS))
        gone = 0
        for partition in (*shards, items.requests_of(collection), items.deletions_of(collection)):
            found = self._table.partition(partition, attributes=(PARTITION, SORT))
            for some in batched(found, MOST_WRITTEN):
                self._table.write({"DeleteRequest": {"Key": dict(key)}} for key in some)
                gone += len(some)
                yield gone

    def _plan(self, collection: Collection, prepared: Prepared, now: float) -> Plan:
        change = prepared.change
        match change:
            case Upsert():
                return self._upsert(collection, change.vectors, prepared.values, now)
            case PatchRows():
                return self._patch(collection, change.vectors, now)
            case DeleteRows():
                return self._delete(collection, change.ids or [], now)

    def _upsert(self, collection: Collection, rows: Sequence[NewRow], values: Sequence[bytes], now: float) -> Plan:
        stamp = _stamp(now)
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
                    **_demanded(row.if_version, now),
                }
            }
            for row, given in zip(rows, values, strict=True)
        ]
        return Plan(writes=writes, demanded=[row.if_version for row in rows], count=len(rows))

    def _patch(self, collection: Collection, rows: Sequence[PatchRow], now: float) -> Plan:
        found = self._read(collection, [row.id for row in rows], now)
        stamp = _stamp(now)
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
        found = self._table.get([items.key_of(collection, row_id) for row_id in ids])
        rows = {row_id: items.decode(item) for row_id, item in found.items()}
        return {row_id: row for row_id, row in rows.items() if row.is_there(now)}

    def _conflict(self, collection: Collection, plan: Plan, place: int) -> Problem:
        item = plan.writes[place]["Put"]["Item"]
        row_id = item[SORT]["S"]
        stored = self._read(collection, [row_id], self._clock.wall()).get(row_id)
        version = 0 if stored is None else stored.version
        return version_conflict(row_id, version, plan.demanded[place], place)


def _may_be_full(change: Change) -> bool:
    """Whether its transaction may have no room for a check."""
    rows: Sequence[object] = (change.ids or []) if isinstance(change, DeleteRows) else change.vectors
    return len(rows) + (change.request_id is not None) >= MOST_TOGETHER


def _first(change: Change) -> str:
    """A row's id."""
    if isinstance(change, DeleteRows):
        return (change.ids or [""])[0]
    return change.vectors[0].id if change.vectors else ""


def _demanded(if_version: int | None, now: float) -> dict[str, Any]:
    """The condition of an upsert. What has expired is not there, though DynamoDB may still have it."""
    if if_version is None:
        return {}
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
