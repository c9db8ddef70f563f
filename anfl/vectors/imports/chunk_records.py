"""What became of an import's chunks: items of the catalogue table, ``pk = I#<id>``.

``sk = K#<number>`` is a chunk that is done: it and its share of the import's counters are written in one transaction,
so that a chunk counts once however often it was delivered. ``sk = L#<job>`` is a job that is being tried for the last
time: whoever is killed at that tells nobody, so it is told before.
"""

import time
from typing import TYPE_CHECKING, Any

import msgspec
from boto3.dynamodb.conditions import Key

from anfl.resources import CATALOGUE, PARTITION_KEY, SORT_KEY
from anfl.vectors.imports.model import MAX_ERRORS, Chunk, ChunkOutcome, Cut, Job, RowError
from anfl.vectors.imports.records import KEPT_SECONDS, absent, key_of
from anfl.vectors.table import ConditionError, answering

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


class ChunkRecords:
    """The chunks of all imports."""

    def __init__(self, table: "Table") -> None:
        self.table = table

    def is_done(self, chunk: Chunk) -> bool:
        """Whether the chunk was done already.

        :raises Problem: 503.
        """
        with answering():
            return "Item" in self.table.get_item(Key=_key(chunk), ConsistentRead=True)

    def done(self, chunk: Chunk, outcome: ChunkOutcome) -> None:
        """Note what became of a chunk, and count it; no effect where it was counted.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        item = {**_key(chunk), "errors": msgspec.json.encode(outcome.errors).decode(), **_expiry()}
        counted = {
            "Key": key_of(chunk.tenant, chunk.import_id),
            "ConditionExpression": f"attribute_exists({PARTITION_KEY})",
            "UpdateExpression": "ADD chunks_done :one, rows_stored :stored, rows_refused :refused",
            "ExpressionAttributeValues": {":one": 1, ":stored": outcome.stored, ":refused": outcome.refused},
        }
        noted = {"Item": item, "ConditionExpression": f"attribute_not_exists({PARTITION_KEY})"}
        writes: list[Any] = [{"Put": noted}, {"Update": counted}, {"Delete": {"Key": _last_key(chunk)}}]
        for write in writes:
            next(iter(write.values()))["TableName"] = self.table.name
        try:
            with answering():
                self.table.meta.client.transact_write_items(TransactItems=writes)
        except ConditionError as error:
            if not error.first:
                raise absent(chunk.import_id) from error

    def errors(self, import_id: str) -> tuple[RowError, ...]:
        """Why the first refused rows were, by row, of chunks that are done.

        :raises Problem: 503.
        """
        found: list[RowError] = []
        for item in self._items(import_id, "K#"):
            found += msgspec.json.decode(item["errors"], type=list[RowError])
            if len(found) >= MAX_ERRORS:
                break
        return tuple(found[:MAX_ERRORS])

    def finished(self, import_id: str) -> set[int]:
        """Numbers of the chunks that are done.

        :raises Problem: 503.
        """
        return {int(item[SORT_KEY].removeprefix("K#")) for item in self._items(import_id, "K#")}

    def last_attempt(self, job: Job, *, until: float) -> None:
        """A job is begun for the last time; if it has not ended by ``until``, seconds since the epoch, it never will.

        :raises Problem: 503.
        """
        with answering():
            self.table.put_item(Item={**_last_key(job), "until": int(until), **_expiry()})

    def ended(self, job: Job) -> None:
        """A job has ended, whichever way.

        :raises Problem: 503.
        """
        with answering():
            self.table.delete_item(Key=_last_key(job))

    def lapsed(self, import_id: str, *, now: float) -> str | None:
        """A job that ended without a word when it was tried for the last time; None: there is none.

        :raises Problem: 503.
        """
        late = (str(item[SORT_KEY]) for item in self._items(import_id, "L#") if int(item["until"]) < now)
        return next((key.removeprefix("L#") for key in late), None)

    def forget_attempts(self, import_id: str) -> None:
        """It is tried again.

        :raises Problem: 503.
        """
        for item in list(self._items(import_id, "L#")):
            with answering():
                self.table.delete_item(Key={PARTITION_KEY: item[PARTITION_KEY], SORT_KEY: item[SORT_KEY]})

    def _items(self, import_id: str, prefix: str) -> Any:  # noqa: ANN401 - items of boto3
        condition = Key(PARTITION_KEY).eq(f"I#{import_id}") & Key(SORT_KEY).begins_with(prefix)
        given: dict[str, Any] = {"KeyConditionExpression": condition, "ConsistentRead": True}
        while True:
            with answering():
                page = self.table.query(**given)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            given["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def name_of(job: Job) -> str:
    """What it is called where it fails."""
    return "cut" if isinstance(job, Cut) else f"chunk-{job.number:08}"


def _key(chunk: Chunk) -> dict[str, str]:
    return {PARTITION_KEY: f"I#{chunk.import_id}", SORT_KEY: f"K#{chunk.number:08}"}


def _last_key(job: Job) -> dict[str, str]:
    return {PARTITION_KEY: f"I#{job.import_id}", SORT_KEY: f"L#{name_of(job)}"}


def _expiry() -> dict[str, int]:
    return {str(CATALOGUE.ttl_attribute): int(time.time()) + KEPT_SECONDS}
