"""Which collections exist: one item a collection in the catalogue table, ``pk = T#<tenant>``, ``sk = C#<name>``."""

import re
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import Problem, conflict, not_found, unavailable
from anfl.resources import PARTITION_KEY, SORT_KEY
from anfl.vectors.model import NAME_PATTERN, Collection, CollectionSettings
from anfl.vectors.requests import CollectionPatch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_DOCUMENT = "document"
_INCARNATION = "incarnation"


class Catalogue:
    """The collections of every tenant. Every call is one request to DynamoDB, but `list`, which pages."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    def create(self, tenant: str, settings: CollectionSettings) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new (False: it existed with these very settings).

        The table's region becomes its home.

        :raises Problem: 409 ``collection_exists`` with other settings.
        """
        collection = Collection(
            tenant=tenant,
            settings=settings,
            incarnation=uuid.uuid4().hex,
            created_at=round(time.time(), 3),
            home=self._table.meta.client.meta.region_name,
        )
        item = {
            **_key(tenant, settings.name),
            _INCARNATION: collection.incarnation,
            _DOCUMENT: _encode(collection),
        }
        try:
            self._table.put_item(Item=item, ConditionExpression=Attr(PARTITION_KEY).not_exists())
        except ClientError as error:
            if not _is_condition(error):
                raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        else:
            return collection, True
        existing = self.get(tenant, settings.name)
        if existing.settings != settings:
            raise conflict(f"Collection {settings.name} exists with other settings.", code="collection_exists")
        return existing, False

    def get(self, tenant: str, name: str) -> Collection:
        """The collection ``name``.

        :raises Problem: 404 ``collection_not_found``.
        """
        return _decode(self._document(tenant, name))

    def list(self, tenant: str) -> list[Collection]:
        """The tenant's collections by name."""
        found: list[Collection] = []
        condition = Key(PARTITION_KEY).eq(f"T#{tenant}") & Key(SORT_KEY).begins_with("C#")
        start: dict[str, object] = {}
        try:
            while True:
                page = self._table.query(KeyConditionExpression=condition, **start)  # type: ignore[arg-type]
                found += [_decode(item[_DOCUMENT]) for item in page["Items"]]
                if "LastEvaluatedKey" not in page:
                    return found
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error

    def every(self) -> Iterator[Collection]:
        """The collections of all tenants, in no order; reads the whole table.

        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the table does not answer.
        """
        start: dict[str, object] = {}
        while True:
            page = self._table.scan(
                FilterExpression=Attr(_DOCUMENT).exists() & Attr(SORT_KEY).begins_with("C#"),
                ConsistentRead=True,
                **start,  # type: ignore[arg-type]
            )
            yield from (_decode(item[_DOCUMENT]) for item in page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def update(self, tenant: str, name: str, patch: CollectionPatch) -> Collection:
        """Change settings of a collection and return it as it is then.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_changed`` where somebody else was faster.
        """
        document = self._document(tenant, name)
        before = _decode(document)
        settings = before.settings
        if patch.index is not None:
            index = msgspec.structs.replace(settings.index, ef_search=patch.index.ef_search)
            settings = msgspec.structs.replace(settings, index=index)
        if patch.fields is not None:
            settings = msgspec.structs.replace(settings, fields=patch.fields)
        after = msgspec.structs.replace(before, settings=settings)
        try:
            self._table.update_item(
                Key=_key(tenant, name),
                UpdateExpression="SET #document = :after",
                ConditionExpression="#document = :before",
                ExpressionAttributeNames={"#document": _DOCUMENT},
                ExpressionAttributeValues={":before": document, ":after": _encode(after)},
            )
        except ClientError as error:
            if _is_condition(error):
                raise conflict(f"Somebody else changed {name}; look again.", code="collection_changed") from error
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error
        return after

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

    def _document(self, tenant: str, name: str) -> str:
        if not re.search(NAME_PATTERN, name):  # DynamoDB would refuse some as keys
            raise _absent(name)
        try:
            answer = self._table.get_item(Key=_key(tenant, name), ConsistentRead=True)
        except (BotoCoreError, ClientError) as error:
            raise _unavailable() from error
        if "Item" not in answer:
            raise _absent(name)
        return str(answer["Item"][_DOCUMENT])


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


def _unavailable() -> Problem:
    return unavailable("The catalogue does not answer; try again.", code="catalogue_unavailable")
