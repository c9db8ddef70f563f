"""Reads the audit: which chains there are, where they end, their entries page by page."""

import re

import msgspec

from anfl.registry import keys, pages, rules
from anfl.registry.audit import Entry, Head, tenant_chain
from anfl.registry.errors import does_not_exist, model_not_found
from anfl.registry.journal import Journal
from anfl.registry.records import entry_of, head_of, model_of
from anfl.registry.table import Item, Table
from anfl.resources import SORT_KEY

PER_PAGE = 100
MOST_PER_PAGE = 1000
_FRAME_BYTES = 100
"""Of an entry on a page beyond what it tells: its hash. Of a model with an audit: all but its name."""
_BEARER = re.compile(r"[0-9a-f]{64}#[0-9a-f-]{36}")
"""Sort key of one, after which a page begins."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """A model that has, or had, a name since a moment (ms since the epoch)."""

    id: str
    name: str
    since: int


class Chains(msgspec.Struct, frozen=True, kw_only=True):
    """Models with an audit, one for each name that each has had, in no order that tells anything."""

    models: list[Bearer]
    next_page_token: str | None = None
    """Gives the models that follow; null where these are the last."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a chain, in order."""

    chain: str
    """Id of the model, or ``tenant:…``."""
    head: Head | None
    """Where what the chain is about says that it ends; null where that model is deleted."""
    entries: list[Entry]
    next_page_token: str | None = None
    """Gives the entries that follow; null where these are the last. A page also ends where it would be larger than the
    gateway lets pass."""


class Trails:
    """Audit chains of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._journal = Journal(table)

    def chains(self, tenant: str, *, after: str | None = None, limit: int = MOST_PER_PAGE) -> Chains:
        """Models that have, or had, any name, also deleted ones.

        :param after: token of the page before.
        :raises Problem: 400.
        """
        pages.check_limit(limit, most=MOST_PER_PAGE)
        if after is not None and _BEARER.fullmatch(after) is None:
            raise pages.unknown_token()
        items = self._table.query(keys.chains(tenant), after=after, limit=limit + 2)  # the tenant's own among them
        shown, more = pages.taken(filter(_is_bearer, items), limit=limit, size=_size_of_bearer)
        return Chains(models=list(map(_bearer, shown)), next_page_token=shown[-1][SORT_KEY] if more else None)

    def bearers(self, tenant: str, name: str) -> list[Bearer]:
        """Models that have, or had, a name, also deleted ones, the latest to take it last.

        :raises Problem: 400.
        """
        items = self._table.query(keys.chains(tenant), prefix=keys.bearers(rules.model_name(name)))
        return sorted(map(_bearer, items), key=lambda bearer: (bearer.since, bearer.id))

    def of_model(
        self, tenant: str, name: str, *, model_id: str | None = None, after: int = 0, limit: int = PER_PAGE
    ) -> Page:
        """Entries of the model that has a name; where none has, of the last that had it.

        :param model_id: another one that has or had that name.
        :param after: number of the entry beyond which to begin.
        :raises Problem: 404, 400.
        """
        bearers = self.bearers(tenant, name)
        item = self._table.get(keys.model(tenant, name))
        chosen = model_id or (item["id"] if item is not None else bearers[-1].id if bearers else None)
        if chosen is None:
            raise model_not_found(name)
        if chosen not in {bearer.id for bearer in bearers}:
            raise does_not_exist(f"No model with id {chosen} was ever named {name}.")
        return self._page(tenant, chosen, self._end(tenant, chosen, item), after=after, limit=limit)

    def of_tenant(self, tenant: str, *, after: int = 0, limit: int = PER_PAGE) -> Page:
        """Entries of what concerns no single model.

        :raises Problem: 400.
        """
        return self._page(tenant, tenant_chain(tenant), self._journal.head(tenant), after=after, limit=limit)

    def _end(self, tenant: str, model_id: str, item: Item | None) -> Head | None:
        """Where the record of a model says that its chain ends, whatever its name is now; None where it is deleted."""
        seen = None
        while item is None or item["id"] != model_id:
            pointer = self._table.get(keys.renamed(tenant, model_id))
            if pointer is None or pointer == seen:
                return None
            seen = pointer
            item = self._table.get(keys.model(tenant, pointer["name"]))
        return head_of(model_of(item))

    def _page(self, tenant: str, chain: str, head: Head | None, *, after: int, limit: int) -> Page:
        pages.check_limit(limit, most=MOST_PER_PAGE)
        start = keys.entry(tenant, chain, after)[SORT_KEY]
        items = self._table.query(keys.chain(tenant, chain), after=start, limit=limit + 1)
        shown, more = pages.taken(items, limit=limit, size=_size)
        token = shown[-1][SORT_KEY] if more else None
        return Page(chain=chain, head=head, entries=[_entry(chain, item) for item in shown], next_page_token=token)


def _is_bearer(item: Item) -> bool:
    return "id" in item


def _bearer(item: Item) -> Bearer:
    return Bearer(id=item["id"], name=item["name"], since=item["since"])


def _size_of_bearer(item: Item) -> int:
    return len(msgspec.json.encode(item["name"])) + _FRAME_BYTES


def _size(item: Item) -> int:
    return len(str(item.get("entry", "")).encode()) + _FRAME_BYTES


def _entry(chain: str, item: Item) -> Entry:
    try:
        return entry_of(item)
    except (msgspec.DecodeError, KeyError, TypeError):  # somebody wrote past this code: `audit.verify` says so
        sequence = int(item[SORT_KEY]) if item[SORT_KEY].isdigit() else 0
        nothing: dict[str, object] = {}
        return Entry(
            chain=chain,
            sequence=sequence,
            previous="",
            at=0,
            by="",
            action="unreadable",
            version=None,
            before=nothing,
            after=nothing,
        )
