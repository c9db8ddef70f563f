"""moto's queries look at what they are asked for, and find what they found before (`conftest` applies the patches)."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import DynamoType


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A table with a long partition, a short one and an index."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("dynamodb", "us-west-1")
        client.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "g")],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-g",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        for partition, count in (("long", 50), ("short", 3)):
            for number in reversed(range(count)):
                item = {"pk": {"S": partition}, "sk": {"S": f"{number:03}"}, "g": {"S": f"{number % 2}"}}
                client.put_item(TableName="t", Item=item)
        yield client


def _query(client: Any, **more: Any) -> list[str]:
    found: list[str] = []
    for page in client.get_paginator("query").paginate(TableName="t", **more):
        found += [item["pk"]["S"] + item["sk"]["S"] for item in page["Items"]]
    return found


def test_a_query_looks_at_no_other_partition(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []
    less = DynamoType.__lt__

    def counted(left: DynamoType, right: DynamoType) -> bool:
        compared.append(left)
        return less(left, right)

    monkeypatch.setattr(DynamoType, "__lt__", counted)
    of_short = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "short"}}}
    assert _query(dynamodb, **of_short) == ["short000", "short001", "short002"]
    assert len(compared) < 10


def test_pages_orders_indexes_and_scans_are_as_they_were(dynamodb: Any) -> None:
    of_long = {"KeyConditionExpression": "pk = :p AND sk > :s", "Limit": 7}
    values = {":p": {"S": "long"}, ":s": {"S": "009"}}
    expected = [f"long{number:03}" for number in range(10, 50)]
    assert _query(dynamodb, **of_long, ExpressionAttributeValues=values) == expected
    assert _query(dynamodb, **of_long, ExpressionAttributeValues=values, ScanIndexForward=False) == expected[::-1]
    of_index = {
        "IndexName": "by-g",
        "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": {"S": "1"}},
    }
    assert sorted(_query(dynamodb, **of_index)) == [*(f"long{n:03}" for n in range(1, 50, 2)), "short001"]
    nobody = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "nobody"}}}
    assert _query(dynamodb, **nobody) == []
    assert dynamodb.scan(TableName="t")["Count"] == 53
