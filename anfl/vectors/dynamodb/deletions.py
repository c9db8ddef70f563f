"""Deletions by filter: jobs, since it takes a look at every row.

How far one is stands in an item beside the rows, which changes in the very transactions that delete them. So whoever
carries it out may be killed anywhere, or be one of two: each row is deleted once and counted once. A row goes that
matches when it is read and has not changed until it is deleted; one that others change is read again, a few times, and
then stays, so that it does not keep the others.

``pk = {tenant}#{incarnation}#deletions``, ``sk`` the id. A ``request_id`` is marked as that of a request in two parts
(`anfl.vectors.dynamodb.requests`): of which the first is that it has begun, and the second that it has ended.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from anfl.problems import conflict, not_found, too_large, unavailable
from anfl.vectors.changes import prepare
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.fences import Guard
from anfl.vectors.dynamodb.items import EXPIRES_AT, PARTITION, SORT, TTL, StoredItem
from anfl.vectors.dynamodb.plans import unchanged
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.requests import Mark, Requests, part_marks
from anfl.vectors.dynamodb.table import MOST_TOGETHER, ConditionError, Table
from anfl.vectors.filters import Filter, compile_filter
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.request_ids import REQUEST_SECONDS
from anfl.vectors.requests import DeleteRows, Deletion

KEPT_SECONDS = 7 * 24 * 3600
MOST_LOOKED_AT = 5_000
"""Rows after which it is noted how far it is, though nothing was to delete."""
MOST_DELETED = MOST_TOGETHER - 3
"""Rows that go together, beside the record, a request id and a check."""
_PAGE = 400
"""Rows of each partition that are read at a time."""
_RECORD, _REVISION, _JSON = "record", "revision", "$json"
ATTEMPTS, PATIENT_ATTEMPTS = 8, 4
"""How often in vain until it fails, and until rows that change meanwhile are left alone."""
MOST_FILTER_BYTES = 2**18
"""As it is stored: it has to fit into an item, of 400 kB."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A deletion as the table has it."""

    filter: dict[str, Any]
    """As `_kept` has it."""
    digest: bytes
    created_at: float
    request_id: str | None = None
    after: str = ""
    """The id up to which rows were looked at."""
    deleted: int = 0
    done: bool = False
    failure: str | None = None
    revision: int = 0

    @property
    def wanted(self) -> Filter:
        """What fulfils it goes."""
        text = self.filter.get(_JSON)
        return compile_filter(self.filter if text is None else msgspec.json.decode(text))

    @property
    def marks(self) -> Sequence[Mark]:
        """That it has begun, and that it has ended; none: it has no ``request_id``."""
        if self.request_id is None:
            return ()
        whole = Mark(id=self.request_id, digest=self.digest, until=self.created_at + REQUEST_SECONDS)
        return part_marks(whole, [self.digest, self.digest])

    def shown(self, deletion_id: str) -> Deletion:
        """For its owner."""
        state: Literal["RUNNING", "DONE", "FAILED"] = "RUNNING" if self.failure is None else "FAILED"
        return Deletion(
            id=deletion_id,
            state="DONE" if self.done else state,
            deleted=self.deleted,
            created_at=self.created_at,
            reason=None if self.done else self.failure,
        )


