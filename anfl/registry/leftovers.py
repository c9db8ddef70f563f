"""What deleted models leave behind: versions, and what else hangs off them, until their tombstones are taken away."""

from collections.abc import Iterable
from itertools import batched

from anfl.registry import keys
from anfl.registry.entities import Version
from anfl.registry.locations import Locations, held_path, holder
from anfl.registry.records import version_of
from anfl.registry.table import Item, Table, until_won
from anfl.resources import PARTITION_KEY, SORT_KEY

AT_ONCE = 100
"""Versions that are held, and removed together."""


class Leftovers:
    """Of all tenants; every method takes the tenant first."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._locations = Locations(table)

    def remove(self, tenant: str) -> set[str]:
        """Remove what is left of a tenant's deleted models; the names that they had.

        :raises Problem: 503, others keep changing what is to be changed; what is left can be removed later.
        """
        names: set[str] = set()
        for tombstone in list(self._table.query(keys.deleted(tenant))):
            model_id = tombstone[SORT_KEY]
            for versions in batched(
                self._table.query(keys.versions(tenant), prefix=keys.versions_of(model_id)), AT_ONCE
            ):
                known = [version_of(item) for item in versions]
                self._release(tenant, model_id, known)
                self._table.remove(keys.made(tenant, v.run_id, model_id, v.number) for v in known if v.run_id)
                # Versions first: no tag or verdict can be added to a version that is gone.
                self._table.remove(map(_key, versions))
            self._table.remove(map(_key, self._table.query(keys.belongings(tenant, model_id))))
            self._table.remove([keys.tombstone(tenant, model_id)])
            names.add(tombstone["name"])
        return names

    def _release(self, tenant: str, model_id: str, versions: Iterable[Version]) -> None:
        """Let go of the places that versions of a deleted model name, before the versions go."""
        places: dict[str, set[str]] = {}
        for version in versions:
            if path := held_path(version.location):
                places.setdefault(path, set()).add(holder(model_id, version.number))
        for path, holders in places.items():

            def attempt(path: str = path, holders: set[str] = holders) -> None:
                if releases := self._locations.releases(tenant, path, holders):
                    self._table.write(*releases)

            until_won(attempt)


def _key(item: Item) -> keys.Key:
    return {name: item[name] for name in (PARTITION_KEY, SORT_KEY)}
