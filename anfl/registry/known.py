"""Versions that a process has read before, so that a search over all of a tenant's reads no more than what changed.

Whatever changes of a model or its versions raises the revision of the model's record, in the same transaction
(`anfl.registry.keys`). So versions that were read *after* a record of some revision are as they are for as long as the
record has that revision; and a search asks for the revisions of all models, strongly consistently, each time.

Another region's changes arrive item by item, so there a record may be newer than its versions for a while: versions
count as read only once the change is some seconds old, and all are read again after some minutes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Generic, TypeVar

from anfl.registry import glances, keys, ordering
from anfl.registry.clock import Clock, now
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.filters import Comparison
from anfl.registry.glances import Glance, Owner
from anfl.registry.marks import DOCUMENT
from anfl.registry.ordering import Order
from anfl.registry.records import Records, sort_of

MAX_BYTES = 64 * 1024 * 1024
"""Of all that a process keeps; a tenant with more is not kept at all."""
MAX_CHANGED = 500
"""Models whose versions are read again by themselves; where more have changed, all versions are."""
FEW = 25
"""Versions of a model that are read by their numbers, together with those of others; for more, it is asked for them."""
MAX_ASKED = 20
"""Models that are asked; for more, all versions are read."""
SETTLE_MILLISECONDS = 10_000
"""Versions of a model that changed since are read each time."""
MAX_AGE_MILLISECONDS = 600_000
"""After this everything is read again."""
_OVERHEAD = 800
"""Bytes of a record in memory beyond those of its document."""
_STRIPES = 16
_STEP = 200
_ANSWERS = 4
"""Orders, and sets of values, that are remembered of a tenant."""
Key = TypeVar("Key")
Value = TypeVar("Value")
KEYS: Mapping[str, Callable[[Glance], Any]] = {
    "name": attrgetter("owner.name"),
    "number": attrgetter("number"),
    "created_at": attrgetter("created_at"),
    "updated_at": attrgetter("updated_at"),
}
"""What tells the key of a version that belongs to a model, by the orders' fields."""
_TOLD: Mapping[str, Callable[[Glance], str | int | None]] = {
    "name": attrgetter("owner.name"),
    "run_id": attrgetter("told.run_id"),
    "source_path": attrgetter("told.source"),
    "version_number": attrgetter("number"),
}
_OWNER: Callable[[Glance], Owner | None] = attrgetter("owner")
_IN_KEYS = frozenset({"name", "version_number"})
"""What is told without a look at documents."""
Teller = Callable[[Glance], str | int | None]
"""Tells what a comparison is about; None where there is no such value."""


class Families:
    """Models of a tenant with their versions, at one time: they never change. What was asked once is remembered."""

    def __init__(
        self,
        owners: Mapping[str, Owner],
        versions: list[Glance],
        *,
        prompts: Set[str],
        unsettled: Set[str],
        size: int,
        read_at: int,
    ) -> None:
        """:param owners: the models, by id.
        :param prompts: ids of those that are prompts.
        :param unsettled: ids of those that are to be read again.
        :param size: bytes in memory, about.
        :param read_at: when the oldest of them may have been read.
        """
        self.owners = owners
        self.versions = versions
        self.prompts = prompts
        self.unsettled = unsettled
        self.size = size
        self.read_at = read_at
        self._asked = self._is_told = False
        self._large = set[str]()
        self._values = _Few[tuple[str, bool], set[str | int | None]]()
        self._orders = _Few[tuple[tuple[Order, ...], bool], Iterable[Glance]]()

    @cached_property
    def revisions(self) -> dict[str, str]:
        """Of the models, as text, by id."""
        return {key: str(owner.revision) for key, owner in self.owners.items()}

    def documents(self, ids: Set[str]) -> dict[str, list[str]]:
        """Those of some models and their versions."""
        found = {key: [self.owners[key].document] for key in ids if key in self.owners}
        for version in self.versions:
            if version.model_id in found:
                found[version.model_id].append(version.document)
        return found

    def replaced(self, again: "Families", *, gone: Set[str]) -> "Families":
        """With some of the models as they were read again, and without those that are gone."""
        before = gone | again.owners.keys()
        without = [text for texts in self.documents(before).values() for text in texts]
        return Families(
            {key: owner for key, owner in self.owners.items() if key not in before} | dict(again.owners),
            [version for version in self.versions if version.model_id not in before] + again.versions,
            prompts=self.prompts - before | again.prompts,
            unsettled=again.unsettled,
            size=self.size - _size(without) + again.size,
            read_at=self.read_at,
        )

    def in_order(self, orders: Sequence[Order], *, prompts: bool) -> Iterable[Glance]:
        """All versions, those of prompts on demand."""

        def ordered() -> Iterable[Glance]:
            left_out = frozenset[str]() if prompts else self.prompts
            every = [version for version in self.versions if version.model_id not in left_out]
            return Lazy(ordering.in_order(every, orders, KEYS))

        return self._orders.get((tuple(orders), prompts), ordered)

    def remembered(self) -> int:
        """How many answers are remembered."""
        return len(self._values) + len(self._orders)

    def values(self, comparison: Comparison) -> set[str | int | None] | None:
        """All values of what a comparison is about; None where some are not here, or where nothing was asked of
        documents so far: the first time it is sooner to read as many as are asked for.
        """
        about_documents = comparison.is_tag or comparison.key not in _IN_KEYS
        if about_documents and (not self._told() or comparison.key in self._large):
            return None
        told = teller(comparison)
        return self._values.get((comparison.key, comparison.is_tag), lambda: set(map(told, self.versions)) - {None})

    def _told(self) -> bool:
        """Whether the documents were read for filters; the second filter has them read."""
        if not self._asked:
            self._asked = True
            return False
        if not self._is_told:
            self._large = {key for version in self.versions for key in version.told.spilled}
            self._is_told = True
        return True


