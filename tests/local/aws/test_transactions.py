"""A transaction under a token is carried out once, however often it comes."""

import pytest

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
