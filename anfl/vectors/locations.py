"""Which collection a name stands for, for those who only want to know where it lives."""

from collections.abc import Callable
from dataclasses import dataclass

from anfl.nodes.routes import ANYWHERE
from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import Collection
from anfl.vectors.names import Names


@dataclass(frozen=True, kw_only=True)
class Incarnations:
    """See `anfl.nodes.routes.Locator`. An alias and its collection are one and the same incarnation."""

    catalogue: Catalogue
    names: Names
    lives_on_nodes: Callable[[Collection], bool]

    def known(self, tenant: str, name: str) -> str | None:
        """The incarnation that ``name`` stood for at the last look."""
        found = self.names.peek(tenant, name)
        return None if found is None else self._place_of(found[0])

    def find(self, tenant: str, name: str) -> str | None:
        """The incarnation that the catalogue has under ``name``."""
        try:
            return self._place_of(self.catalogue.get(tenant, name))
        except Problem:
            return None

    def _place_of(self, collection: Collection) -> str:
        return collection.incarnation if self.lives_on_nodes(collection) else ANYWHERE
