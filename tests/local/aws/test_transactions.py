"""A transaction under a token is carried out once, however often it comes."""

import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
from moto.core.responses import ActionResult

from local.aws.transactions import Tokens
from tests.local.aws.conftest import Aws


def test_the_same_transaction_is_not_carried_out_again(aws: Aws) -> None:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="once",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def add(token: str, number: int = 1) -> None:
        update = {
            "TableName": "once",
            "Key": {"pk": {"S": "counter"}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": str(number)}},
        }
        client.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)

    add("first")
    add("first")
    add("second")
    assert client.get_item(TableName="once", Key={"pk": {"S": "counter"}})["Item"]["n"] == {"N": "2"}
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        add("first", number=5)


class _Vector(dict[str, Any]):
    """One that can be watched."""


def test_what_was_written_is_not_kept_for_its_token() -> None:
    """Ten minutes of loading vectors would be gigabytes."""
    transact = Tokens().once(lambda _handler: ActionResult({}))
    vector = _Vector(L=[{"N": str(number / 7)} for number in range(384)])
    kept = weakref.ref(vector)
    writes = [{"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}, "v": vector}}}]
    transact(cast("Any", SimpleNamespace(region="r", body={"ClientRequestToken": "a", "TransactItems": writes})))
    del vector, writes
    assert kept() is None
