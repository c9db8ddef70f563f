"""Versions that a search may find. Documents are read in full as versions are taken, in order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from anfl.registry import keys, marks, ordering
from anfl.registry.entities import PROMPT_TAG, Model, Version, VersionOf
from anfl.registry.filters import Filter
from anfl.registry.ordering import Order
from anfl.registry.records import DOCUMENT, Records, model_in, version_in
from anfl.resources import SORT_KEY

_TIMES = frozenset({"created_at", "updated_at"})


class _Owner(msgspec.Struct, gc=False):
    """What order needs to know of a model."""

    id: str
    name: str
    renamed_at: int = 0


_Owned = tuple[_Owner, str]
"""A model and its document."""


class _Times(msgspec.Struct, gc=False):
    created_at: int
    updated_at: int


class _Candidate(msgspec.Struct, gc=False):
    """A version by what it may be ordered by; the times are 0 where no order asks for them."""

    name: str
    number: int
    created_at: int
    updated_at: int
    model: str
    """Its model's document."""
    document: str


_OWNER, _TIMES_OF = msgspec.json.Decoder(_Owner), msgspec.json.Decoder(_Times)
_Found = dict[str, list[tuple[str, str]]]
"""Model's id → number and document of its versions."""


class Candidates:
    """Versions of all tenants that filters may select."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._table = records.table

    def matching(self, tenant: str, condition: Filter, orders: Sequence[Order]) -> Iterator[VersionOf]:
        """Versions for which a filter holds, in order, without large tags that it is not about."""
        tagged = {comparison.key for comparison in condition.comparisons if comparison.is_tag}
        for candidate in self._in_order(tenant, condition, orders):
            model, version = model_in(candidate.model), version_in(candidate.document)
            if not tagged.isdisjoint(version.spilled):
                version = self._records.all_tags(tenant, version)
            if condition.holds(_attributes(model, version), version.tags):
                yield VersionOf(model=model, version=version)

    def _in_order(self, tenant: str, condition: Filter, orders: Sequence[Order]) -> Iterator[_Candidate]:
        models = self._enumerated(tenant, condition)
        found = self._versions(tenant, condition, models)
        if not found:
            return
        by_name = orders[0].field == "name"
        descending = by_name and orders[0].descending
        if models is None:
            owners = self._beginning_alike(tenant, condition, descending=descending)
        else:
            owners = iter(sorted(models, key=lambda owned: owned[0].name, reverse=descending))
        timed = any(order.field in _TIMES for order in orders)
        of_models = (_candidates(owner, model, found.get(owner.id, ()), timed=timed) for owner, model in owners)
        if by_name:  # the models come in that order: those beyond the page are not read
            for candidates in of_models:
                ordering.sort(candidates, orders[1:])
                yield from candidates
        else:
            every = [candidate for candidates in of_models for candidate in candidates]
            ordering.sort(every, orders)
            yield from every

    def _versions(self, tenant: str, condition: Filter, models: Sequence[_Owned] | None) -> _Found:
        """Versions that can match, but those of prompts where none are asked for; None: of all models."""
        only = marks.wanted(condition, and_prompts=not condition.prompts)
        prefixes = [""] if models is None else [keys.versions_of(owner.id) for owner, _ in models]
        found: _Found = defaultdict(list)
        prompts: set[str] = set()
        for prefix in prefixes:
            for sort, document in self._table.texts(keys.versions(tenant), DOCUMENT, prefix=prefix, only=only):
                model_id, _, number = sort.partition("#")
                found[model_id].append((number, document))
                if PROMPT_TAG in document and not condition.prompts and self._is_prompt(tenant, document):
                    prompts.add(model_id)
        for model_id in prompts:
            del found[model_id]
        return found

    def _is_prompt(self, tenant: str, document: str) -> bool:
        return self._records.tag_value(tenant, version_in(document), PROMPT_TAG) == "true"

    def _enumerated(self, tenant: str, condition: Filter) -> list[_Owned] | None:
        """The only models whose versions can match; None where conditions do not enumerate them."""
        names, runs = condition.listed("name"), condition.listed("run_id")
        if names is not None:
            named = [keys.model(tenant, name) for name in names if keys.fits(name)]
            return [_owned(item[DOCUMENT]) for item in self._table.get_many(named).values()]
        if runs is None or "" in runs:  # what no run made is not listed
            return None
        makers: dict[str, str] = {}
        for run in runs:
            for item in self._table.query(keys.runs(tenant), prefix=keys.made_by(run)):
                makers[item[SORT_KEY].split("#")[1]] = item["name"]
        return [_owned(item[DOCUMENT]) for item in self._records.models_by_id(tenant, makers)]

    def _beginning_alike(self, tenant: str, condition: Filter, *, descending: bool) -> Iterator[_Owned]:
        """Models whose names begin as the filter says, in the order of their names."""
        prefix = name_prefix(condition)
        for _, document in self._table.texts(keys.models(tenant), DOCUMENT, prefix=prefix, descending=descending):
            yield _owned(document)


def _candidates(owner: _Owner, model: str, found: Iterable[tuple[str, str]], *, timed: bool) -> list[_Candidate]:
    """A model's versions.

    :param model: its document.
    """
    candidates = [_Candidate(owner.name, int(number), 0, 0, model, document) for number, document in found]
    for candidate in candidates if timed else ():
        times = _TIMES_OF.decode(candidate.document)
        candidate.created_at, candidate.updated_at = times.created_at, max(times.updated_at, owner.renamed_at)
    return candidates


def _owned(document: str) -> _Owned:
    return _OWNER.decode(document), document


def name_prefix(condition: Filter) -> str:
    """What every matching name begins with."""
    prefix = condition.prefix("name")
    return prefix if keys.fits(prefix) else ""


def _attributes(model: Model, version: Version) -> dict[str, str | int | None]:
    return {
        "name": model.name,
        "run_id": version.run_id,
        "source_path": version.source,
        "version_number": version.number,
    }