class _Few(Generic[Key, Value]):
    """The answers that were asked for last: callers choose how many different ones they ask for."""

    def __init__(self) -> None:
        self._answers: dict[Key, Value] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The answer to ``key``, which ``make`` gives where it is not remembered."""
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        answer = make()
        with self._lock:
            self._answers[key] = answer
            if len(self._answers) > _ANSWERS:
                del self._answers[next(iter(self._answers))]
        return answer


class Lazy(Generic[Value]):
    """What an iterator gives, as far as somebody asked for it, for all who ask."""

    def __init__(self, rest: Iterator[Value]) -> None:
        self._rest = rest
        self._given: list[Value] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Value]:
        given = self._given
        position = 0
        while True:
            if position == len(given):
                with self._lock:
                    if position == len(given):
                        given.extend(islice(self._rest, _STEP))
                if position == len(given):
                    return
            upto = len(given)
            yield from given[position:upto]
            position = upto


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
        self._lock = threading.Lock()
        self._first = tuple(threading.Lock() for _ in range(_STRIPES))

    def families(self, tenant: str) -> Families | None:
        """All there is now of a tenant; None where that is too much to be kept."""
        kept, seen = self._recalled(tenant)
        if not seen:
            with self._first[hash(tenant) % _STRIPES]:  # those who come together wait for the first
                kept, seen = self._recalled(tenant)
                if not seen:
                    return self._keep(tenant, self._all(tenant))
        if kept is None:
            return None
        if self._clock() - kept.read_at >= MAX_AGE_MILLISECONDS:
            return self._keep(tenant, self._all(tenant))
        revisions = self._table.revisions(keys.models(tenant))
        there = revisions.by_id
        if there == kept.revisions and not kept.unsettled:
            return kept
        other = {model_id for model_id, _ in there.items() - kept.revisions.items()}
        changed = revisions.sort_keys(other | kept.unsettled)
        again = self._some(tenant, changed)
        if again is None:
            return self._keep(tenant, self._all(tenant))
        ids = changed.keys()
        if there.keys() == kept.owners.keys() and kept.documents(ids) == again.documents(ids):
            kept.unsettled = again.unsettled
            return kept
        return self._keep(tenant, kept.replaced(again, gone=(kept.owners.keys() - there.keys()) | ids))

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
            while sum(kept.size for kept in self._kept.values() if kept is not None) > self._max_bytes:
                self._kept.popitem(last=False)
        return families

    def _all(self, tenant: str) -> Families | None:
        moment = self._clock()
        models = list(chain.from_iterable(self._table.contents(keys.models(tenant), DOCUMENT)))
        versions: list[str] = []
        size = 0
        for page in self._table.contents(keys.versions(tenant), DOCUMENT):
            versions += page
            size += _size(page)
            if size > self._max_bytes:
                return None
        return self._families(tenant, list(map(glances.owner, models)), versions, at=moment)

    def _some(self, tenant: str, changed: Mapping[str, str]) -> Families | None:
        """:param changed: id → name. None where that takes as long as reading all."""
        if len(changed) > MAX_CHANGED:
            return None
        moment = self._clock()
        models = [glances.owner(item[DOCUMENT]) for item in self._records.models_by_id(tenant, changed)]
        numbered = [owner for owner in models if owner.last_version <= FEW]
        if len(models) - len(numbered) > MAX_ASKED:
            return None
        wanted = [
            keys.version(tenant, owner.id, number) for owner in numbered for number in range(1, owner.last_version + 1)
        ]
        found = self._table.get_many(wanted)
        versions = [found[place][DOCUMENT] for place in map(sort_of, wanted) if place in found]
        for owner in models:
            if owner.last_version > FEW:
                prefix = keys.versions_of(owner.id)
                versions += chain.from_iterable(self._table.contents(keys.versions(tenant), DOCUMENT, prefix=prefix))
        return self._families(tenant, models, versions, at=moment)

    def _families(self, tenant: str, models: Sequence[Owner], documents: Sequence[str], *, at: int) -> Families:
        owners = {owner.id: owner for owner in models}
        versions = list(map(glances.version, documents))
        for version in versions:
            version.owner = owners.get(version.model_id)
        if None in map(_OWNER, versions):  # those of a model that is being deleted
            versions = [version for version in versions if version.owner is not None]
        renamed = {owner.id for owner in models if owner.renamed_at}
        if renamed:
            for version in versions:
                if version.model_id in renamed:
                    version.belong_to(owners[version.model_id])
        marked = [document for document in documents if PROMPT_TAG in document]
        return Families(
            owners,
            versions,
            prompts={glances.version(each).model_id for each in marked if self._records.is_prompt(tenant, each)},
            unsettled={owner.id for owner in models if at - owner.changed_at < SETTLE_MILLISECONDS},
            size=_size([owner.document for owner in models]) + _size(documents),
            read_at=at,
        )


def _size(documents: Sequence[str]) -> int:
    """Bytes that records take in memory, about."""
    return _OVERHEAD * len(documents) + sum(map(len, documents))


def teller(comparison: Comparison) -> Teller:
    """See `Teller`."""
    key = comparison.key
    return (lambda of: of.told.tags.get(key)) if comparison.is_tag else _TOLD[key]
