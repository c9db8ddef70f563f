"""Versions that a process has read before, so that a search over all of a tenant's reads no more than what changed.

Whatever changes of a model or its versions raises the revision of the model's record, in the same transaction
(`anfl.registry.keys`). So versions that were read *after* a record of some revision are as they are for as long as the
record has that revision; and a search asks for the revisions of all models, strongly consistently, each time.

Another region's changes arrive item by item, so there a record may be newer than its versions for a while: versions
count as read only once the change is some seconds old, and all are read again after some minutes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from anfl.registry import keys, ordering
from anfl.registry.clock import Clock, now
from anfl.registry.entities import PROMPT_TAG, Model, VersionOf
from anfl.registry.filters import Comparison
from anfl.registry.marks import DOCUMENT
from anfl.registry.ordering import Order
from anfl.registry.records import Records, model_in, model_of, version_in

MAX_BYTES = 64 * 1024 * 1024
"""Of all that a process keeps; a tenant with more is not kept at all."""
MAX_CHANGED = 20
"""Models whose versions are read one by one; where more have changed, all versions are."""
SETTLE_MILLISECONDS = 10_000
"""Versions of a model that changed since are read each time."""
MAX_AGE_MILLISECONDS = 600_000
"""After this everything is read again."""
_OVERHEAD = 800
"""Bytes of a record in memory beyond those of its document."""
_STRIPES = 16
_ANSWERS = 4
"""Orders, and sets of values, that are remembered of a tenant."""
Key = TypeVar("Key")
Value = TypeVar("Value")
_KEYS: Mapping[str, Callable[[VersionOf], Any]] = {
    "name": lambda of: of.model.name,
    "number": lambda of: of.version.number,
    "created_at": lambda of: of.version.created_at,
    "updated_at": lambda of: of.version.changed_at(of.model),
}
_TOLD: Mapping[str, Callable[[VersionOf], str | int | None]] = {
    "name": attrgetter("model.name"),
    "run_id": attrgetter("version.run_id"),
    "source_path": attrgetter("version.source"),
    "version_number": attrgetter("version.number"),
}
Teller = Callable[[VersionOf], str | int | None]
"""Tells what a comparison is about; None where there is no such value."""


class Family(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A model's versions, as they were at a revision of it."""

    id: str
    revision: str
    versions: list[VersionOf]
    is_prompt: bool
    size: int
    settled: bool


class Families:
    """Those of a tenant, at one time: their versions never change. What was asked once is remembered."""

    def __init__(self, families: Iterable[Family], *, read_at: int) -> None:
        """:param read_at: when the oldest of them may have been read."""
        self.read_at = read_at
        self.by_id = {family.id: family for family in families}
        self.size = sum(family.size for family in self.by_id.values())
        self.large = {key for family in self.by_id.values() for of in family.versions for key in of.version.spilled}
        """Keys of tags whose values are not here."""
        self._values = _Few[tuple[str, bool], set[str | int | None]]()
        self._orders = _Few[tuple[tuple[Order, ...], bool], list[VersionOf]]()

    def holds(self, families: Mapping[str, Family]) -> bool:
        """Whether these have the same versions here."""
        return all(one.id in self.by_id and self.by_id[one.id].versions == one.versions for one in families.values())

    def in_order(self, orders: Sequence[Order], *, prompts: bool) -> Sequence[VersionOf]:
        """All versions, those of prompts on demand."""

        def ordered() -> list[VersionOf]:
            families = [family for family in self.by_id.values() if prompts or not family.is_prompt]
            every = [version for family in families for version in family.versions]
            return list(ordering.in_order(every, orders, _KEYS))

        return self._orders.get((tuple(orders), prompts), ordered)

    def remembered(self) -> int:
        """How many answers are remembered."""
        return len(self._values) + len(self._orders)

    def values(self, comparison: Comparison) -> set[str | int | None]:
        """All values of what a comparison is about."""

        def all_values() -> set[str | int | None]:
            told = teller(comparison)
            return {told(of) for family in self.by_id.values() for of in family.versions} - {None}

        return self._values.get((comparison.key, comparison.is_tag), all_values)


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
        revisions = list(self._table.revisions(keys.models(tenant)))
        changed = {
            model_id: name
            for name, model_id, revision in revisions
            if (family := kept.by_id.get(model_id)) is None or family.revision != revision or not family.settled
        }
        if not changed and len(revisions) == len(kept.by_id):
            return kept
        if len(changed) > MAX_CHANGED:
            return self._keep(tenant, self._all(tenant))
        again = {family.id: family for family in self._some(tenant, changed)}
        if again.keys() == changed.keys() and len(revisions) == len(kept.by_id) and kept.holds(again):
            kept.by_id.update(again)  # settled, perhaps, and otherwise the same
            return kept
        gone = changed.keys() - again.keys()
        found = (again.get(model_id) or kept.by_id[model_id] for _, model_id, _ in revisions if model_id not in gone)
        return self._keep(tenant, Families(found, read_at=kept.read_at))

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
        models = [model_in(document) for _, document in self._table.texts(keys.models(tenant), DOCUMENT)]
        found: dict[str, list[str]] = {model.id: [] for model in models}
        size = 0
        for sort, document in self._table.texts(keys.versions(tenant), DOCUMENT):
            found.get(sort.partition("#")[0], []).append(document)
            size += len(document) + _OVERHEAD
            if size > self._max_bytes:
                return None
        families = (self._family(tenant, model, found.pop(model.id), at=moment) for model in models)
        return Families(families, read_at=moment)

    def _some(self, tenant: str, changed: Mapping[str, str]) -> Iterable[Family]:
        """:param changed: id → name."""
        moment = self._clock()
        for item in self._records.models_by_id(tenant, changed):
            model = model_of(item)
            found = self._table.texts(keys.versions(tenant), DOCUMENT, prefix=keys.versions_of(model.id))
            yield self._family(tenant, model, [document for _, document in found], at=moment)

    def _family(self, tenant: str, model: Model, documents: Sequence[str], *, at: int) -> Family:
        versions = [version_in(document) for document in documents]
        marked = (version for version in versions if PROMPT_TAG in version.tags or PROMPT_TAG in version.spilled)
        return Family(
            id=model.id,
            revision=str(model.revision),
            versions=[VersionOf(model=model, version=version) for version in versions],
            is_prompt=any(self._records.tag_value(tenant, version, PROMPT_TAG) == "true" for version in marked),
            settled=at - model.changed_at >= SETTLE_MILLISECONDS,
            size=_OVERHEAD + sum(_OVERHEAD + len(document) for document in documents),
        )


def teller(comparison: Comparison) -> Teller:
    """See `Teller`."""
    key = comparison.key
    return (lambda of: of.version.tags.get(key)) if comparison.is_tag else _TOLD[key]
