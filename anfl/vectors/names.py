"""What names stand for: the catalogue, as it was at the last look, unless this node has changed it since."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.marks import Marks
from anfl.vectors.model import Collection

MOST_NAMES = 16_384
"""Names remembered; of more, those looked at longest ago are forgotten."""
_log = logging.getLogger(__name__)


@dataclass
class _Name:
    """``checked_at`` is the moment before the last look, ``mark`` what the name's ``slot`` held then."""

    incarnation: str
    checked_at: float
    slot: int
    mark: int
    refreshing: bool = False


class Names:
    """Safe for threads."""

    def __init__(
        self,
        catalogue: Catalogue,
        clock: Clock,
        background: Executor,
        *,
        marks: Marks,
        gone: Callable[[str], object],
    ) -> None:
        """:param marks: what the processes of this node tell each other.

        :param gone: told of an incarnation that no name stands for any more.
        """
        self._catalogue = catalogue
        self._clock = clock
        self._background = background
        self._marks = marks
        self._gone = gone
        self._names: dict[tuple[str, str], _Name] = {}
        """By tenant and name, the one looked at last at the end."""
        self._collections: dict[str, tuple[Collection, float]] = {}
        """By incarnation, as they were found by the latest look, whatever name that was for."""
        self._lock = threading.Lock()

    def find(self, tenant: str, name: str, moment: float) -> Collection:
        """The collection that ``name`` stood for after ``moment``, and after whatever this node did to it.

        :raises Problem: 404 ``collection_not_found``; 503 ``catalogue_unavailable``.
        """
        key = (tenant, name)
        with self._lock:
            known = self._known(key, moment)
        if known is not None:
            return known
        slot = self._marks.slot(tenant, name)
        mark, now = self._marks.at(slot), self._clock.monotonic()
        try:
            found = self._catalogue.get(tenant, name)
        except Problem as problem:
            if problem.code == "collection_not_found":
                self._lose(key, now)
            raise
        return self._enter(key, found, _Name(found.incarnation, now, slot, mark))

    def peek(self, tenant: str, name: str) -> tuple[Collection, float] | None:
        """What is known of a name, and the age of the last look. Blocks on nothing."""
        known = self._names.get((tenant, name))
        found = None if known is None else self._collections.get(known.incarnation)
        if known is None or found is None or self._has_changed(known):
            return None
        return found[0], self._clock.monotonic() - known.checked_at

    def refresh_soon(self, tenant: str, name: str) -> None:
        """Look at a name in the background, so that nobody who reads waits for it."""
        known = self._names.get((tenant, name))
        if known is None or known.refreshing:
            return
        known.refreshing = True

        def refresh() -> None:
            try:
                self.find(tenant, name, self._clock.monotonic())
            except Problem as problem:
                _log.info("a look into the catalogue failed", extra={"collection": name, "reason": str(problem)})
            finally:
                known.refreshing = False

        self._background.submit(refresh)

    @contextmanager
    def changing(self, tenant: str, name: str) -> Iterator[None]:
        """Around what changes a name in the catalogue: however that ends, this node looks before its next use."""
        try:
            yield
        finally:
            self._marks.change(tenant, name)

    def forget(self, collection: Collection) -> None:
        """It is deleted."""
        with self._lock:
            for key in [key for key, name in self._names.items() if name.incarnation == collection.incarnation]:
                del self._names[key]
            self._collections.pop(collection.incarnation, None)

    def learn(self, collection: Collection) -> None:
        """It has been looked at, by whatever way."""
        now = self._clock.monotonic()
        with self._lock:
            if collection.incarnation in self._collections:
                self._collections[collection.incarnation] = (collection, now)

    def _known(self, key: tuple[str, str], moment: float) -> Collection | None:
        name = self._names.get(key)
        if name is None or name.checked_at <= moment or self._has_changed(name):
            return None
        return self._collections[name.incarnation][0]

    def _has_changed(self, name: _Name) -> bool:
        """Whether a process of this node has changed it since the last look."""
        return self._marks.at(name.slot) != name.mark

    def _enter(self, key: tuple[str, str], found: Collection, name: _Name) -> Collection:
        """Take over what a look has found, unless a later one was faster; returns what is known then."""
        incarnation, looked = name.incarnation, name.checked_at
        with self._lock:
            if (later := self._known(key, looked)) is not None:
                return later
            before = self._names.pop(key, None)
            self._names[key] = name
            held = self._collections.get(incarnation)
            if held is None or held[1] <= looked:
                self._collections[incarnation] = (found, looked)
            known = self._collections[incarnation][0]
            if len(self._names) > MOST_NAMES:
                self._forget_some()
        if before is not None:
            self._drop_unnamed(before.incarnation)
        return known

    def _lose(self, key: tuple[str, str], looked: float) -> None:
        """A look has found nothing."""
        with self._lock:
            if self._known(key, looked) is not None:
                return
            before = self._names.pop(key, None)
        if before is not None:
            self._drop_unnamed(before.incarnation)

    def _drop_unnamed(self, incarnation: str) -> None:
        with self._lock:
            if any(name.incarnation == incarnation for name in self._names.values()):
                return
            self._collections.pop(incarnation, None)
        self._gone(incarnation)

    def _forget_some(self) -> None:
        for key in list(self._names)[: MOST_NAMES // 4]:
            del self._names[key]
        named = {name.incarnation for name in self._names.values()}
        self._collections = {each: held for each, held in self._collections.items() if each in named}
