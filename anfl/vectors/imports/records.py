"""Which imports there are, and how far they are: items of the catalogue table, ``pk = T#<tenant>``, ``sk = I#<id>``.

Ids begin with the time, so that a tenant's imports stand in their order. Items go `KEPT_SECONDS` after they were made.

Each is written in one region, its home, again and again while it runs: of what two regions write to one item at the
same time the later stays, with all else that stands there. So that somebody has cancelled it elsewhere stands beside
it: ``pk = I#<id>``, ``sk = X``.
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from boto3.dynamodb.conditions import Attr, Key

from anfl.problems import Problem, not_found
from anfl.resources import CATALOGUE, PARTITION_KEY, SORT_KEY
from anfl.vectors.imports.model import Failure, File, Record, State, Waiting
from anfl.vectors.table import ConditionError, answering

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

KEPT_SECONDS = 90 * 24 * 3600
"""How long an import is known."""
_FIXED = "import"
_FAILURE = "failed_because"


class _Fixed(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes of an import."""

    collection: str
    incarnation: str
    files: tuple[File, ...]
    created_at: float
    home: str | None = None
    """None: from before it was noted."""


class Records:
    """The imports of every tenant."""

    def __init__(self, table: "Table") -> None:
        self.table = table

    def add(self, record: Record) -> None:
        """Note a new import.

        :raises Problem: 503.
        """
        fixed = _Fixed(
            collection=record.collection,
            incarnation=record.incarnation,
            files=record.files,
            created_at=record.created_at,
            home=record.home,
        )
        item: dict[str, Any] = {
            **key_of(record.tenant, record.id),
            _FIXED: msgspec.json.encode(fixed).decode(),
            str(CATALOGUE.ttl_attribute): int(record.created_at) + KEPT_SECONDS,
        }
        with answering():
            self.table.put_item(Item=item)

    def get(self, tenant: str, import_id: str) -> Record:
        """An import.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        with answering():
            item = self.table.get_item(Key=key_of(tenant, import_id), ConsistentRead=True).get("Item")
        if item is None:
            raise absent(import_id)
        return self._whole(_record(item))

    def page(self, tenant: str, *, limit: int, before: str | None, collection: str | None) -> tuple[list[Record], bool]:
        """A tenant's imports, the newest first, those ``before`` an id; and whether there may be more.

        :param collection: only those into it.
        :raises Problem: 503.
        """
        found: list[Record] = []
        bound = Key(SORT_KEY).begins_with("I#") if before is None else Key(SORT_KEY).between("I#", f"I#{before}")
        given: dict[str, Any] = {
            "KeyConditionExpression": Key(PARTITION_KEY).eq(f"T#{tenant}") & bound,
            "ScanIndexForward": False,
        }
        while True:
            with answering():
                page = self.table.query(**given)
            records = (_record(item) for item in page["Items"])
            found += [each for each in records if each.id != before and collection in (None, each.collection)]
            if len(found) > limit or "LastEvaluatedKey" not in page:
                return [self._whole(each) for each in found[:limit]], len(found) > limit
            given["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def start(self, tenant: str, import_id: str, *, at: float) -> None:
        """Note when its files were complete; the first time stays.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "SET started_at = if_not_exists(started_at, :at)", {":at": str(at)})

    def cut(self, tenant: str, import_id: str, *, chunks: int, rows: int) -> None:
        """Note what its files hold; whoever looks through them comes to the same.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(
            tenant, import_id, "SET chunks_found = :chunks, rows_found = :rows", {":chunks": chunks, ":rows": rows}
        )

    def fail(self, tenant: str, import_id: str, failure: Failure) -> None:
        """Note why the import cannot go on; the first reason stays.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        reason = {":failure": msgspec.json.encode(failure).decode()}
        self._update(tenant, import_id, "SET failed_because = if_not_exists(failed_because, :failure)", reason)

    def at_work(self, tenant: str, import_id: str, *, until: float) -> None:
        """Note that somebody is at a job of it: believed ``until``, seconds since the epoch.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "SET at_work_until = :until", {":until": str(until)})

    def wait(self, tenant: str, import_id: str, waiting: Waiting, *, until: float) -> None:
        """Note what a job of it waits for ``until``, seconds since the epoch.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        values = {":waiting": msgspec.json.encode(waiting).decode(), ":until": str(until)}
        self._update(tenant, import_id, "SET waits_for = :waiting, waiting_until = :until", values)

    def go_on(self, tenant: str, import_id: str) -> None:
        """Forget why it failed: it is tried again.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "REMOVE failed_because", {})

    def cancel(self, record: Record, *, at: float, here: bool) -> None:
        """Note that nothing more is to be stored.

        :param here: whether this region is its home.
        :raises Problem: 404 ``import_not_found``, 503.
        """
        if here:
            expression = "SET cancelled_at = if_not_exists(cancelled_at, :at)"
            self._update(record.tenant, record.id, expression, {":at": str(at)})
            return
        expiry = {str(CATALOGUE.ttl_attribute): int(record.created_at) + KEPT_SECONDS}
        with answering():
            self.table.put_item(Item={**_cancelled_key(record.id), "cancelled_at": str(at), **expiry})

    def _whole(self, record: Record) -> Record:
        """``record`` with what stands beside it."""
        if record.state in (State.DONE, State.CANCELLED):
            return record
        with answering():
            found = self.table.get_item(Key=_cancelled_key(record.id), ConsistentRead=True)
        return msgspec.structs.replace(record, cancelled="Item" in found)

    def _update(self, tenant: str, import_id: str, expression: str, values: Mapping[str, Any]) -> None:
        given: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        try:
            with answering():
                self.table.update_item(
                    Key=key_of(tenant, import_id),
                    UpdateExpression=expression,
                    ConditionExpression=Attr(PARTITION_KEY).exists(),
                    **given,
                )
        except ConditionError as error:
            raise absent(import_id) from error


def new_id(now: float) -> str:
    """An id for an import that is made ``now``, seconds since the epoch; later ones are greater."""
    return f"{int(now * 1000):012x}{secrets.token_hex(10)}"


def key_of(tenant: str, import_id: str) -> dict[str, str]:
    """Of an import's item."""
    return {PARTITION_KEY: f"T#{tenant}", SORT_KEY: f"I#{import_id}"}


