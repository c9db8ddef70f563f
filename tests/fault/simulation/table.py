"""A simulated table of DynamoDB: every call can fail, be lost, come late, be sent twice, and take the turn away."""

import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from boto3.dynamodb.conditions import ConditionBase
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from anfl.resources import PARTITION_KEY, SORT_KEY
from tests.fault.simulation.replicas import Replica
from tests.fault.simulation.world import World

Attributes = dict[str, Any]
LATE_SECONDS = 60.0
"""Within this time a request arrives, or never."""
_STALE_SECONDS = 2.0
"""How old an answer may be that was not asked to be consistent."""
_PAGE = 2
_CONDITION = re.compile(r"(#\w+) = (:\w+)")
_UPDATE = re.compile(r"SET (#\w+) = (:\w+)")


class Table:
    """A `boto3` table in a `World`, as far as `Catalogue` and `DynamoHints` use one."""

    def __init__(self, world: World, *, region: str = "us-west-1") -> None:
        self._world = world
        self.meta = SimpleNamespace(client=SimpleNamespace(meta=SimpleNamespace(region_name=region)))
        self.replica: Replica[tuple[str, str]] = Replica()
        self.items: Mapping[tuple[str, str], Attributes] = self.replica.items
        self._before: dict[tuple[str, str], tuple[Attributes | None, float]] = {}
        """What stood under a key before its last change, and when that was."""

    def get_item(self, *, Key: Mapping[str, str], ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: N803
        """See boto3."""
        self._ask("get_item", Key)
        key = _key_of(Key)
        item = self.items.get(key)
        before, changed = self._before.get(key, (None, float("-inf")))
        if not ConsistentRead and changed > self._world.seconds - _STALE_SECONDS and self._world.random.random() < 0.5:
            item = before
        self._world.pause()
        return {} if item is None else {"Item": dict(item)}

    def query(
        self,
        *,
        KeyConditionExpression: ConditionBase,  # noqa: N803
        ConsistentRead: bool,  # noqa: N803
        Limit: int = _PAGE,  # noqa: N803
        ExclusiveStartKey: Any = None,  # noqa: N803
    ) -> dict[str, Any]:
        """See boto3."""
        if not ConsistentRead:
            raise ValueError("only consistent queries are simulated")
        self._ask("query", {})
        after = ("", "") if ExclusiveStartKey is None else _key_of(ExclusiveStartKey)
        found = sorted(key for key, item in self.items.items() if key > after and fulfils(item, KeyConditionExpression))
        page = [dict(self.items[key]) for key in found[: min(Limit, _PAGE)]]
        self._world.pause()
        if len(found) <= len(page):
            return {"Items": page}
        return {"Items": page, "LastEvaluatedKey": {name: page[-1][name] for name in (PARTITION_KEY, SORT_KEY)}}

    def put_item(self, *, Item: Attributes, ConditionExpression: ConditionBase) -> None:  # noqa: N803
        """See boto3."""

        def put(_before: Attributes) -> Attributes:
            return dict(Item)

        self._write("put_item", Item, lambda item: fulfils(item, ConditionExpression), put)

    def delete_item(self, *, Key: Mapping[str, str], ConditionExpression: ConditionBase) -> None:  # noqa: N803
        """See boto3."""
        self._write("delete_item", Key, lambda item: fulfils(item, ConditionExpression), lambda _before: None)

    def update_item(
        self,
        *,
        Key: Mapping[str, str],  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str],  # noqa: N803
        ExpressionAttributeValues: Mapping[str, Any],  # noqa: N803
    ) -> None:
        """See boto3."""
        names, values = ExpressionAttributeNames, ExpressionAttributeValues

        def parsed(pattern: re.Pattern[str], text: str) -> tuple[str, Any]:
            found = pattern.fullmatch(text)
            if found is None:
                raise ValueError(text)
            return names[found[1]], values[found[2]]

        def holds(item: Attributes) -> bool:
            name, value = parsed(_CONDITION, ConditionExpression)
            return name in item and bool(item[name] == value)

        def updated(before: Attributes) -> Attributes:
            return {**Key, **before, **dict([parsed(_UPDATE, UpdateExpression)])}

        self._write("update_item", Key, holds, updated)

    def _write(
        self,
        what: str,
        key: Mapping[str, str],
        holds: Callable[[Attributes], bool],
        change: Callable[[Attributes], Attributes | None],
    ) -> None:
        place = _key_of(key)

        def effect() -> None:
            before = self.items.get(place)
            if not holds(before or {}):
                raise _error("ConditionalCheckFailedException", what)
            self._before[place] = (before, self._world.seconds)
            self.replica.write(place, change(before or {}))

        world = self._world
        world.pause()
        chance, outages = world.random.random(), world.weather.outages
        if chance < outages / 4:
            self._fail(what, place, "failed")
        if chance < outages / 2:
            world.later(lambda: _quietly(effect), most=LATE_SECONDS)
            self._fail(what, place, "is late")
        if chance < 3 * outages / 4:
            world.note(f"{world.name}: {what} {place} is sent twice, for its first answer got lost")
            _quietly(effect)
        effect()
        world.note(f"{world.name}: {what} {place}")
        if 3 * outages / 4 <= chance < outages:
            self._fail(what, place, "has no answer")
        world.pause()

    def _ask(self, what: str, key: Mapping[str, str]) -> None:
        self._world.pause()
        if self._world.random.random() < self._world.weather.outages / 2:
            self._fail(what, _key_of(key) if key else ("", ""), "failed")

    def _fail(self, what: str, place: tuple[str, str], text: str) -> None:
        self._world.note(f"{self._world.name}: {what} {place} {text}")
        match self._world.random.randrange(4):
            case 0:
                raise ConnectTimeoutError(endpoint_url="dynamodb")
            case 1:
                raise ReadTimeoutError(endpoint_url="dynamodb")
            case 2:
                raise _error("ProvisionedThroughputExceededException", what)
            case _:
                raise _error("InternalServerError", what)


def fulfils(item: Attributes, condition: ConditionBase) -> bool:
    """Whether ``item`` (empty: there is none) fulfils a condition made with ``Attr`` and ``Key``."""
    expression = condition.get_expression()
    operator, values = expression["operator"], expression["values"]
    if operator == "AND":
        return all(fulfils(item, each) for each in values)
    if operator == "OR":
        return any(fulfils(item, each) for each in values)
    name = values[0].name
    match operator:
        case "attribute_exists":
            return name in item
        case "attribute_not_exists":
            return name not in item
        case "=":
            return name in item and bool(item[name] == values[1])
        case "<":
            return name in item and bool(item[name] < values[1])
        case "BETWEEN":
            return name in item and values[1] <= str(item[name]) <= values[2]
        case "begins_with":
            return name in item and str(item[name]).startswith(values[1])
    raise ValueError(operator)


def _key_of(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item[PARTITION_KEY]), str(item[SORT_KEY])


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "simulated"}}, operation)


def _quietly(effect: Callable[[], None]) -> None:
    try:
        effect()
    except ClientError:
        return
