"""The few DynamoDB calls that the registry makes, with plain Python values in and out."""

import random
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from operator import itemgetter
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

BATCH_GET = 100
"""Keys of one call."""
_BATCH_WRITE = 25
_RETRY_SECONDS = 25.0
_LOST = frozenset({"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons for which a transaction did not happen, and may the next time."""
_STUCK_SECONDS = 12.0
_STEP = 200
_serialize = TypeSerializer().serialize
_TEXT: Callable[[Any], str] = itemgetter("S")


def _any(_: str) -> bool:
    return True


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


@dataclass(frozen=True, kw_only=True)
class Containing:
    """Which items of a query are handed over: those without an attribute, and those that hold one member at least of
    each group: a text in an attribute."""

    unless_absent: str
    groups: Sequence[Sequence[tuple[str, str]]]
    """(attribute, text)."""

    def clause(self, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """DynamoDB's expression, and the values in it.

        :param names: how the expression calls attributes.
        """
        texts = dict.fromkeys(text for group in self.groups for _, text in group)
        values = {text: f":f{number}" for number, text in enumerate(texts)}
        alternatives = ([f"contains({names[held]}, {values[text]})" for held, text in group] for group in self.groups)
        # DynamoDB refuses parentheses that say nothing, and AND binds before OR.
        every = " AND ".join(f"({' OR '.join(either)})" if len(either) > 1 else either[0] for either in alternatives)
        absent = f"attribute_not_exists({names[self.unless_absent]})"
        return f"{absent} OR {every}", {name: {"S": text} for text, name in values.items()}


@dataclass(frozen=True, kw_only=True)
class _Range:
    """Items of a partition whose sort keys begin alike, beyond one of them."""

    partition: str
    prefix: str
    after: str | None
    descending: bool

    def clause(self) -> dict[str, Any]:
        """DynamoDB's parameters."""
        condition, names, values = "#p = :p", {"#p": PARTITION_KEY}, {":p": {"S": self.partition}}
        if self.prefix:
            condition += " AND begins_with(#s, :s)"
            names["#s"] = SORT_KEY
            values[":s"] = {"S": self.prefix}
        found: dict[str, Any] = {
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not self.descending,
        }
        if self.after is not None:
            found["ExclusiveStartKey"] = encode({PARTITION_KEY: self.partition, SORT_KEY: self.after})
        return found


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


class Revisions:
    """Those of a partition's records."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    @cached_property
    def by_id(self) -> dict[str, str]:
        """As text."""
        return {item["id"]["S"]: item["revision"]["N"] for item in self._items}

    def all_sort_keys(self) -> Iterator[str]:
        """Of all records."""
        return map(_TEXT, map(itemgetter(SORT_KEY), self._items))

    def sort_keys(self, ids: Container[str]) -> dict[str, str]:
        """Id → sort key, of some records."""
        every: Iterable[str] = self.by_id
        if len(self.by_id) < len(self._items):  # one was renamed between two pages, and stands in both
            every = [item["id"]["S"] for item in self._items]
        return {key: item[SORT_KEY]["S"] for key, item in zip(every, self._items, strict=True) if key in ids}


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
        """Items by ``(pk, sk)``, those that exist. One call per 100 keys.

        :raises Problem: 503 where the table gives none of them for long.
        """
        found: dict[tuple[str, str], Item] = {}
        distinct = [
            {PARTITION_KEY: {"S": partition}, SORT_KEY: {"S": sort}}
            for partition, sort in dict.fromkeys((key[PARTITION_KEY], key[SORT_KEY]) for key in keys)
        ]
        waiting = [distinct[start : start + BATCH_GET] for start in range(0, len(distinct), BATCH_GET)]
        pauses = _pauses()
        while waiting:
            asked = waiting.pop()
            answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": asked, "ConsistentRead": True}})
            for item in map(_decode, answer["Responses"].get(self._name, [])):
                found[item[PARTITION_KEY], item[SORT_KEY]] = item
            rest = answer.get("UnprocessedKeys", {}).get(self._name)
            if rest:  # over 16 MB, or throttled
                waiting.append(cast("list[dict[str, Any]]", rest["Keys"]))
                pauses = pauses if len(rest["Keys"]) == len(asked) else _pauses()
                time.sleep(next(pauses))
        return found

    def query(
        self, partition: str, *, prefix: str = "", after: str | None = None, descending: bool = False, limit: int = 0
    ) -> Iterator[Item]:
        """Items of a partition in the order of their sort keys, page by page as they are consumed.

        :param prefix: of the sort key.
        :param after: sort key beyond which to begin.
        :param limit: items a page; 0: as many as fit into 1 MB.
        """
        condition = _Range(partition=partition, prefix=prefix, after=after, descending=descending)
        for page in self._pages(condition, {"Limit": limit} if limit else {}):
            yield from map(_decode, page)

    def texts(
        self,
        partition: str,
        attribute: str,
        *,
        prefix: str = "",
        only: Containing | None = None,
        named: Callable[[str], bool] = _any,
        after: str | None = None,
        descending: bool = False,
    ) -> Iterator[tuple[str, str]]:
        """Sort key and one attribute of the items, as `query` yields them; nothing else is handed over.

        :param only: leaves others out; they are read, and paid for, all the same.
        :param named: which sort keys are wanted; those of others are all that is looked at.
        """
        condition = _Range(partition=partition, prefix=prefix, after=after, descending=descending)
        for page in self._filtered(condition, {"#t": attribute, "#s": SORT_KEY}, only):
            for start in range(0, len(page), _STEP):
                items = page[start : start + _STEP]
                yield from [(item[SORT_KEY]["S"], item[attribute]["S"]) for item in items if named(item[SORT_KEY]["S"])]

    def contents(
        self, partition: str, attribute: str, *, prefix: str = "", only: Containing | None = None
    ) -> Iterator[list[str]]:
        """One attribute of the items, as `texts` has them, some at a time; nothing else is handed over."""
        condition = _Range(partition=partition, prefix=prefix, after=None, descending=False)
        for page in self._filtered(condition, {"#t": attribute}, only):
            for start in range(0, len(page), _STEP):
                yield list(map(_TEXT, map(itemgetter(attribute), page[start : start + _STEP])))

    def revisions(self, partition: str) -> "Revisions":
        """Of all records of a partition; nothing else is handed over."""
        condition = _Range(partition=partition, prefix="", after=None, descending=False)
        arguments = {"ProjectionExpression": "#s, #i, #r"}
        names = {"#s": SORT_KEY, "#i": "id", "#r": "revision"}
        return Revisions([item for page in self._pages(condition, arguments, names=names) for item in page])

    def _filtered(self, condition: "_Range", names: Mapping[str, str], only: Containing | None) -> Iterator[list[Any]]:
        """:param names: how expressions call the attributes that are handed over."""
        arguments: dict[str, Any] = {"ProjectionExpression": ", ".join(names)}
        values: dict[str, Any] = {}
        if only is not None:
            names = {**names, "#f": only.unless_absent}
            arguments["FilterExpression"], values = only.clause({called: name for name, called in names.items()})
        yield from self._pages(condition, arguments, names=names, values=values)

    def _pages(
        self,
        condition: "_Range",
        arguments: dict[str, Any],
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Iterator[list[Any]]:
        """The items of each page, as botocore has them."""
        asked = condition.clause() | arguments
        asked["ExpressionAttributeNames"] |= names or {}
        asked["ExpressionAttributeValues"] |= values or {}
        while True:
            page = self._client.query(TableName=self._name, ConsistentRead=True, **asked)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def holding(self, attribute: str, *, after: Key | None = None) -> Iterator[tuple[list[Key], Key | None]]:
        """Keys of the items that have an attribute, page by page of the whole table, and where the next page begins.

        All of the table is read, and paid for: for what is done once.
        """
        asked: dict[str, Any] = {
            "ProjectionExpression": "#p, #s",
            "FilterExpression": "attribute_exists(#a)",
            "ExpressionAttributeNames": {"#p": PARTITION_KEY, "#s": SORT_KEY, "#a": attribute},
        }
        while True:
            if after is not None:
                asked["ExclusiveStartKey"] = encode(after)
            page = self._client.scan(TableName=self._name, ConsistentRead=True, **asked)
            after = _decode(page["LastEvaluatedKey"]) if "LastEvaluatedKey" in page else None
            yield [_decode(item) for item in page["Items"]], after
            if after is None:
                return

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
        """Remove items that nobody will write again, some at a time as they come; absent ones are fine.

        :raises Problem: 503 where the table takes none of them for long.
        """
        more = iter(keys)
        rest: list[Any] = []
        pauses = _pauses()
        while batch := rest + [_removal(key) for key in islice(more, _BATCH_WRITE - len(rest))]:
            answer = self._client.batch_write_item(RequestItems={self._name: batch})
            rest = answer.get("UnprocessedItems", {}).get(self._name, [])
            if rest:
                pauses = pauses if len(rest) == len(batch) else _pauses()
                time.sleep(next(pauses))

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


def _removal(key: Key) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": encode(key)}}


def _pauses() -> Iterator[float]:
    """Seconds to wait, one time after another, for a table that is asked too much.

    :raises Problem: 503, it was waited for as long as the gateway waits.
    """
    began = time.monotonic()
    ceiling = 0.02
    while time.monotonic() - began <= _RETRY_SECONDS:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads retries, guards nothing
        ceiling = min(1.0, 2 * ceiling)
    raise contended("The registry's table is asked too much; try again.")


def until_won(operation: Callable[[], T], *, stuck: Callable[[], object] | None = None) -> T:
    """Run ``operation`` (read, decide, write) again as long as others interfere, for `_RETRY_SECONDS`.

    :param stuck: called once, where it has lost for `_STUCK_SECONDS`: perhaps nobody interferes.
    :raises Problem: 503 when it keeps losing.
    """
    began = time.monotonic()
    ceiling = 0.01
    while True:
        try:
            return operation()
        except LostRaceError:
            lost = time.monotonic() - began
            if lost > _RETRY_SECONDS:
                raise contended("Others keep changing this model; try again.") from None
            if stuck is not None and lost > _STUCK_SECONDS:
                stuck()
                stuck = None
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
    return bool(codes) and codes <= _LOST


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
