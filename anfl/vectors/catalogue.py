"""Which collections exist: one item a collection in the catalogue table, ``pk = T#<tenant>``, ``sk = C#<name>``.

Aliases stand among them, because a name is either; an item with ``alias_of`` is one.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, conflict, not_found, unavailable
from anfl.resources import PARTITION_KEY, SORT_KEY
from anfl.vectors.model import NAME_PATTERN, Collection, CollectionSettings, first_epoch
from anfl.vectors.naming import Alias

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_DOCUMENT = "document"
_INCARNATION = "incarnation"
_ALIAS_OF = "alias_of"
_ATTEMPTS = 5
"""To change a collection that others change in other ways at the same time."""


class Catalogue:
    """The collections of every tenant. Every call is one request to DynamoDB, but `list`, which pages."""

    def __init__(self, table: "Table") -> None:
        self._table = table
        self.region: str = table.meta.client.meta.region_name
        """Where this replica of the table stands, which becomes the home of what is made here."""

    def create(self, tenant: str, settings: CollectionSettings) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new (False: it existed with these very settings).

        The table's region becomes its home.

        :raises Problem: 409 ``collection_exists`` with other settings.
        """
        incarnation = uuid.uuid4().hex
        collection = Collection(
            tenant=tenant,
            settings=settings,
            incarnation=incarnation,
            created_at=round(time.time(), 3),
            epoch=first_epoch(incarnation),
            home=self.region,
        )
        if self._put_new(collection):
            return collection, True
        existing = self.find(tenant, settings.name)
        if existing.settings != settings:
            raise conflict(f"Collection {settings.name} exists with other settings.", code="collection_exists")
        return existing, False

    def add(self, collection: Collection) -> None:
        """Put a collection that is made already under its name.

        :raises Problem: 409 ``collection_exists``.
        """
        if not self._put_new(collection):
            raise conflict(f"There is a collection {collection.name} already.", code="collection_exists")

    def is_free(self, tenant: str, name: str) -> bool:
        """Whether no collection and no alias has this name."""
        return self._item(tenant, name) is None

    def get(self, tenant: str, name: str) -> Collection:
        """The collection ``name``, or the one that the alias ``name`` stands for.

        :raises Problem: 404 ``collection_not_found``.
        """
        item = self._item(tenant, name)
        if item is None:
            raise _absent(name)
        if _ALIAS_OF in item:
            return self.find(tenant, str(item[_ALIAS_OF]))
        return _decode(item[_DOCUMENT])

    def find(self, tenant: str, name: str) -> Collection:
        """The collection whose own name is ``name``.

        :raises Problem: 404 ``collection_not_found``.
        """
        return _decode(self._document(tenant, name))

    def set_alias(self, tenant: str, alias: str, name: str) -> Alias:
        """Let ``alias`` stand for the collection ``name`` from now on, whatever it stood for before.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_exists``, a collection has this name.
        """
        self.find(tenant, name)
        try:
            self._table.update_item(
                Key=_key(tenant, alias),
                UpdateExpression="SET #of = :name",
                ConditionExpression=Attr(PARTITION_KEY).not_exists() | Attr(_ALIAS_OF).exists(),
                ExpressionAttributeNames={"#of": _ALIAS_OF},
                ExpressionAttributeValues={":name": name},
            )
        except ClientError as error:
            if _is_condition(error):
                raise conflict(f"{alias} is a collection.", code="collection_exists") from error
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        return Alias(alias=alias, collection=name)

    def delete_alias(self, tenant: str, alias: str) -> None:
        """Let ``alias`` stand for nothing.

        :raises Problem: 404 ``alias_not_found``.
        """
        item = self._item(tenant, alias)
        if item is None or _ALIAS_OF not in item:
            raise _no_alias(alias)
        try:
            self._table.delete_item(
                Key=_key(tenant, alias),
                ConditionExpression=Attr(PARTITION_KEY).not_exists() | Attr(_ALIAS_OF).exists(),
            )
        except ClientError as error:
            raise (_no_alias(alias) if _is_condition(error) else _unavailable()) from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def aliases(self, tenant: str) -> list[Alias]:
        """The tenant's aliases by name."""
        return [
            Alias(alias=str(item[SORT_KEY]).removeprefix("C#"), collection=str(item[_ALIAS_OF]))
            for item in self._items(tenant)
            if _ALIAS_OF in item
        ]

    def list(self, tenant: str) -> list[Collection]:
        """The tenant's collections by name."""
        return [_decode(item[_DOCUMENT]) for item in self._items(tenant) if _DOCUMENT in item]

    def every(self) -> Iterator[Collection]:
        """The collections of all tenants, in no order; reads the whole table.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the table does not answer.
        """
        condition = Attr(_DOCUMENT).exists() & Attr(SORT_KEY).begins_with("C#")
        items = _every_page(partial(self._table.scan, FilterExpression=condition, ConsistentRead=True))
        yield from (_decode(item[_DOCUMENT]) for item in items)

    def change(self, tenant: str, name: str, change: Callable[[Collection], Collection]) -> Collection:
        """Put what ``change`` makes of a collection in its place, and return it; nothing is written of no change.

        ``change`` may be asked again, for the present collection, where only other parts than the owner's settings
        have changed meanwhile.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_changed`` where its owner changed it meanwhile.
        """
        for _ in range(_ATTEMPTS):
            document = self._document(tenant, name)
            before = _decode(document)
            after = change(before)
            if after == before or self._replace(tenant, name, document, _encode(after)):
                return after
            found = self.find(tenant, name)
            if found == after:  # an attempt whose answer got lost counts
                return after
            if (found.incarnation, found.revision) != (before.incarnation, before.revision):
                break
        raise conflict(f"Somebody else changed {name}; look again.", code="collection_changed")

    def reachable(self) -> None:
        """Read nothing in particular.

        :raises Problem: 503, the table does not answer.
        """
        try:
            self._table.get_item(Key=_key("", ""))
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error

    def delete(self, collection: Collection) -> None:
        """Remove ``collection``; no error if it is gone already, as it is when the answer to a first attempt got lost.

        :raises Problem: 404 ``collection_not_found``, another incarnation has its name.
        """
        try:
            self._table.delete_item(
                Key=_key(collection.tenant, collection.name),
                ConditionExpression=Attr(PARTITION_KEY).not_exists() | Attr(_INCARNATION).eq(collection.incarnation),
            )
        except ClientError as error:
            raise (_absent(collection.name) if _is_condition(error) else _unavailable()) from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def _put_new(self, collection: Collection) -> bool:
        """Whether it is new; an attempt whose answer got lost counts.

        :raises Problem: 409 ``alias_exists``, an alias has the name.
        """
        key = _key(collection.tenant, collection.name)
        item = {**key, _INCARNATION: collection.incarnation, _DOCUMENT: _encode(collection)}
        try:
            self._table.put_item(Item=item, ConditionExpression=Attr(PARTITION_KEY).not_exists())
        except ClientError as error:
            if not _is_condition(error):
                raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        else:
            return True
        existing = self._item(collection.tenant, collection.name)
        if existing is not None and _ALIAS_OF in existing:
            raise conflict(f"{collection.name} is an alias.", code="alias_exists")
        return existing is not None and existing[_INCARNATION] == collection.incarnation

    def _replace(self, tenant: str, name: str, before: str, after: str) -> bool:
        """Whether ``before`` stood there, and ``after`` does now."""
        try:
            self._table.update_item(
                Key=_key(tenant, name),
                UpdateExpression="SET #document = :after",
                ConditionExpression="#document = :before",
                ExpressionAttributeNames={"#document": _DOCUMENT},
                ExpressionAttributeValues={":before": before, ":after": after},
            )
        except ClientError as error:
            if _is_condition(error):
                return False
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        return True

    def _document(self, tenant: str, name: str) -> str:
        item = self._item(tenant, name)
        if item is None or _DOCUMENT not in item:
            raise _absent(name)
        return str(item[_DOCUMENT])

    def _item(self, tenant: str, name: str) -> Mapping[str, object] | None:
        if not re.search(NAME_PATTERN, name):  # DynamoDB would refuse some as keys
            return None
        try:
            answer = self._table.get_item(Key=_key(tenant, name), ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error
        return answer.get("Item")

    def _items(self, tenant: str) -> Iterator[Mapping[str, object]]:
        condition = Key(PARTITION_KEY).eq(f"T#{tenant}") & Key(SORT_KEY).begins_with("C#")
        try:
            yield from _every_page(partial(self._table.query, KeyConditionExpression=condition))
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error


def _every_page(read: Callable[..., Any]) -> Iterator[Mapping[str, object]]:
    """Items of every page of a query or a scan."""
    start: dict[str, object] = {}
    while True:
        page = read(**start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _key(tenant: str, name: str) -> dict[str, str]:
    return {PARTITION_KEY: f"T#{tenant}", SORT_KEY: f"C#{name}"}


def _encode(collection: Collection) -> str:
    return msgspec.json.encode(collection).decode()


def _decode(document: object) -> Collection:
    return msgspec.json.decode(str(document), type=Collection)


def _is_condition(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _absent(name: str) -> Problem:
    return not_found(f"There is no collection {name}.", code="collection_not_found")


def _no_alias(name: str) -> Problem:
    return not_found(f"There is no alias {name}.", code="alias_not_found")


def _unavailable() -> Problem:
    return unavailable("The catalogue does not answer; try again.", code="catalogue_unavailable")