class Deletions:
    """Of one class's collections. Safe for threads."""

    def __init__(self, table: Table, reader: Reader, clock: Clock) -> None:
        self._table = table
        self._requests = Requests(table)
        self._reader = reader
        self._clock = clock

    def begin(self, collection: Collection, change: DeleteRows, guard: Guard) -> Deletion:
        """Note one; with the ``request_id`` of an earlier one, that.

        :raises Problem: 400, what is asked for is wrong; 409 ``request_id_reused``; 503, also ``writes_paused``.
        """
        prepared = prepare(change, collection)
        kept = _kept(change.filter or {})
        if len(msgspec.msgpack.encode(kept)) > MOST_FILTER_BYTES:
            detail = f"A filter to delete by takes {MOST_FILTER_BYTES} bytes at most; each fraction in it takes nine."
            raise too_large(detail, field="filter")
        deletion_id = _id_of(change)
        now = self._clock.wall()
        record = Record(
            filter=kept,
            digest=prepared.digest,
            created_at=round(now, 3),
            request_id=change.request_id,
            revision=1,
        )
        marked = [self._requests.mark(collection, mark, 0, now)[0] for mark in record.marks[:1]]
        try:
            guard.transact(self._table, [_put(collection, deletion_id, record, before=0), *marked], by=deletion_id)
        except ConditionError:
            for mark in record.marks[:1]:
                self._requests.find(collection, mark, now)
            record = self._record(collection, deletion_id)
            if record.digest != prepared.digest:
                detail = "This request_id was used for another request."
                raise conflict(detail, code=Refusal.REQUEST_ID_REUSED) from None
        return record.shown(deletion_id)

    def show(self, collection: Collection, deletion_id: str) -> Deletion:
        """How far one is.

        :raises Problem: 404 ``deletion_not_found``, 503.
        """
        return self._record(collection, deletion_id).shown(deletion_id)

    def run(self, collection: Collection, deletion_id: str, guard: Guard) -> Iterator[int]:
        """Carry one out, or what is left of it; yields how many rows have gone, again and again.

        :raises Problem: 404 ``deletion_not_found``; 503, also ``writes_paused``.
        """
        attempts = 0
        while True:
            record = self._record(collection, deletion_id)
            if record.done:
                return
            try:
                leaves = attempts >= PATIENT_ATTEMPTS
                for noted in self._pages(collection, deletion_id, record, guard, leaves=leaves):
                    attempts = 0
                    yield noted.deleted
            except ConditionError as error:  # a row has changed, or another process is at it
                attempts += 1
                if attempts == ATTEMPTS:
                    detail = "The rows are being changed too often; try again."
                    raise unavailable(detail, code=Refusal.STORAGE_UNAVAILABLE) from error
            else:
                return

    def fail(self, collection: Collection, deletion_id: str, reason: str) -> None:
        """Note why nobody is at it any more; to ask for it again, with its ``request_id``, has it go on.

        :raises Problem: 503.
        """
        record = self._find(collection, deletion_id)
        if record is None:  # forgotten meanwhile
            return
        try:
            failed = msgspec.structs.replace(record, failure=reason, revision=record.revision + 1)
            self._table.transact([_put(collection, deletion_id, failed, before=record.revision)])
        except ConditionError:
            return  # another process is at it

    def _record(self, collection: Collection, deletion_id: str) -> Record:
        record = self._find(collection, deletion_id)
        if record is None:
            raise not_found(f"There is no deletion {deletion_id}.", code=Refusal.DELETION_NOT_FOUND)
        return record

    def _find(self, collection: Collection, deletion_id: str) -> Record | None:
        item = self._table.get([_key(collection, deletion_id)]).get(deletion_id)
        if item is None or float(item[EXPIRES_AT]["N"]) <= self._clock.wall():
            return None
        return msgspec.msgpack.decode(item[_RECORD]["B"], type=Record)

    def _pages(
        self, collection: Collection, deletion_id: str, record: Record, guard: Guard, *, leaves: bool
    ) -> Iterator[Record]:
        """:param leaves: whether of the first ones those are left alone that have changed since they were read."""
        rows = self._reader.in_order(collection, after=record.after, page=_PAGE)
        for after, doomed in _portions(rows, record.wanted):
            while True:
                next_one = msgspec.structs.replace(
                    record,
                    after=record.after if after is None else after,
                    done=after is None,
                    deleted=record.deleted + len(doomed),
                    failure=None,
                    revision=record.revision + 1,
                )
                writes = [{"Delete": {"Key": items.key_of(collection, row.id), **unchanged(row)}} for row in doomed]
                writes.append(_put(collection, deletion_id, next_one, before=record.revision))
                writes += self._ended(collection, next_one)
                try:
                    guard.transact(self._table, writes, by=deletion_id)
                except ConditionError as error:
                    same = [row for place, row in enumerate(doomed) if place not in error.failed]
                    if not leaves or len(same) == len(doomed):
                        raise
                    doomed = same
                else:
                    break
            record, leaves = next_one, False
            yield record

    def _ended(self, collection: Collection, record: Record) -> Sequence[dict[str, Any]]:
        """What marks that it has, if it has; once its id may be another request's, nothing."""
        now = self._clock.wall()
        marks = [mark for mark in record.marks[1:] if record.done and now < (mark.until or 0.0)]
        return [self._requests.mark(collection, mark, record.deleted, now)[0] for mark in marks]


def done(change: DeleteRows, deleted: int, now: float) -> Deletion:
    """One that was carried out at once, elsewhere."""
    return Deletion(id=_id_of(change), state="DONE", deleted=deleted, created_at=round(now, 3))


def _kept(wanted: dict[str, Any]) -> dict[str, Any]:
    """A filter that a record can have: integers of MessagePack have 64 bits. One with others is JSON under a name that
    no filter has, so that a release which does not know that does not take it for one."""
    try:
        msgspec.msgpack.encode(wanted)
    except OverflowError:
        return {_JSON: msgspec.json.encode(wanted).decode()}
    return wanted


def _id_of(change: DeleteRows) -> str:
    if change.request_id is None:
        return secrets.token_hex(16)
    return hashlib.sha256(change.request_id.encode()).hexdigest()[:32]


def _portions(rows: Iterator[StoredItem], wanted: Filter) -> Iterator[tuple[str | None, Sequence[StoredItem]]]:
    """What to delete together, and the id up to which it is everything; None: there is no more."""
    doomed: list[StoredItem] = []
    looked_at = 0
    for row in rows:
        looked_at += 1
        if wanted(row.metadata):
            doomed.append(row)
        if len(doomed) == MOST_DELETED or looked_at == MOST_LOOKED_AT:
            yield row.id, doomed
            doomed, looked_at = [], 0
    yield None, doomed


def _put(collection: Collection, deletion_id: str, record: Record, *, before: int) -> dict[str, Any]:
    """The write that takes the place of revision ``before``; 0: of none, or one that has expired."""
    expires_at = record.created_at + KEPT_SECONDS
    item = {
        **_key(collection, deletion_id),
        _RECORD: {"B": msgspec.msgpack.encode(record)},
        _REVISION: {"N": str(record.revision)},
        EXPIRES_AT: {"N": repr(expires_at)},
        TTL: {"N": str(int(expires_at) + 1)},
    }
    if before:
        condition, names, values = "#r = :r", {"#r": _REVISION}, {":r": {"N": str(before)}}
    else:
        condition, names = "attribute_not_exists(#p) OR #e <= :now", {"#p": PARTITION, "#e": EXPIRES_AT}
        values = {":now": {"N": repr(record.created_at)}}
    return {
        "Put": {
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    }


def _key(collection: Collection, deletion_id: str) -> dict[str, Any]:
    return {PARTITION: {"S": items.deletions_of(collection)}, SORT: {"S": deletion_id}}
