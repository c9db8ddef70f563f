"""Which collection a name stands for, for those who only want to know where it lives."""

from dataclasses import dataclass

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.names import Names


@dataclass(frozen=True, kw_only=True)
class Incarnations:
    """See `anfl.nodes.routes.Locator`. An alias and its collection are one and the same incarnation."""

    catalogue: Catalogue
    names: Names

    def known(self, tenant: str, name: str) -> str | None:
        """The incarnation that ``name`` stood for at the last look."""
        found = self.names.peek(tenant, name)
        return None if found is None else found[0].incarnation

    def find(self, tenant: str, name: str) -> str | None:
        """The incarnation that the catalogue has under ``name``."""
        try:
            return self.catalogue.get(tenant, name).incarnation
        except Problem:
            return None
