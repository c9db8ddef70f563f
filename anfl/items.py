"""One partition of a table: consistent reads, conditional writes."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anfl.resources import PARTITION_KEY, SORT_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Attributes = Mapping[str, Any]
"""As DynamoDB's low-level API has them."""


class Items:
    """One partition. Reads are consistent; names in expressions stand as ``#name``.

    Methods raise botocore's errors. Those that write return whether the condition held.
    """

    def __init__(self, client: "DynamoDBClient", *, table: str, partition: str) -> None:
        self._client = client
        self._table = table
        self._partition = partition

    def get(self, name: str) -> Attributes | None:
        """The item of this sort key."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(name), ConsistentRead=True)
        return answer.get("Item")

    def all(self, *, beginning: str = "") -> Iterator[tuple[str, Attributes]]:
        """Every item whose sort key begins so, with that key."""
        condition, names, values = "#p = :p", {"#p": PARTITION_KEY}, {":p": {"S": self._partition}}
        if beginning:
            condition += " AND begins_with(#s, :s)"
            names["#s"], values[":s"] = SORT_KEY, {"S": beginning}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield item[SORT_KEY]["S"], item

    def put(
        self, name: str, attributes: Attributes, *, condition: str, names: tuple[str, ...], values: Attributes
    ) -> bool:
        """Write the item whole."""
        request: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        return _holds(
            lambda: self._client.put_item(
                TableName=self._table,
                Item={**self._key(name), **attributes},
                ConditionExpression=condition,
                ExpressionAttributeNames=_aliases(names),
                **request,
            )
        )

    def update(self, name: str, expression: str, *, condition: str, names: tuple[str, ...], values: Attributes) -> bool:
        """Change attributes of the item."""
        return _holds(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=self._key(name),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=_aliases(names),
                ExpressionAttributeValues=values,
            )
        )

    def delete(self, name: str, *, condition: str, names: tuple[str, ...], values: Attributes) -> bool:
        """Delete the item."""
        request: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        return _holds(
            lambda: self._client.delete_item(
                TableName=self._table,
                Key=self._key(name),
                ConditionExpression=condition,
                ExpressionAttributeNames=_aliases(names),
                **request,
            )
        )

    def _key(self, name: str) -> dict[str, Any]:
        return {PARTITION_KEY: {"S": self._partition}, SORT_KEY: {"S": name}}


def _aliases(names: tuple[str, ...]) -> dict[str, str]:
    return {f"#{name}": name for name in names}


def _holds(write: Callable[[], object]) -> bool:
    try:
        write()
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True