def _cancelled_key(import_id: str) -> dict[str, str]:
    return {PARTITION_KEY: f"I#{import_id}", SORT_KEY: "X"}


def absent(import_id: str) -> Problem:
    """404: there is none."""
    return not_found(f"There is no import {import_id}.", code="import_not_found")


def _record(item: Mapping[str, Any]) -> Record:
    fixed = msgspec.json.decode(item[_FIXED], type=_Fixed)
    return Record(
        tenant=item[PARTITION_KEY].removeprefix("T#"),
        id=item[SORT_KEY].removeprefix("I#"),
        collection=fixed.collection,
        incarnation=fixed.incarnation,
        files=fixed.files,
        created_at=fixed.created_at,
        home=fixed.home,
        started_at=float(item["started_at"]) if "started_at" in item else None,
        cancelled="cancelled_at" in item,
        rows=int(item["rows_found"]) if "rows_found" in item else None,
        chunks=int(item["chunks_found"]) if "chunks_found" in item else None,
        chunks_done=int(item.get("chunks_done", 0)),
        stored=int(item.get("rows_stored", 0)),
        refused=int(item.get("rows_refused", 0)),
        failure=msgspec.json.decode(item[_FAILURE], type=Failure) if _FAILURE in item else None,
        at_work_until=float(item.get("at_work_until", 0)),
        waiting=msgspec.json.decode(item["waits_for"], type=Waiting) if "waits_for" in item else None,
        waiting_until=float(item.get("waiting_until", 0)),
    )
