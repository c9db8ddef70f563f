"""One item a collection or an alias in the catalogue table: ``pk = T#<tenant>``, ``sk = C#<name>``.

A name is either, so they stand side by side. An item with ``alias_of`` is an alias; a collection's has it as JSON. An
alias also has the ``incarnation`` that it stands for, so that no other one of that name comes to have it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Attr, ConditionBase, Key

from anfl.resources import PARTITION_KEY, SORT_KEY
from anfl.vectors.model import NAME_PATTERN
from anfl.vectors.table import ConditionError, answering

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

DOCUMENT = "document"
INCARNATION = "incarnation"
ALIAS_OF = "alias_of"
FREE = Attr(PARTITION_KEY).not_exists()
"""Nothing stands under a name."""
_LAST = "C#~"
"""Behind every name."""
Item = Mapping[str, object]


class Entries:
    """By tenant and name. A write says whether its condition held; all raise 503 ``catalogue_unavailable``."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def get(self, tenant: str, name: str) -> Item | None:
        """What stands under a name now."""
        if not re.search(NAME_PATTERN, name):  # DynamoDB would refuse some as keys
            return None
        with answering():
            return self._table.get_item(Key=_key(tenant, name), ConsistentRead=True).get("Item")

    def put_new(self, tenant: str, name: str, members: Item) -> bool:
        """Put something under a name that is free."""
        return self.put(tenant, name, members, condition=FREE)

    def put(self, tenant: str, name: str, members: Item, *, condition: ConditionBase) -> bool:
        """Put something in the place of what fulfils ``condition``."""
        item: Any = {**_key(tenant, name), **members}
        return _holds(lambda: self._table.put_item(Item=item, ConditionExpression=condition))

    def replace(self, tenant: str, name: str, member: str, *, before: str, after: str) -> bool:
        """Change one member that is ``before``."""
        return _holds(
            lambda: self._table.update_item(
                Key=_key(tenant, name),
                UpdateExpression="SET #member = :value",
                ConditionExpression="#member = :before",
                ExpressionAttributeNames={"#member": member},
                ExpressionAttributeValues={":value": after, ":before": before},
            )
        )

    def remove(self, tenant: str, name: str, *, condition: ConditionBase) -> bool:
        """Remove what stands under a name, unless nothing does."""
        return _holds(
            lambda: self._table.delete_item(Key=_key(tenant, name), ConditionExpression=FREE | condition),
        )

    def of(self, tenant: str, *, after: str | None = None, about: int | None = None) -> Iterator[Item]:
        """A tenant's by name, as they are now.

        :param after: those behind this name; None: all.
        :param about: how many are wanted, about; None: all.
        """
        names = Key(SORT_KEY).begins_with("C#") if after is None else Key(SORT_KEY).between(f"C#{after}", _LAST)
        limit: dict[str, Any] = {} if about is None else {"Limit": about}
        read = partial(
            self._table.query,
            KeyConditionExpression=Key(PARTITION_KEY).eq(f"T#{tenant}") & names,
            ConsistentRead=True,
            **limit,
        )
        with answering():
            yield from (item for item in _every_page(read) if name_of(item) != after)

    def collections(self) -> Iterator[Item]:
        """Every tenant's collections, in no order; reads the whole table.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the table does not answer.
        """
        condition = Attr(DOCUMENT).exists() & Attr(SORT_KEY).begins_with("C#")
        return _every_page(partial(self._table.scan, FilterExpression=condition, ConsistentRead=True))

    def reachable(self) -> None:
        """Read nothing in particular."""
        with answering():
            self._table.get_item(Key=_key("", ""))


def name_of(item: Item) -> str:
    """Under which it stands."""
    return str(item[SORT_KEY]).removeprefix("C#")


def _key(tenant: str, name: str) -> dict[str, str]:
    return {PARTITION_KEY: f"T#{tenant}", SORT_KEY: f"C#{name}"}


def _holds(write: Callable[[], object]) -> bool:
    try:
        with answering():
            write()
    except ConditionError:
        return False
    return True


def _every_page(read: Callable[..., Any]) -> Iterator[Item]:
    """Items of every page of a query or a scan."""
    start: dict[str, object] = {}
    while True:
        page = read(**start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
