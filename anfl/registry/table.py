"""The few DynamoDB calls that the registry makes, with plain Python values in and out."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from anfl.registry.errors import contended
from anfl.registry.keys import Key
from anfl.resources import PARTITION_KEY, SORT_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
Item = dict[str, Any]

_BATCH_GET = 100
_BATCH_WRITE = 25
_RETRY_SECONDS = 25.0
_serialize = TypeSerializer().serialize


class LostRaceError(Exception):
    """A condition failed or another transaction held an item: read again and decide anew."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What must hold for an item: its revision (and id), or that it exists, or that it does not."""

    revision: int | None = None
    id: str | None = None
    exists: bool | None = None

    def clause(self) -> dict[str, Any]:
        """DynamoDB's parameters."""
        if self.revision is not None:
            expression = "revision = :revision"
            values = {":revision": {"N": str(self.revision)}}
            if self.id is not None:
                expression += " AND id = :id"
                values[":id"] = {"S": self.id}
            return {"ConditionExpression": expression, "ExpressionAttributeValues": values}
        if self.exists is None:
            return {}
        function = "attribute_exists" if self.exists else "attribute_not_exists"
        return {"ConditionExpression": f"{function}({PARTITION_KEY})"}


ANY = Condition()
EXISTS = Condition(exists=True)
ABSENT = Condition(exists=False)


@dataclass(frozen=True, kw_only=True)
class Put:
    """Write a whole item."""

    key: Key
    item: Item = field(default_factory=dict)
    condition: Condition = ANY


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Remove an item."""

    key: Key
    condition: Condition = ANY


@dataclass(frozen=True, kw_only=True)
class Check:
    """Require something of an item that is not written."""

    key: Key
    condition: Condition


Action = Put | Delete | Check


class Table:
    """One DynamoDB table. Every read is strongly consistent. Methods raise botocore's errors."""

    def __init__(self, *, name: str, client: "DynamoDBClient") -> None:
        self._name = name
        self._client = client

    def get(self, key: Key) -> Item | None:
        """One item."""
        answer = self._client.get_item(TableName=self._name, Key=encode(key), ConsistentRead=True)
        return _decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key]) -> dict[tuple[str, str], Item]:
        """Items by ``(pk, sk)``, those that exist. One call per 100 keys."""
        found: dict[tuple[str, str], Item] = {}
        distinct = list({(key[PARTITION_KEY], key[SORT_KEY]): encode(key) for key in keys}.values())
        waiting = [distinct[start : start + _BATCH_GET] for start in range(0, len(distinct), _BATCH_GET)]
        pause = 0.02
        while waiting:
            answer = self._client.batch_get_item(
                RequestItems={self._name: {"Keys": waiting.pop(), "ConsistentRead": True}}
            )
            for item in map(_decode, answer["Responses"].get(self._name, [])):
                found[item[PARTITION_KEY], item[SORT_KEY]] = item
            rest = answer.get("UnprocessedKeys", {}).get(self._name)
            if rest:  # over 16 MB, or throttled
                waiting.append(cast("list[dict[str, Any]]", rest["Keys"]))
                time.sleep(pause)
                pause = min(1.0, 2 * pause)
        return found

    def query(
        self, partition: str, *, prefix: str = "", after: str | None = None, descending: bool = False, limit: int = 0
    ) -> Iterator[Item]:
        """Items of a partition in the order of their sort keys, page by page as they are consumed.

        :param prefix: of the sort key.
        :param after: sort key beyond which to begin.
        :param limit: items a page; 0: as many as fit into 1 MB.
        """
        condition = "#p = :p"
        names = {"#p": PARTITION_KEY}
        values: dict[str, Any] = {":p": {"S": partition}}
        if prefix:
            condition += " AND begins_with(#s, :s)"
            names["#s"] = SORT_KEY
            values[":s"] = {"S": prefix}
        arguments: dict[str, Any] = {"Limit": limit} if limit else {}
        if after is not None:
            arguments["ExclusiveStartKey"] = encode({PARTITION_KEY: partition, SORT_KEY: after})
        while True:
            page = self._client.query(
                TableName=self._name,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=not descending,
                **arguments,
            )
            yield from map(_decode, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def write(self, *actions: Action) -> None:
        """All of ``actions`` or none (at most 100).

        :raises LostRaceError: a condition does not hold, or a concurrent transaction is touching the same items.
        """
        try:
            if len(actions) == 1 and isinstance(actions[0], Put):
                put = actions[0]
                self._client.put_item(TableName=self._name, Item=encode(put.key | put.item), **put.condition.clause())
            else:
                self._client.transact_write_items(TransactItems=[self._transactional(action) for action in actions])
        except ClientError as error:
            if _is_lost_race(error):
                raise LostRaceError from error
            raise

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove items that nobody will write again; absent ones are fine."""
        waiting = [{"DeleteRequest": {"Key": encode(key)}} for key in keys]
        pause = 0.02
        while waiting:
            batch, waiting = waiting[:_BATCH_WRITE], waiting[_BATCH_WRITE:]
            answer = self._client.batch_write_item(RequestItems={self._name: cast("Any", batch)})
            rest = answer.get("UnprocessedItems", {}).get(self._name, [])
            if rest:
                waiting += cast("Any", rest)
                time.sleep(pause)
                pause = min(1.0, 2 * pause)

    def _transactional(self, action: Action) -> Any:  # noqa: ANN401 - botocore's nested dictionaries
        match action:
            case Put():
                item = encode(action.key | action.item)
                return {"Put": {"TableName": self._name, "Item": item} | action.condition.clause()}
            case Delete():
                return {"Delete": {"TableName": self._name, "Key": encode(action.key)} | action.condition.clause()}
            case Check():
                clause = action.condition.clause()
                return {"ConditionCheck": {"TableName": self._name, "Key": encode(action.key)} | clause}


def until_won(operation: Callable[[], T]) -> T:
    """Run ``operation`` (read, decide, write) again as long as others interfere, for `_RETRY_SECONDS`.

    :raises Problem: 503 when it keeps losing.
    """
    deadline = time.monotonic() + _RETRY_SECONDS
    ceiling = 0.01
    while True:
        try:
            return operation()
        except LostRaceError:
            if time.monotonic() > deadline:
                raise contended("Others keep changing this model; try again.") from None
            time.sleep(random.uniform(0, ceiling))  # noqa: S311 - spreads retries, guards nothing
            ceiling = min(0.3, 1.7 * ceiling)


def _is_lost_race(error: ClientError) -> bool:
    code = error.response["Error"]["Code"]
    if code in {"ConditionalCheckFailedException", "TransactionConflictException", "TransactionInProgressException"}:
        return True
    if code != "TransactionCanceledException":
        return False
    reasons = cast("list[Mapping[str, str]]", error.response.get("CancellationReasons", []))
    codes = {reason.get("Code") for reason in reasons} - {"None", None}
    return bool(codes) and codes <= {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"}


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB takes it."""
    return {name: _serialize(value) for name, value in item.items() if value is not None}


def _decode(item: Mapping[str, Any]) -> Item:
    return {name: value["S"] if "S" in value else _plain(value) for name, value in item.items()}


def _plain(typed: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any attribute value
    """What botocore's ``{type: value}`` means. (boto3's own way goes through `Decimal`; every number here is whole.)"""
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return int(value)
        case "M":
            return _decode(value)
        case "L":
            return [_plain(inner) for inner in value]
        case "NULL":
            return None
        case _:  # text, bytes, truth
            return value
