"""The audit of what concerns no single model: webhooks, policies, keys. One chain a tenant."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from anfl.registry import audit, keys
from anfl.registry.audit import Change, Head
from anfl.registry.clock import now
from anfl.registry.records import REJOINED_BY, has_arrived, last_entry, put_entry, sort_of
from anfl.registry.table import ABSENT, Action, Condition, Item, LostRaceError, Put, Table, until_won

T = TypeVar("T")


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
        self._append(tenant, change, *actions, head=head, after=head)

    def _append(self, tenant: str, change: Change, *actions: Action, head: Head, after: Head) -> None:
        """:param after: what has to stand as the chain's end."""
        entry = audit.entry(audit.tenant_chain(tenant), head, change)
        condition = Condition(revision=after.sequence) if after.sequence else ABSENT
        end = {"revision": entry.sequence, "audited": entry.hash}
        self._table.write(
            *actions, put_entry(tenant, entry), Put(key=keys.tenant_head(tenant), item=end, condition=condition)
        )

    def in_turn(self, tenant: str, operation: Callable[[], T]) -> T:
        """`until_won` of what writes here."""
        return until_won(operation, stuck=lambda: self._rejoin(tenant))

    def _rejoin(self, tenant: str) -> None:
        """Let the chain go on where two regions have written to it at the same time, and the later end stayed."""
        chain = audit.tenant_chain(tenant)
        end = last_entry(self._table, tenant, chain)
        head = self.head(tenant)
        if end is None or end.sequence <= head.sequence or not has_arrived(end.at):
            return
        change = Change(by=REJOINED_BY, at=now(), action="tenant.rejoined", before={"sequence": head.sequence})
        with suppress(LostRaceError):
            self._append(tenant, change, head=Head(sequence=end.sequence, hash=end.hash), after=head)


def _head(item: Item | None) -> Head:
    return Head() if item is None else Head(sequence=item["revision"], hash=item["audited"])
