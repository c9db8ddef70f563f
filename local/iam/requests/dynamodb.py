"""DynamoDB.

A table under a customer's key is opened with the rights of the caller (`Decrypt`; Developer Guide, "DynamoDB encryption
at rest: usage notes": its key is cached for each caller, and asked for again).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from anfl.resources import PARTITION_KEY
from local.iam import deployed
from local.iam.calls import Call
from local.iam.errors import UnknownRequestError
from local.iam.requests.keys import through
from local.iam.requests.request import Request

_ON_A_TABLE = frozenset(
    {
        "DeleteItem",
        "DescribeTable",
        "DescribeTimeToLive",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "SearchVectors",
        "UpdateItem",
    }
)
_IN_TRANSACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
_LEADING_KEYS = "dynamodb:leadingkeys"
_EQUAL = re.compile(r"([#\w]+)\s*=\s*(:\w+)")
_NO_DATA = frozenset({"DescribeTable", "DescribeTimeToLive"})


def calls(request: Request) -> tuple[Call, ...]:
    """What an operation needs, each call once."""
    found = dict[tuple[str, str], dict[str, None]]()
    for action, name, keys in _named(request.operation, request.parameters):
        found.setdefault((action, name), {}).update(dict.fromkeys(keys))
    return tuple(
        dict.fromkeys(
            call for (action, name), keys in found.items() for call in _calls(request.region, action, name, tuple(keys))
        )
    )


def _named(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str, Iterable[str]]]:
    """(action, table or table/index, keys of the table's partitions)"""
    if operation in _ON_A_TABLE:
        index, name = parameters.get("IndexName"), str(parameters["TableName"])
        if index:
            yield operation, f"{name}/index/{index}", ()
        else:
            yield operation, name, _leading_keys(operation, parameters)
    elif operation == "BatchGetItem":
        for name, asked in parameters["RequestItems"].items():
            yield operation, name, map(_partition, asked["Keys"])
    elif operation == "BatchWriteItem":
        for name, writes in parameters["RequestItems"].items():
            yield operation, name, (_partition(_item(given)) for write in writes for given in write.values())
    elif operation in ("TransactGetItems", "TransactWriteItems"):
        for item in parameters["TransactItems"]:
            for kind, given in item.items():
                yield _IN_TRANSACTIONS[kind], given["TableName"], [_partition(_item(given))]
    else:
        raise UnknownRequestError(f"dynamodb:{operation}: add it to local/iam/requests/dynamodb.py")


def _leading_keys(operation: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    """The keys of the partitions that an operation names; a scan names none.

    :raises UnknownRequestError: a query that does not say which partition, in the words that are understood here.
    """
    if operation != "Query":
        item = _item(parameters)
        return [_partition(item)] if item else []
    names = parameters.get("ExpressionAttributeNames", {})
    for name, value in _EQUAL.findall(parameters.get("KeyConditionExpression", "")):
        if names.get(name, name) == PARTITION_KEY:
            return [_text(parameters["ExpressionAttributeValues"][value])]
    raise UnknownRequestError("a query that names no partition: see local/iam/requests/dynamodb.py")


def _item(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = given.get("Key") or given.get("Item") or {}
    return found


def _partition(item: Mapping[str, Any]) -> str:
    if PARTITION_KEY not in item:
        raise UnknownRequestError(f"an item without {PARTITION_KEY}: see local/iam/requests/dynamodb.py")
    return _text(item[PARTITION_KEY])


def _text(value: Mapping[str, Any]) -> str:
    (text,) = value.values()
    return str(text)


def _calls(region: str, action: str, name: str, keys: tuple[str, ...]) -> Iterator[Call]:
    arn = name if name.startswith("arn:") else f"arn:aws:dynamodb:{region}:{deployed.ACCOUNT}:table/{name}"
    yield Call(action=f"dynamodb:{action}", resource=arn, context=((_LEADING_KEYS, keys),) if keys else ())
    if action not in _NO_DATA:
        table = arn.split("/")[1]
        yield from through("dynamodb", region, deployed.table_key(region, table), "Decrypt")
