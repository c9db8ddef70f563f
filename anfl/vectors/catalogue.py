"""Which collections exist, and what aliases stand for."""

import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from boto3.dynamodb.conditions import Attr, ConditionBase

from anfl.problems import Problem, conflict, not_found
from anfl.vectors.entries import ALIAS_OF, DOCUMENT, FREE, INCARNATION, Entries, Item, name_of
from anfl.vectors.model import Collection, CollectionSettings, first_epoch
from anfl.vectors.moving.records import Filling
from anfl.vectors.naming import Alias
from anfl.vectors.refusals import Refusal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_IS_ALIAS = Attr(ALIAS_OF).exists()
_ATTEMPTS = 5
"""To change a collection that others change in other ways at the same time."""


class Catalogue:
    """The collections of every tenant. Every call raises `Problem` 503 ``catalogue_unavailable``, but `every`."""

    def __init__(self, table: "Table", *, seals: bool = False) -> None:
        """:param seals: whether collections that are made here are sealed."""
        self._entries = Entries(table)
        self.seals = seals
        self.region: str = table.meta.client.meta.region_name
        """Where this replica of the table stands, which becomes the home of what is made here."""

    def create(
        self,
        tenant: str,
        settings: CollectionSettings,
        *,
        engine_class: str | None = None,
        filling: Filling | None = None,
        incarnation: str | None = None,
    ) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new (False: it existed with these very settings).

        The table's region becomes its home. What goes into a class (`Collection.engine_class`) has no objects, so that
        there is nothing to seal: DynamoDB encrypts it by the table's key.

        :param filling: what it is filled with before anybody else may write to it.
        :param incarnation: which this is, of which an earlier attempt is as good as this one; None: a new one.
        :raises Problem: 409 ``collection_exists`` with other settings.
        """
        incarnation = incarnation or uuid.uuid4().hex
        collection = Collection(
            tenant=tenant,
            settings=settings,
            incarnation=incarnation,
            created_at=round(time.time(), 3),
            epoch=first_epoch(incarnation),
            home=self.region,
            engine_class=engine_class,
            sealed=self.seals and engine_class is None,
            filling=filling,
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
        return self._entries.get(tenant, name) is None

    def get(self, tenant: str, name: str) -> Collection:
        """The collection ``name``, or the one that the alias ``name`` stands for.

        :raises Problem: 404 ``collection_not_found``.
        """
        found = self._get(tenant, name)
        if found is None:
            raise _absent(name)
        return found

    def has(self, collection: Collection) -> bool:
        """Whether it is there, under whatever name."""
        return self._is_there(collection) or any(
            DOCUMENT in item and item[INCARNATION] == collection.incarnation
            for item in self._entries.of(collection.tenant)
        )

    def find(self, tenant: str, name: str) -> Collection:
        """The collection whose own name is ``name``.

        :raises Problem: 404 ``collection_not_found``.
        """
        return _decode(self._document(tenant, name))

    def _get(self, tenant: str, name: str) -> Collection | None:
        """As `get`; None where there is none."""
        item = self._entries.get(tenant, name)
        while item is not None:
            if ALIAS_OF not in item:
                return _decode(item[DOCUMENT])
            found = self._find(tenant, str(item[ALIAS_OF]))
            if found is not None and item.get(INCARNATION, found.incarnation) == found.incarnation:
                return found
            before, item = item, self._entries.get(tenant, name)
            if item == before:  # else it has moved, and what it stood for was deleted then
                break
        return None

    def _find(self, tenant: str, name: str) -> Collection | None:
        """As `find`; None where there is none."""
        try:
            return self.find(tenant, name)
        except Problem as problem:
            if problem.code != Refusal.COLLECTION_NOT_FOUND:
                raise
            return None

    def aliases(self, tenant: str, *, limit: int, after: str | None = None) -> tuple[list[Alias], bool]:
        """The tenant's aliases by name, at most ``limit`` of those behind ``after``; and whether there are more."""
        found, more = self._page(tenant, ALIAS_OF, limit=limit, after=after)
        return [Alias(alias=name_of(item), collection=str(item[ALIAS_OF])) for item in found], more

    def aliases_of(self, collection: Collection) -> list[str]:
        """The aliases that stand for ``collection``."""
        return [
            name_of(item)
            for item in self._entries.of(collection.tenant)
            if item.get(ALIAS_OF) == collection.name
            and item.get(INCARNATION, collection.incarnation) == collection.incarnation
        ]

    def collections(self, tenant: str, *, limit: int, after: str | None = None) -> tuple[list[Collection], bool]:
        """The tenant's collections by name, at most ``limit`` of those behind ``after``; and whether there are more."""
        found, more = self._page(tenant, DOCUMENT, limit=limit, after=after)
        return [_decode(item[DOCUMENT]) for item in found], more

    def every(self) -> Iterator[Collection]:
        """The collections of all tenants, in no order; see `Entries.collections`."""
        return (_decode(item[DOCUMENT]) for item in self._entries.collections())

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
            if after == before:
                return after
            if self._entries.replace(tenant, name, DOCUMENT, before=document, after=_encode(after)):
                return after
            found = self.find(tenant, name)
            if found == after:  # an attempt whose answer got lost counts
                return after
            if (found.incarnation, found.revision) != (before.incarnation, before.revision):
                break
        raise conflict(f"Somebody else changed {name}; look again.", code="collection_changed")

    def delete(self, collection: Collection) -> None:
        """Remove ``collection``; no error if it is gone already, as it is when the answer to a first attempt got lost.

        :raises Problem: 404 ``collection_not_found``, another incarnation has its name.
        """
        same = Attr(INCARNATION).eq(collection.incarnation)
        if not self._entries.remove(collection.tenant, collection.name, condition=same):
            raise _absent(collection.name)

    def set_alias(self, tenant: str, alias: str, name: str) -> Alias:
        """Let ``alias`` stand for the collection ``name`` from now on, whatever it stood for before.

        Where that is deleted at the same time, it stands for it for a moment, and then for what it stood for before.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_exists``, a collection has this name.
        """
        collection, before = self.find(tenant, name), self._get(tenant, alias)
        if not self._lead(alias, collection, condition=FREE | _IS_ALIAS):
            raise conflict(f"{alias} is a collection.", code="collection_exists")
        if not self._is_there(collection):  # whoever deleted it has looked for its aliases before, perhaps
            if before is None or not self._pass(alias, collection, before):
                self.take_alias(collection, alias)
            raise _absent(name)
        return Alias(alias=alias, collection=name)

    def pass_alias(self, alias: str, source: Collection, target: Collection) -> None:
        """Let ``alias`` stand for ``target``, if it stands for ``source``.

        :raises Problem: 404 ``collection_not_found``, ``target`` is gone.
        """
        if not self._pass(alias, source, target):
            raise _absent(target.name)

    def take_alias(self, collection: Collection, alias: str) -> None:
        """Let ``alias`` stand for nothing, if it stands for ``collection``."""
        self._entries.remove(collection.tenant, alias, condition=_stands_for(collection))

    def delete_alias(self, tenant: str, alias: str) -> None:
        """Let ``alias`` stand for nothing.

        :raises Problem: 404 ``alias_not_found``.
        """
        item = self._entries.get(tenant, alias)
        if item is None or ALIAS_OF not in item or not self._entries.remove(tenant, alias, condition=_IS_ALIAS):
            raise not_found(f"There is no alias {alias}.", code="alias_not_found")

    def reachable(self) -> None:
        """Ask whether the table answers."""
        self._entries.reachable()

    def _lead(self, alias: str, collection: Collection, *, condition: ConditionBase) -> bool:
        """Let ``alias`` stand for ``collection``; whether the condition held."""
        members = {ALIAS_OF: collection.name, INCARNATION: collection.incarnation}
        return self._entries.put(collection.tenant, alias, members, condition=condition)

    def _pass(self, alias: str, source: Collection, target: Collection) -> bool:
        """See `pass_alias`; whether ``target`` is there, without which ``alias`` stands for ``source`` again."""
        self._lead(alias, target, condition=_stands_for(source))
        if self._is_there(target):
            return True
        self._lead(alias, source, condition=_stands_for(target))
        return False

    def _put_new(self, collection: Collection) -> bool:
        """Whether it is new; an attempt whose answer got lost counts.

        :raises Problem: 409 ``alias_exists``, an alias has the name.
        """
        members = {INCARNATION: collection.incarnation, DOCUMENT: _encode(collection)}
        if self._entries.put_new(collection.tenant, collection.name, members):
            return True
        existing = self._entries.get(collection.tenant, collection.name)
        if existing is not None and ALIAS_OF in existing:
            raise conflict(f"{collection.name} is an alias.", code="alias_exists")
        return existing is not None and existing[INCARNATION] == collection.incarnation

    def _is_there(self, collection: Collection) -> bool:
        item = self._entries.get(collection.tenant, collection.name)
        return item is not None and DOCUMENT in item and item[INCARNATION] == collection.incarnation

    def _page(self, tenant: str, member: str, *, limit: int, after: str | None) -> tuple[list[Item], bool]:
        """Items that have ``member``."""
        about = limit + 2  # with the one before and the one behind them
        items = self._entries.of(tenant, after=after, about=about)
        found = list(islice((item for item in items if member in item), limit + 1))
        return found[:limit], len(found) > limit

    def _document(self, tenant: str, name: str) -> str:
        item = self._entries.get(tenant, name)
        if item is not None and ALIAS_OF in item:
            detail = f"{name} is an alias of {item[ALIAS_OF]}; give the collection's own name."
            raise not_found(detail, code=Refusal.COLLECTION_NOT_FOUND)
        if item is None or DOCUMENT not in item:
            raise _absent(name)
        return str(item[DOCUMENT])


def _stands_for(collection: Collection) -> ConditionBase:
    own = Attr(INCARNATION).eq(collection.incarnation) | Attr(INCARNATION).not_exists()
    return Attr(ALIAS_OF).eq(collection.name) & own


def _encode(collection: Collection) -> str:
    return msgspec.json.encode(collection).decode()


def _decode(document: object) -> Collection:
    return msgspec.json.decode(str(document), type=Collection)


def _absent(name: str) -> Problem:
    return not_found(f"There is no collection {name}.", code=Refusal.COLLECTION_NOT_FOUND)
