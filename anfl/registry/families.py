"""Models of a tenant with their versions, as they were read at one time. What nobody asks of documents is not read."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain
from operator import attrgetter
from sys import getsizeof
from typing import Any

from anfl.registry import glances, ordering, together, traces
from anfl.registry.entities import PROMPT_TAG
from anfl.registry.filters import Comparison, Filter
from anfl.registry.glances import Glance, Owner
from anfl.registry.ordering import Order
from anfl.registry.remembered import Few, Later, Lazy

MAX_HELD = 1000
"""Versions that are read for one filter alone, where documents show that no others can match."""
_SAMPLE = 200
"""Versions that tell whether few may hold a text: not where one in ten of them does."""
SETTLE_MILLISECONDS = 10_000
"""Versions of a model that changed since are read each time."""
_OVERHEAD = 800
"""Bytes of a record in memory beyond those of its document."""
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
_DOCUMENT: Callable[[Glance], str] = attrgetter("document")
_IN_KEYS = frozenset({"name", "version_number"})
"""What is told without a look at documents."""
Teller = Callable[[Glance], str | int | None]
"""Tells what a comparison is about; None where there is no such value."""


class Families:
    """They never change. What was asked once is remembered."""

    def __init__(
        self,
        *,
        owners: Later[Mapping[str, Owner]],
        revisions: Later[Mapping[str, str]],
        unsettled: Later[Set[str]],
        documents: Sequence[str],
        versions: Later[list[Glance]],
        prompts: Later[Set[str]],
        held: Few[Filter, Sequence[str] | None],
        is_prompt: Callable[[str], bool],
        size: int,
        read_at: int,
    ) -> None:
        """:param owners: models by id.
        :param revisions: theirs, as text, by id.
        :param unsettled: ids of those that are to be read again.
        :param documents: of the versions, in the order of their keys.
        :param versions: those that belong to a model, in that order.
        :param prompts: ids of those models that are prompts.
        :param held: what `_held` remembers.
        :param is_prompt: says of a version's document whether it is one of a prompt.
        :param size: bytes in memory, about.
        :param read_at: when the oldest of them may have been read.
        """
        self.owners = owners
        self.revisions = revisions
        self.unsettled = unsettled
        self.size = size
        self.read_at = read_at
        self._documents = documents
        self._versions = versions
        self._prompts = prompts
        self._few = held
        self._is_prompt = is_prompt
        self._asked = self._is_told = False
        self._large = set[str]()
        self._values = Few[tuple[str, bool], set[str | int | None]]()
        self._orders = Few[tuple[tuple[Order, ...], bool], Iterable[Glance]]()

    def documents(self, ids: Set[str]) -> dict[str, list[str]]:
        """Those of some models and their versions."""
        owners, documents = self.owners(), self._documents
        return {key: [owners[key].document, *documents[together.of(documents, key)]] for key in ids & owners.keys()}

    def replaced(self, again: "Families", *, gone: Set[str]) -> "Families":
        """With some of the models as they were read again, and without those that are gone."""
        before = gone | again.owners().keys()
        without = list(chain.from_iterable(self.documents(before).values()))
        owners, revisions = dict(self.owners()), dict(self.revisions())
        for key in before & owners.keys():
            del owners[key], revisions[key]
        owners.update(again.owners())
        revisions.update(again.revisions())
        is_prompt = self._is_prompt

        def documents(every: Sequence[str], new: Sequence[str]) -> Sequence[str]:
            return together.replaced(every, new, before)

        def versions(every: list[Glance]) -> list[Glance]:
            return together.replaced(every, again._versions(), before, told=_DOCUMENT)

        def held(told: Filter, every: Sequence[str] | None) -> Sequence[str] | None:
            return None if every is None else documents(every, traces.holding(again._documents, told))

        now = documents(self._documents, again._documents)
        return Families(
            owners=Later(lambda: owners),
            revisions=Later(lambda: revisions),
            unsettled=again.unsettled,
            documents=now,
            versions=self._versions.changed(versions, lambda: glances.owned(glances.versions(now), owners)),
            prompts=self._prompts.changed(
                lambda every: every - before | again._prompts(), lambda: _prompts(now, is_prompt)
            ),
            held=self._few.changed(held),
            is_prompt=is_prompt,
            size=self.size - size_of(without) + again.size,
            read_at=self.read_at,
        )

    def few(self, condition: Filter) -> list[Glance] | None:
        """The only versions that can match, where they are few and that is sooner told than by `values`; else None."""
        if self._is_told:
            return None
        if not self._possible(condition):
            return []
        told = condition.beyond("name")
        held = self._few.get(told, lambda: self._held(told))
        if not held:
            return None if held is None else []
        left_out = frozenset[str]() if condition.prompts else self._prompts()
        return [of for of in glances.owned(glances.versions(held), self.owners()) if of.model_id not in left_out]

    def _held(self, told: Filter) -> Sequence[str] | None:
        """The only documents for which a filter can hold; None where they may be many."""
        some = self._documents[:_SAMPLE]
        if not traces.leaves(told) or len(traces.holding(some, told)) > len(some) // 10:
            return None
        held = traces.holding(self._documents, told)
        return held if len(held) <= MAX_HELD else None

    def _possible(self, condition: Filter) -> bool:
        """Whether numbers of versions, as the models tell them, may be as a filter says."""
        numbered = condition.on("version_number", (">", ">=", "<", "<="))
        if numbered:
            highest = max((owner.last_version for owner in self.owners().values()), default=1)
            return all(comparison.test(1) or comparison.test(highest) for comparison in numbered)
        return True

    def in_order(self, orders: Sequence[Order], *, prompts: bool) -> Iterable[Glance]:
        """All versions, those of prompts on demand."""

        def ordered() -> Iterable[Glance]:
            left_out = frozenset[str]() if prompts else self._prompts()
            every = [version for version in self._versions() if version.model_id not in left_out]
            return Lazy(ordering.in_order(every, orders, KEYS))

        return self._orders.get((tuple(orders), prompts), ordered)

    def remembered(self) -> int:
        """How many answers are remembered."""
        return len(self._values) + len(self._orders) + len(self._few)

    def values(self, comparison: Comparison) -> set[str | int | None] | None:
        """All values of what a comparison is about; None where some are not here, or where nothing was asked of
        documents so far: the first time it is sooner to read as many as are asked for.
        """
        about_documents = comparison.is_tag or comparison.key not in _IN_KEYS
        if about_documents and (not self._told() or comparison.key in self._large):
            return None
        told = teller(comparison)
        return self._values.get((comparison.key, comparison.is_tag), lambda: set(map(told, self._versions())) - {None})

    def _told(self) -> bool:
        """Whether the documents were read for filters; the second filter has them read."""
        if not self._asked:
            self._asked = True
            return False
        if not self._is_told:
            self._large = {key for version in self._versions() for key in version.told.spilled}
            self._is_told = True
        return True


def families(
    models: Sequence[str], documents: Sequence[str], *, is_prompt: Callable[[str], bool], size: int, at: int
) -> Families:
    """Of documents.

    :param documents: of versions, those of a model together, in the order of models' ids.
    :param is_prompt: says of a version's document whether it is one of a prompt.
    :param size: bytes in memory, about.
    :param at: when the first of them may have been read.
    """

    owners = Later[Mapping[str, Owner]](lambda: glances.owners(models))
    standings = Later(lambda: glances.standings(models))
    return Families(
        owners=owners,
        revisions=Later(lambda: {model.id: str(model.revision) for model in standings()}),
        unsettled=Later(lambda: {model.id for model in standings() if at - model.changed_at < SETTLE_MILLISECONDS}),
        documents=documents,
        versions=Later(lambda: glances.owned(glances.versions(documents), owners())),
        prompts=Later(lambda: _prompts(documents, is_prompt)),
        held=Few(),
        is_prompt=is_prompt,
        size=size,
        read_at=at,
    )


def _prompts(documents: Sequence[str], is_prompt: Callable[[str], bool]) -> Set[str]:
    marked = [document for document in documents if PROMPT_TAG in document]
    return {version.model_id for version in glances.versions([each for each in marked if is_prompt(each)])}


def size_of(documents: Sequence[str]) -> int:
    """Bytes that records take in memory, about."""
    return _OVERHEAD * len(documents) + sum(map(getsizeof, documents))  # four bytes a character, where one is an emoji


def teller(comparison: Comparison) -> Teller:
    """See `Teller`."""
    key = comparison.key
    return (lambda of: of.told.tags.get(key)) if comparison.is_tag else _TOLD[key]
