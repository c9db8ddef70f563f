"""DynamoDB.

A table under a customer's key is opened with the rights of the caller (`Decrypt`; Developer Guide, "DynamoDB encryption
at rest: usage notes": its key is cached for each caller, and asked for again).
"""

from collections.abc import Iterator, Mapping
from typing import Any

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
_NO_DATA = frozenset({"DescribeTable", "DescribeTimeToLive"})


def calls(request: Request) -> tuple[Call, ...]:
    """What an operation needs, each call once."""
    found = dict.fromkeys(_named(request.operation, request.parameters))
    return tuple(dict.fromkeys(call for action, name in found for call in _calls(request.region, action, name)))


def _named(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(action, table or table/index)"""
    if operation in _ON_A_TABLE:
        index = parameters.get("IndexName")
        yield operation, f"{parameters['TableName']}/index/{index}" if index else str(parameters["TableName"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        yield from ((operation, name) for name in parameters["RequestItems"])
    elif operation in ("TransactGetItems", "TransactWriteItems"):
        for item in parameters["TransactItems"]:
            yield from ((_IN_TRANSACTIONS[kind], given["TableName"]) for kind, given in item.items())
    else:
        raise UnknownRequestError(f"dynamodb:{operation}: add it to local/iam/requests/dynamodb.py")


def _calls(region: str, action: str, name: str) -> Iterator[Call]:
    arn = name if name.startswith("arn:") else f"arn:aws:dynamodb:{region}:{deployed.ACCOUNT}:table/{name}"
    yield Call(action=f"dynamodb:{action}", resource=arn)
    if action not in _NO_DATA:
        table = arn.split("/")[1]
        yield from through("dynamodb", region, deployed.table_key(region, table), "Decrypt")
