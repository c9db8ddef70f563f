"""Versions that a process has read before, so that a search over all of a tenant's reads no more than what changed.

Whatever changes of a model or its versions raises the revision of the model's record, in the same transaction
(`anfl.registry.keys`). So versions that were read *after* a record of some revision are as they are for as long as the
record has that revision; and a search asks for the revisions of all models, strongly consistently, each time.

Another region's changes arrive item by item, so there a record may be newer than its versions for a while: versions
count as read only once the change is some seconds old, and all are read again after some minutes.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched, chain

from anfl.registry import glances, keys, traces
from anfl.registry.clock import Clock, now
from anfl.registry.families import Families, families
from anfl.registry.filters import Filter
from anfl.registry.glances import Owner
from anfl.registry.marks import DOCUMENT
from anfl.registry.records import Records, sort_of
from anfl.registry.room import Room
from anfl.registry.table import BATCH_GET
from anfl.registry.turns import Turns

MAX_BYTES = 64 * 1024 * 1024
"""Of all that a process keeps; a tenant with more is not kept, and after `MAX_AGE_MILLISECONDS` looked at again."""
MAX_CHANGED = 500
"""Models whose versions are read again by themselves; where more have changed, all versions are."""
FEW = 25
"""Versions of a model that are read by their numbers, together with those of others; for more, it is asked for them."""
MAX_ASKED = 20
"""Models that are asked; for more, all versions are read."""
MAX_AGE_MILLISECONDS = 600_000
"""After this everything is read again."""
_REMEMBERED = 10_000
"""Tenants of which it is known that they searched."""


class Known:
    """What one process knows of all tenants."""

    def __init__(self, records: Records, *, max_bytes: int, clock: Clock = now, room: Room | None = None) -> None:
        """:param max_bytes: of versions that are kept. :param room: of what is being read; None: its own."""
        self._clock = clock
        self._room = room or Room()
        self._records = records
        self._table = records.table
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Families | int] = OrderedDict()
        """A moment: when it was too much to be kept."""
        self._met: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._reading = Turns()

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
        while True:
            kept = self._recalled(tenant)
            if kept is None or self._is_old(kept):
                known = None
            elif isinstance(kept, int):
                return None
            else:
                known = self._followed(tenant, kept, named)
            if known is not None:
                return known
            with self._reading.of(tenant):  # those who come together wait for the first
                if self._recalled(tenant) is kept:
                    return self._anew(tenant, named)

    def _is_old(self, kept: Families | int) -> bool:
        return self._clock() - (kept if isinstance(kept, int) else kept.read_at) >= MAX_AGE_MILLISECONDS

    def _followed(self, tenant: str, kept: Families, named: Filter) -> Families | None:
        """What there is now, where that takes no more than to read what has changed; None otherwise."""
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
            return None
        ids = changed.keys()
        if not gone and other <= before.keys() and kept.documents(ids) == again.documents(ids):
            kept.unsettled = again.unsettled
            return kept
        return self._keep(tenant, kept.replaced(again, gone=gone | ids), at=self._clock())

    def _recalled(self, tenant: str) -> Families | int | None:
        """What is kept; None where the tenant was not seen before."""
        with self._lock:
            if tenant in self._kept:
                self._kept.move_to_end(tenant)
            return self._kept.get(tenant)

    def _keep(self, tenant: str, families: Families | None, *, at: int) -> Families | None:
        """:param at: when it was read."""
        with self._lock:
            self._kept[tenant] = families if families is not None and families.size <= self._max_bytes else at
            self._kept.move_to_end(tenant)
            while (
                len(self._kept) > _REMEMBERED
                or sum(kept.size for kept in self._kept.values() if not isinstance(kept, int)) > self._max_bytes
            ):
                self._kept.popitem(last=False)
        return families

    def _anew(self, tenant: str, named: Filter) -> Families | None:
        """Read all, and keep it; but no versions, and nothing is kept, where no model has a wanted name."""
        moment = self._clock()
        with self._room.share(tenant) as share:
            models: list[str] = []
            for page in share.pages(self._table.contents(keys.models(tenant), DOCUMENT)):
                models += page
                if share.size > self._max_bytes:
                    return self._keep(tenant, None, at=moment)
            if named.comparisons:
                likely = map(glances.owner, traces.holding(models, named))
                if not any(map(named.accepts(), (model.name for model in likely))):
                    return self._families(tenant, (), (), size=0, at=0)
            versions: list[str] = []
            for page in share.pages(self._table.contents(keys.versions(tenant), DOCUMENT)):
                versions += page
                if share.size > self._max_bytes:
                    return self._keep(tenant, None, at=moment)
            found = self._families(tenant, models, versions, size=share.size, at=moment)
            return self._keep(tenant, found, at=moment)

    def _some(self, tenant: str, changed: Mapping[str, str]) -> Families | None:
        """:param changed: id → name. None where that takes as long as reading all, or is too much to be kept."""
        if len(changed) > MAX_CHANGED:
            return None
        moment = self._clock()
        with self._room.share(tenant) as share:
            models: list[Owner] = []
            for some in batched(changed.items(), BATCH_GET // 2):
                documents = [item[DOCUMENT] for item in self._records.models_by_id(tenant, dict(some))]
                share.hold(documents)
                models += map(glances.owner, documents)
                if share.size > self._max_bytes:
                    return None
            if sum(owner.last_version > FEW for owner in models) > MAX_ASKED:
                return None
            versions: dict[str, list[str]] = {model_id: [] for model_id in sorted(owner.id for owner in models)}
            for model_id, documents in self._versions(tenant, models):  # those of a model by number
                share.hold(documents)
                versions[model_id] += documents
                if share.size > self._max_bytes:
                    return None
            every = list(chain.from_iterable(versions.values()))  # of a model together, as all are
            return self._families(tenant, [owner.document for owner in models], every, size=share.size, at=moment)

    def _versions(self, tenant: str, models: Sequence[Owner]) -> Iterator[tuple[str, list[str]]]:
        """Documents of versions, with their model's id, as they come."""
        numbered = (
            (owner.id, keys.version(tenant, owner.id, number))
            for owner in models
            if owner.last_version <= FEW
            for number in range(1, owner.last_version + 1)
        )
        for some in batched(numbered, BATCH_GET):
            found = self._table.get_many([key for _, key in some])
            for model_id, key in some:
                if (item := found.get(sort_of(key))) is not None:
                    yield model_id, [item[DOCUMENT]]
        for owner in models:
            if owner.last_version > FEW:
                prefix = keys.versions_of(owner.id)
                for page in self._table.contents(keys.versions(tenant), DOCUMENT, prefix=prefix):
                    yield owner.id, page

    def _families(
        self, tenant: str, models: Sequence[str], documents: Sequence[str], *, size: int, at: int
    ) -> Families:
        def is_prompt(document: str) -> bool:
            return self._records.is_prompt(tenant, document)

        return families(models, documents, is_prompt=is_prompt, size=size, at=at)
