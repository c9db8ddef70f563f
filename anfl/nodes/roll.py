"""The roll: one item a node in the catalogue table, ``pk = N#<region>``, ``sk = N#<address>``, which the node renews.

The table is in every region; a node reads its own region's part.
"""

import re
import uuid
from typing import TYPE_CHECKING

import msgspec
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
_HOP_KEY = "hop_key"
_KEY_FORM = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
"""As `secrets.token_urlsafe` makes one of 16 bytes."""


class RollError(Exception):
    """The table does not answer."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself."""

    beat: str
    key: str
    """See `anfl.nodes.shared.Members.keys`; empty where it says none."""


class Roll:
    """Who says that it is there. Each call is one request to DynamoDB."""

    def __init__(self, table: "Table") -> None:
        self._table = table
        self._region = f"{_PREFIX}{table.meta.client.meta.region_name}"

    def renew(self, address: str, *, key: str = "") -> None:
        """Say that the node at ``address`` is there, and its ``key``: its beat is another one than before.

        :raises RollError: nobody may have heard it.
        """
        try:
            self._table.put_item(Item={**self._key(address), _BEAT: uuid.uuid4().hex, _HOP_KEY: key})
        except (BotoCoreError, ClientError) as error:
            raise RollError(str(error)) from error

    def entries(self) -> dict[str, Entry]:
        """What each node said last, by address.

        :raises RollError: it cannot be told.
        """
        try:
            answer = self._table.query(
                KeyConditionExpression=Key(PARTITION_KEY).eq(self._region), ConsistentRead=True, Limit=MOST_NODES
            )
        except (BotoCoreError, ClientError) as error:
            raise RollError(str(error)) from error
        found = {
            str(item[SORT_KEY]).removeprefix(_PREFIX): Entry(
                beat=str(item.get(_BEAT, "")), key=_well_formed(str(item.get(_HOP_KEY, "")))
            )
            for item in answer["Items"]
        }
        return {address: entry for address, entry in found.items() if is_inside(address)}

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


def _well_formed(key: str) -> str:
    """It goes into a header."""
    return key if _KEY_FORM.fullmatch(key) else ""
