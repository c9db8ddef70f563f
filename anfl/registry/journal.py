"""The audit of what concerns no single model: webhooks, policies, keys. One chain a tenant."""

from anfl.registry import audit, keys
from anfl.registry.audit import Change, Head
from anfl.registry.records import put_entry, sort_of
from anfl.registry.table import ABSENT, Action, Condition, Item, Put, Table


class Journal:
    """Chains of all tenants; every method takes the tenant first."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, tenant: str, *wanted: keys.Key) -> tuple[Head, list[Item | None]]:
        """Where the chain ends, and items that a change is decided by, in one call."""
        place = keys.tenant_head(tenant)
        found = self._table.get_many([place, *wanted])
        return _head(found.get(sort_of(place))), [found.get(sort_of(key)) for key in wanted]

    def head(self, tenant: str) -> Head:
        """Where the chain ends."""
        return self.read(tenant)[0]

    def write(self, tenant: str, change: Change, *actions: Action, head: Head) -> None:
        """Carry out ``actions`` together with the entry about them, the one after ``head``.

        :raises LostRaceError: something changed meanwhile.
        """
        entry = audit.entry(audit.tenant_chain(tenant), head, change)
        condition = Condition(revision=head.sequence) if head.sequence else ABSENT
        end = {"revision": entry.sequence, "audited": entry.hash}
        self._table.write(
            *actions, put_entry(tenant, entry), Put(key=keys.tenant_head(tenant), item=end, condition=condition)
        )


def _head(item: Item | None) -> Head:
    return Head() if item is None else Head(sequence=item["revision"], hash=item["audited"])
