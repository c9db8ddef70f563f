"""Damaged objects are put right from what is left of them: an earlier version, or another region's copy."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from anfl.vectors.events import Events, NoEvents
from anfl.vectors.objects import ObjectStore

ARRIVAL_SECONDS = 900
"""Within which S3 copies objects to other regions."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Repairs:
    """Those of one store's objects. Safe for threads."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        replicas: Sequence[ObjectStore] = (),
        events: Events | None = None,
        patience: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param replicas: other regions' copies of the same objects.

        :param patience: seconds after which what is not whole is lost; until then it, or its key, may have yet to come.
        """
        self._objects = objects
        self._replicas = replicas
        self._events: Events = events or NoEvents()
        self._patience = patience
        self._monotonic = monotonic
        self._missed: dict[str, float] = {}
        """When each was not whole for the first time."""
        self._lost: set[str] = set()

    def repair(
        self,
        key: str,
        opened: Callable[[bytes], T | None],
        *,
        expected: bool = True,
        newest_first: bool = False,
        may_come: bool = False,
    ) -> T | None:
        """What ``opened`` makes of a whole copy, which is put in the place of ``key``; None where there is none.

        :param opened: returns None for a copy that is damaged, too.
        :param expected: whether it is a loss where there is none.
        :param newest_first: of an object that is replaced now and then; else the oldest version, as it was made.
        :param may_come: whether it is absent here, and another region may have made it.
        :raises StoreUnavailableError: a store does not answer.
        """
        for data in self._copies(key, newest_first=newest_first):
            found = opened(data)
            if found is not None:
                self._objects.put(key, data)
                _log.warning("a damaged object was put right from a copy", extra={"key": key})
                self._events.damaged(repaired=True)
                return found
        if expected and key not in self._lost:  # whoever needs it asks again and again
            self._miss(key, max(self._patience, ARRIVAL_SECONDS) if may_come else self._patience)
        return None

    def _miss(self, key: str, patience: float) -> None:
        now = self._monotonic()
        if now - self._missed.setdefault(key, now) < patience:
            _log.info("an object is not whole here yet", extra={"key": key})
            return
        self._lost.add(key)
        _log.error("an object is lost: no copy of it is whole", extra={"key": key})
        self._events.damaged(repaired=False)

    def _copies(self, key: str, *, newest_first: bool) -> Iterator[bytes]:
        versions = self._objects.versions(key)
        yield from reversed(list(versions)) if newest_first else versions
        for replica in self._replicas:
            data = replica.get(key)
            if data is not None:
                yield data
