"""Tables where no template makes them: in tests, in benchmarks, and of the registry alone."""

from typing import TYPE_CHECKING

from anfl.resources import PARTITION_KEY, SORT_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def create_table(client: "DynamoDBClient", name: str) -> None:
    """A table with the keys that every table of ANFL has."""
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": PARTITION_KEY, "KeyType": "HASH"},
            {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in (PARTITION_KEY, SORT_KEY)],
    )
