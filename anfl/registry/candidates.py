"""Versions that a filter selects, in order. Documents are read as far as order and filter ask for."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain

from anfl.registry import glances, keys, marks, ordering, traces
from anfl.registry.clock import Clock
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.families import KEYS, Families, Teller, teller
from anfl.registry.filters import Comparison, Filter
from anfl.registry.glances import Glance, Owner
from anfl.registry.known import Known
from anfl.registry.marks import DOCUMENT
from anfl.registry.ordering import Order
from anfl.registry.records import Records, version_in
from anfl.registry.room import Room, Share
from anfl.resources import SORT_KEY

MAX_ENUMERATED = 100
"""Models that are asked for their versions one by one: for more, all of the tenant's are searched."""


class Candidates:
    """Versions of all tenants that filters may select."""

    def __init__(self, records: Records, *, max_bytes: int, clock: Clock, room: Room) -> None:
        """:param max_bytes: of versions that are kept in memory. :param room: for those that are being read."""
        self._records = records
        self._table = records.table
        self._known = Known(records, max_bytes=max_bytes, clock=clock, room=room)

    def matching(self, tenant: str, condition: Filter, orders: Sequence[Order], share: Share) -> Iterator[Glance]:
        """Versions for which a filter holds, in order, without large tags that it is not about.

        All of a tenant's are read and kept from its second search on: of the first one's, DynamoDB leaves out what it
        can, and a tenant that does not come again takes no memory.

        :param share: of what is read for this search alone.
        :raises Problem: 400, that is too much; 429, with what other searches of the tenant hold it is; 503, of others.
        """
        models = self._enumerated(tenant, condition)
        if models is None and (self._known.is_met(tenant) or marks.wanted(condition.beyond("version_number")) is None):
            known = self._known.families(tenant, condition.about("name"))
            if known is not None:
                return self._known_ones(tenant, condition, known, orders)
        return self._read(tenant, condition, models, orders, share)

    def _known_ones(self, tenant: str, condition: Filter, known: Families, orders: Sequence[Order]) -> Iterator[Glance]:
        few = known.few(condition)
        if few is not None:
            found = ordering.in_order(few, orders, KEYS)
            for comparison in condition.comparisons:
                found = self._each(tenant, comparison, found)
            return found
        found = iter(known.in_order(orders, prompts=condition.prompts))
        for comparison in condition.comparisons:
            values = known.values(comparison)
            if values is None:
                found = self._each(tenant, comparison, found)
            else:  # what a value is asked is asked once
                wanted = {value for value in values if comparison.test(value)}
                found = _within(found, teller(comparison), wanted) if wanted else iter(())
        return found

    def _each(self, tenant: str, comparison: Comparison, every: Iterable[Glance]) -> Iterator[Glance]:
        """Those for which a comparison holds; no more is read than is asked for."""
        tell = teller(comparison)
        for version in every:
            if version.is_large(comparison):
                value = self._records.tag_value(tenant, version_in(version.document), comparison.key)
                if comparison.holds(value):
                    yield version
            elif comparison.holds(tell(version)):
                yield version

    def _read(
        self,
        tenant: str,
        condition: Filter,
        models: Sequence[Owner] | None,
        orders: Sequence[Order],
        share: Share,
    ) -> Iterator[Glance]:
        told = condition.beyond("name", "version_number")
        for each in self._in_order(tenant, condition, told, models, orders, share):
            if not told.comparisons or self._holds(tenant, told, each):
                yield each

    def _holds(self, tenant: str, told: Filter, candidate: Glance) -> bool:
        found = glances.told(candidate.document)
        if found.asks(told):
            found.tags = self._records.all_tags(tenant, version_in(candidate.document)).tags
        return found.holds(told)

    def _in_order(
        self,
        tenant: str,
        condition: Filter,
        told: Filter,
        models: Sequence[Owner] | None,
        orders: Sequence[Order],
        share: Share,
    ) -> Iterator[Glance]:
        by_name = orders[0].field == "name"
        descending = by_name and orders[0].descending
        named = bool(condition.about("name").comparisons)
        documents: Iterable[str]
        if models is None and not by_name and not named:
            documents = chain.from_iterable(share.pages(self._table.contents(keys.models(tenant), DOCUMENT)))
        elif models is None:
            documents = chain.from_iterable(share.pages(self._named(tenant, condition, descending=descending)))
        else:
            accepted = condition.about("name").accepts()
            fitting = (owner for owner in models if accepted(owner.name))
            ordered = sorted(fitting, key=lambda owner: owner.name, reverse=descending)
            documents = [owner.document for owner in ordered]
            share.hold(documents)
        if named:  # of no model, no versions
            documents = iter(documents)
            first = next(documents, None)
            if first is None:
                return
            documents = chain((first,), documents)
        found = self._versions(tenant, condition, told, models, share)
        if not found:
            return
        if by_name:  # the models come in that order: those beyond the page are not read
            versions: dict[str, list[Glance]] = defaultdict(list)
            for version in found:
                versions[version.model_id].append(version)
            for owner in map(glances.owner, documents):
                of_owner = versions.get(owner.id, [])
                for version in of_owner:
                    version.belong_to(owner)
                yield from ordering.in_order(of_owner, orders[1:], KEYS)
        else:
            owned = glances.owned(found, glances.owners(list(documents)))
            yield from ordering.in_order(owned, orders, KEYS)

    def _versions(
        self, tenant: str, condition: Filter, told: Filter, models: Sequence[Owner] | None, share: Share
    ) -> list[Glance]:
        """Versions that can match, but those of prompts where none are asked for; None: of all models."""
        only = marks.wanted(told, and_prompts=not told.prompts)
        prefixes = [""] if models is None else [keys.versions_of(owner.id) for owner in models]
        partition = keys.versions(tenant)
        read = (self._table.contents(partition, DOCUMENT, prefix=prefix, only=only) for prefix in prefixes)
        documents = list(chain.from_iterable(share.pages(chain.from_iterable(read))))
        found = glances.versions(traces.holding(documents, told.with_operators("ILIKE")))  # which DynamoDB cannot tell
        if found and not told.prompts:
            marked = [document for document in documents if PROMPT_TAG in document]
            of_prompts = [document for document in marked if self._records.is_prompt(tenant, document)]
            prompts = {version.model_id for version in glances.versions(of_prompts)}
            found = [version for version in found if version.model_id not in prompts] if prompts else found
        numbered = condition.about("version_number")
        if numbered.comparisons:
            found = [version for version in found if numbered.holds({"version_number": version.number}, {})]
        return found

    def _enumerated(self, tenant: str, condition: Filter) -> list[Owner] | None:
        """The only models whose versions can match; None where conditions do not enumerate them, or too many."""
        names, runs = condition.listed("name"), condition.listed("run_id")
        if names is not None:
            if len(names) > MAX_ENUMERATED:
                return None
            named = [keys.model(tenant, name) for name in names if keys.fits(name)]
            return [glances.owner(item[DOCUMENT]) for item in self._table.get_many(named).values()]
        if runs is None or "" in runs or len(runs) > MAX_ENUMERATED:  # what no run made is not listed
            return None
        makers: dict[str, str] = {}
        for run in runs:
            for item in self._table.query(keys.runs(tenant), prefix=keys.made_by(run)):
                makers[item[SORT_KEY].split("#")[1]] = item["name"]
                if len(makers) > MAX_ENUMERATED:
                    return None
        return [glances.owner(item[DOCUMENT]) for item in self._records.models_by_id(tenant, makers)]

    def _named(self, tenant: str, condition: Filter, *, descending: bool) -> Iterator[tuple[str]]:
        """Documents, each by itself, of models whose names are as the filter says, in the order of their names."""
        named = condition.about("name")
        found = self._table.texts(
            keys.models(tenant),
            DOCUMENT,
            prefix=name_prefix(named),
            only=marks.wanted(named),
            named=named.accepts(),
            descending=descending,
        )
        return (named[1:] for named in found)


def _within(every: Iterable[Glance], told: Teller, wanted: Container[object]) -> Iterator[Glance]:
    return (of for of in every if told(of) in wanted)


def name_prefix(condition: Filter) -> str:
    """What every matching name begins with."""
    prefix = condition.prefix("name")
    return prefix if keys.fits(prefix) else ""
