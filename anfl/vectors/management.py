"""Collections as a whole: made, listed, changed, deleted, and known by further names."""

import logging

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.declarations import contradicted, patched
from anfl.vectors.engines import Engines
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.moving.access import check_not_moving, check_settled
from anfl.vectors.moving.records import Filling
from anfl.vectors.names import Names
from anfl.vectors.naming import Alias
from anfl.vectors.requests import CollectionPatch, check_names

_log = logging.getLogger(__name__)


class Management:
    """Safe for threads."""

    def __init__(self, catalogue: Catalogue, names: Names, engines: Engines, clock: Clock) -> None:
        self._catalogue = catalogue
        self._names = names
        self._engines = engines
        self._clock = clock

    def create(
        self,
        tenant: str,
        settings: CollectionSettings,
        *,
        filling: Filling | None = None,
        incarnation: str | None = None,
    ) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new.

        :param filling: see `Catalogue.create`. :param incarnation: see there.
        :raises Problem: as `check`; 409 ``collection_exists`` with other settings, ``alias_exists``.
        """
        engine_class = self.check(settings)
        return self._catalogue.create(
            tenant, settings, engine_class=engine_class, filling=filling, incarnation=incarnation
        )

    def check(self, settings: CollectionSettings) -> str | None:
        """Whether there can be such a collection; returns its class, if its engine has any.

        :raises Problem: 400 naming the engines, or their classes, or a field whose name cannot be.
        """
        engine_class = self._engines.place(settings)
        check_names(settings.fields, field="fields")
        return engine_class

    def describe(self, tenant: str, name: str) -> Collection:
        """A collection. Where fields are ``building``, this process begins to see to it.

        :raises Problem: 404 ``collection_not_found``.
        """
        collection = self._catalogue.get(tenant, name)
        if collection.building:
            self._engines.of(collection).warm(collection)
        return collection

    def update(self, tenant: str, name: str, patch: CollectionPatch) -> Collection:
        """Change what can change of a collection; this node knows at once, others within a second.

        Fields may still be ``building`` then: whoever has it in memory goes on (`anfl.vectors.upkeep`).

        :raises Problem: 400 for a new field whose name cannot be; 404 ``collection_not_found``; 409 where somebody else
            changed it meanwhile, it is being moved, or rows contradict a new declaration.
        """
        fields = patch.fields or {}
        before = self._names.find(tenant, name, self._clock.monotonic())
        check_names((each for each in fields if each not in before.enforced), field="fields")
        self._engines.of(before).check_update(before, patch)
        with self._names.changing(tenant, name):
            collection = self._catalogue.change(tenant, name, lambda before: patched(check_settled(before), patch))
        self._names.learn(collection)
        if collection.building:
            collection = self._build_fields(collection)
        for field, pending in collection.pending.items():
            if field in fields and pending.contradicting:
                raise contradicted(field, pending.type, pending.contradicting)
        return collection

    def delete(self, tenant: str, name: str) -> None:
        """Delete a collection with its aliases and everything in it; this node knows at once, others within a second.

        What ends on the way leaves the collection, with fewer aliases, to be deleted again; or it leaves an alias that
        came in between and stands for nothing.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_moving``.
        """
        self.remove(self._catalogue.find(tenant, name))

    def remove(self, collection: Collection) -> None:
        """The same, of this very collection, whatever has its name by now.

        :raises Problem: 404 ``collection_not_found``, another one has its name; 409 ``collection_moving``.
        """
        tenant, name = collection.tenant, collection.name
        check_not_moving(collection)
        engine = self._engines.of(collection)
        engine.about_to_drop(collection)
        self._take_aliases(collection)
        with self._names.changing(tenant, name):
            self._catalogue.delete(collection)
        self._names.forget(collection)
        self._take_aliases(collection)  # that it was given meanwhile; from now on it can be given none
        engine.drop(collection)

    def set_alias(self, tenant: str, alias: str, name: str) -> Alias:
        """Let ``alias`` stand for the collection ``name``; this node knows at once, others within a second.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_exists``, a collection has this name.
        """
        with self._names.changing(tenant, alias):
            return self._catalogue.set_alias(tenant, alias, name)

    def pass_aliases(self, source: Collection, target: Collection) -> None:
        """Let every alias that stands for ``source`` stand for ``target``.

        :raises Problem: 404 ``collection_not_found``, ``target`` is gone.
        """
        for alias in self._catalogue.aliases_of(source):
            with self._names.changing(source.tenant, alias):
                self._catalogue.pass_alias(alias, source, target)

    def delete_alias(self, tenant: str, alias: str) -> None:
        """Let ``alias`` stand for nothing.

        :raises Problem: 404 ``alias_not_found``.
        """
        with self._names.changing(tenant, alias):
            self._catalogue.delete_alias(tenant, alias)

    def _take_aliases(self, collection: Collection) -> None:
        for alias in self._catalogue.aliases_of(collection):
            with self._names.changing(collection.tenant, alias):
                self._catalogue.take_alias(collection, alias)

    def _build_fields(self, collection: Collection) -> Collection:
        try:
            return self._engines.of(collection).build_fields(collection)
        except Problem as problem:
            if problem.status != 503:
                raise
            _log.warning("fields are not ready yet", extra={"collection": collection.name, "reason": str(problem)})
            return collection
