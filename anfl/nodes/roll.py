"""The roll: one item a node in the catalogue table, ``pk = N#<region>``, ``sk = N#<address>``, which the node renews.

The table is in every region; a node reads its own region's part.
"""

import uuid
from typing import TYPE_CHECKING

from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from anfl.nodes.address import is_inside
from anfl.resources import PARTITION_KEY, SORT_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

MOST_NODES = 256
"""Read at most; an Auto Scaling group has tens."""
_PREFIX = "N#"
_BEAT = "beat"


class RollError(Exception):
    """The table does not answer."""


class Roll:
    """Who says that it is there. Each call is one request to DynamoDB."""

    def __init__(self, table: "Table") -> None:
        self._table = table
        self._region = f"{_PREFIX}{table.meta.client.meta.region_name}"

    def renew(self, address: str) -> None:
        """Say that the node at ``address`` is there: its beat is another one than before.

        :raises RollError: nobody may have heard it.
        """
        try:
            self._table.put_item(Item={**self._key(address), _BEAT: uuid.uuid4().hex})
        except (BotoCoreError, ClientError) as error:
            raise RollError(str(error)) from error

    def beats(self) -> dict[str, str]:
        """The last beat of each node, by address.

        :raises RollError: it cannot be told.
        """
        try:
            answer = self._table.query(
                KeyConditionExpression=Key(PARTITION_KEY).eq(self._region), ConsistentRead=True, Limit=MOST_NODES
            )
        except (BotoCoreError, ClientError) as error:
            raise RollError(str(error)) from error
        found = {str(item[SORT_KEY]).removeprefix(_PREFIX): str(item.get(_BEAT, "")) for item in answer["Items"]}
        return {address: beat for address, beat in found.items() if is_inside(address)}

    def remove(self, address: str, *, beat: str | None = None) -> None:
        """Take a node off; with ``beat`` only if that is still its last one.

        :raises RollError: it may still be there.
        """
        condition = {} if beat is None else {"ConditionExpression": Attr(_BEAT).eq(beat)}
        try:
            self._table.delete_item(Key=self._key(address), **condition)  # type: ignore[arg-type]  # optional members
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise RollError(str(error)) from error
        except BotoCoreError as error:
            raise RollError(str(error)) from error

    def _key(self, address: str) -> dict[str, str]:
        return {PARTITION_KEY: self._region, SORT_KEY: f"{_PREFIX}{address}"}
