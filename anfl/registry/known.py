"""Versions that a process has read before, so that a search over all of a tenant's reads no more than what changed.

Whatever changes of a model or its versions raises the revision of the model's record, in the same transaction
(`anfl.registry.keys`). So versions that were read *after* a record of some revision are as they are for as long as the
record has that revision; and a search asks for the revisions of all models, strongly consistently, each time.

Another region's changes arrive item by item, so there a record may be newer than its versions for a while: versions
count as read only once the change is some seconds old, and all are read again after some minutes.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import chain

from anfl.registry import glances, keys, traces
from anfl.registry.clock import Clock, now
from anfl.registry.families import Families, families, size_of
from anfl.registry.filters import Filter
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import Records, sort_of

MAX_BYTES = 64 * 1024 * 1024
"""Of all that a process keeps; a tenant with more is not kept at all."""
MAX_CHANGED = 500
"""Models whose versions are read again by themselves; where more have changed, all versions are."""
FEW = 25
"""Versions of a model that are read by their numbers, together with those of others; for more, it is asked for them."""
MAX_ASKED = 20
"""Models that are asked; for more, all versions are read."""
MAX_AGE_MILLISECONDS = 600_000
"""After this everything is read again."""
_STRIPES = 16
_REMEMBERED = 10_000
"""Tenants of which it is known that they searched."""


class Known:
    """What one process knows of all tenants."""

    def __init__(self, records: Records, *, max_bytes: int, clock: Clock = now) -> None:
        """:param max_bytes: of versions that are kept."""
        self._clock = clock
        self._records = records
        self._table = records.table
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Families | None] = OrderedDict()
        """None: too much to be kept."""
        self._met: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._first = tuple(threading.Lock() for _ in range(_STRIPES))

    def is_met(self, tenant: str) -> bool:
        """Whether somebody asked this about a tenant before, or it was read."""
        with self._lock:
            if tenant in self._kept or tenant in self._met:
                return True
            self._met[tenant] = None
            if len(self._met) > _REMEMBERED:
                self._met.popitem(last=False)
            return False

    def families(self, tenant: str, named: Filter) -> Families | None:
        """All there is now of a tenant; nothing where no model has a wanted name, None where it is too much to be kept.

        :param named: conditions on models' names alone.
        """
        kept, seen = self._recalled(tenant)
        if not seen:
            with self._first[hash(tenant) % _STRIPES]:  # those who come together wait for the first
                kept, seen = self._recalled(tenant)
                if not seen:
                    return self._anew(tenant, named)
        if kept is None:
            return None
        if self._clock() - kept.read_at >= MAX_AGE_MILLISECONDS:
            return self._anew(tenant, named)
        revisions = self._table.revisions(keys.models(tenant))
        if named.comparisons and not any(map(named.accepts(), revisions.all_sort_keys())):
            return self._families(tenant, (), (), size=0, at=0)
        there = revisions.by_id
        before, unsettled = kept.revisions(), kept.unsettled()
        if there == before and not unsettled:
            return kept
        other = {model_id for model_id, revision in there.items() if before.get(model_id) != revision}
        gone = before.keys() - there.keys()
        changed = revisions.sort_keys(other | unsettled)
        again = self._some(tenant, changed)
        if again is None:
            return self._anew(tenant, named)
        ids = changed.keys()
        if not gone and other <= before.keys() and kept.documents(ids) == again.documents(ids):
            kept.unsettled = again.unsettled
            return kept
        return self._keep(tenant, kept.replaced(again, gone=gone | ids))

    def _recalled(self, tenant: str) -> tuple[Families | None, bool]:
        """What is kept, and whether the tenant was seen before."""
        with self._lock:
            if tenant not in self._kept:
                return None, False
            self._kept.move_to_end(tenant)
            return self._kept[tenant], True

    def _keep(self, tenant: str, families: Families | None) -> Families | None:
        with self._lock:
            self._kept[tenant] = families if families is not None and families.size <= self._max_bytes else None
            self._kept.move_to_end(tenant)
            while (
                len(self._kept) > _REMEMBERED
                or sum(kept.size for kept in self._kept.values() if kept is not None) > self._max_bytes
            ):
                self._kept.popitem(last=False)
        return families

    def _anew(self, tenant: str, named: Filter) -> Families | None:
        """Read all, and keep it; but no versions, and nothing is kept, where no model has a wanted name."""
        moment = self._clock()
        models = list(chain.from_iterable(self._table.contents(keys.models(tenant), DOCUMENT)))
        if named.comparisons:
            likely = map(glances.owner, traces.holding(models, named))
            if not any(map(named.accepts(), (model.name for model in likely))):
                return self._families(tenant, (), (), size=0, at=0)
        versions: list[str] = []
        total = size_of(models)
        for page in self._table.contents(keys.versions(tenant), DOCUMENT):
            versions += page
            total += size_of(page)
            if total > self._max_bytes:
                return self._keep(tenant, None)
        return self._keep(tenant, self._families(tenant, models, versions, size=total, at=moment))

    def _some(self, tenant: str, changed: Mapping[str, str]) -> Families | None:
        """:param changed: id → name. None where that takes as long as reading all."""
        if len(changed) > MAX_CHANGED:
            return None
        moment = self._clock()
        models = [glances.owner(item[DOCUMENT]) for item in self._records.models_by_id(tenant, changed)]
        numbered = [owner for owner in models if owner.last_version <= FEW]
        if len(models) - len(numbered) > MAX_ASKED:
            return None
        wanted = {
            owner.id: [keys.version(tenant, owner.id, number) for number in range(1, owner.last_version + 1)]
            for owner in numbered
        }
        found = self._table.get_many(list(chain.from_iterable(wanted.values())))
        versions: list[str] = []
        for model_id in sorted(owner.id for owner in models):  # together, as all are
            if model_id in wanted:
                versions += [found[place][DOCUMENT] for place in map(sort_of, wanted[model_id]) if place in found]
            else:
                prefix = keys.versions_of(model_id)
                versions += chain.from_iterable(self._table.contents(keys.versions(tenant), DOCUMENT, prefix=prefix))
        documents = [owner.document for owner in models]
        return self._families(tenant, documents, versions, size=size_of(documents) + size_of(versions), at=moment)

    def _families(
        self, tenant: str, models: Sequence[str], documents: Sequence[str], *, size: int, at: int
    ) -> Families:
        def is_prompt(document: str) -> bool:
            return self._records.is_prompt(tenant, document)

        return families(models, documents, is_prompt=is_prompt, size=size, at=at)
