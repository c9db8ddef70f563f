"""Which collection a name stands for, for those who only want to know where it lives."""

from dataclasses import dataclass

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.opened import OpenCollections


@dataclass(frozen=True, kw_only=True)
class Incarnations:
    """See `anfl.nodes.routes.Locator`. An alias and its collection are one and the same incarnation."""

    catalogue: Catalogue
    opened: OpenCollections

    def known(self, tenant: str, name: str) -> str | None:
        """The incarnation that is in memory under ``name``."""
        found = self.opened.peek(tenant, name)
        return None if found is None else found[0].replica.collection.incarnation

    def find(self, tenant: str, name: str) -> str | None:
        """The incarnation that the catalogue has under ``name``."""
        try:
            return self.catalogue.get(tenant, name).incarnation
        except Problem:
            return None
