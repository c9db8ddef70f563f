"""What is known of imports, in the catalogue table.

An import is ``pk = T#<tenant>``, ``sk = I#<id>``; each of its chunks that is done is ``pk = I#<id>``,
``sk = K#<number>``. A chunk's item and its share of the import's counters are written in one transaction, so that a
chunk counts once however often it was delivered.
"""

from typing import TYPE_CHECKING, Any

import msgspec
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, not_found, unavailable
from anfl.resources import PARTITION_KEY, SORT_KEY
from anfl.vectors.imports.model import MAX_ERRORS, Chunk, ChunkOutcome, Progress, RowError, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_ABSENT = f"attribute_not_exists({PARTITION_KEY})"
_PRESENT = f"attribute_exists({PARTITION_KEY})"


class Records:
    """The imports of every tenant."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def begin(self, tenant: str, import_id: str, collection: str) -> None:
        """Note a new import; no error where an earlier attempt did.

        :raises Problem: 503.
        """
        self._update(tenant, import_id, "SET #collection = :collection", {":collection": collection}, new=True)

    def cut(self, tenant: str, import_id: str, chunks: int) -> None:
        """Note how many chunks the file has; whoever cuts it comes to the same number.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "SET #chunks = :chunks", {":chunks": chunks})

    def fail(self, tenant: str, import_id: str, reason: str) -> None:
        """Note why the import cannot go on; the first reason stays.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "SET #reason = if_not_exists(#reason, :reason)", {":reason": reason})

    def go_on(self, tenant: str, import_id: str) -> None:
        """Forget why it failed: it is tried again.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        self._update(tenant, import_id, "REMOVE #reason", {})

    def is_done(self, chunk: Chunk) -> bool:
        """Whether the chunk was done already.

        :raises Problem: 503.
        """
        return "Item" in self._call(self._table.get_item, Key=_chunk_key(chunk), ConsistentRead=True)

    def done(self, chunk: Chunk, outcome: ChunkOutcome) -> None:
        """Note what became of a chunk, and count it; no effect where it was counted.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        item = {**_chunk_key(chunk), "errors": msgspec.json.encode(outcome.errors).decode()}
        counted = {
            "TableName": self._table.name,
            "Key": _key(chunk.tenant, chunk.import_id),
            "ConditionExpression": _PRESENT,
            "UpdateExpression": "ADD #done :one, #stored :stored, #refused :refused",
            "ExpressionAttributeNames": {"#done": "chunks_done", "#stored": "stored", "#refused": "refused"},
            "ExpressionAttributeValues": {":one": 1, ":stored": outcome.stored, ":refused": outcome.refused},
        }
        noted = {"TableName": self._table.name, "Item": item, "ConditionExpression": _ABSENT}
        try:
            self._table.meta.client.transact_write_items(
                TransactItems=[{"Put": noted}, {"Update": counted}]  # type: ignore[typeddict-item]
            )
        except ClientError as error:
            first, second = [*map(_code, error.response.get("CancellationReasons", [])), "", ""][:2]
            if first == "ConditionalCheckFailed":
                return
            raise (_absent(chunk.import_id) if second == "ConditionalCheckFailed" else _unavailable()) from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def progress(self, tenant: str, import_id: str) -> Progress:
        """How far an import is.

        :raises Problem: 404 ``import_not_found``, 503.
        """
        item = self._call(self._table.get_item, Key=_key(tenant, import_id), ConsistentRead=True).get("Item")
        if item is None:
            raise _absent(import_id)
        chunks = None if "chunks" not in item else int(item["chunks"])
        chunks_done, refused = int(item.get("chunks_done", 0)), int(item.get("refused", 0))
        reason = item.get("reason")
        return Progress(
            id=import_id,
            collection=item["collection"],
            state=_state(chunks, chunks_done, failed=reason is not None),
            chunks=chunks or 0,
            chunks_done=chunks_done,
            stored=int(item.get("stored", 0)),
            refused=refused,
            errors=self._errors(import_id) if refused else (),
            reason=reason,
        )

    def _errors(self, import_id: str) -> tuple[RowError, ...]:
        """The first ones, by row."""
        found: list[RowError] = []
        start: dict[str, Any] = {}
        while len(found) < MAX_ERRORS:
            page = self._call(
                self._table.query, KeyConditionExpression=Key(PARTITION_KEY).eq(f"I#{import_id}"), **start
            )
            for item in page["Items"]:
                found += msgspec.json.decode(item["errors"], type=list[RowError])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return tuple(found[:MAX_ERRORS])

    def _update(
        self, tenant: str, import_id: str, expression: str, values: dict[str, Any], *, new: bool = False
    ) -> None:
        member = expression.partition("#")[2].split()[0].rstrip(",")
        given: dict[str, Any] = {
            "Key": _key(tenant, import_id),
            "UpdateExpression": expression,
            "ExpressionAttributeNames": {f"#{member}": member},
        }
        if values:
            given["ExpressionAttributeValues"] = values
        if not new:
            given["ConditionExpression"] = Attr(PARTITION_KEY).exists()
        try:
            self._call(self._table.update_item, **given)
        except Problem as problem:
            if _is_condition(problem.__cause__):
                raise _absent(import_id) from problem
            raise

    def _call(self, operation: Any, **given: Any) -> Any:  # noqa: ANN401 - whatever the operation takes and answers
        try:
            return operation(**given)
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error


def _state(chunks: int | None, done: int, *, failed: bool) -> State:
    if failed:
        return State.FAILED
    if chunks is None:
        return State.PENDING
    return State.DONE if done == chunks else State.RUNNING


def _key(tenant: str, import_id: str) -> dict[str, str]:
    return {PARTITION_KEY: f"T#{tenant}", SORT_KEY: f"I#{import_id}"}


def _chunk_key(chunk: Chunk) -> dict[str, str]:
    return {PARTITION_KEY: f"I#{chunk.import_id}", SORT_KEY: f"K#{chunk.number:08}"}


def _code(reason: Any) -> str:  # noqa: ANN401 - botocore's
    return str(reason.get("Code", ""))


def _is_condition(error: BaseException | None) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _absent(import_id: str) -> Problem:
    return not_found(f"There is no import {import_id}.", code="import_not_found")


def _unavailable() -> Problem:
    return unavailable("The catalogue does not answer; try again.", code="catalogue_unavailable")
