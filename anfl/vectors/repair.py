"""Damaged objects are put right from what is left of them: an earlier version, or another region's copy."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from anfl.object_copies import copies_of
from anfl.vectors.elsewhere import Elsewhere, Nowhere
from anfl.vectors.events import Events, NoEvents
from anfl.vectors.objects import ObjectStore

ARRIVAL_SECONDS = 900
"""Within which S3 copies objects to other regions."""
ASK_SECONDS = 60.0
"""Between two times that other regions are asked for the same object."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Repairs:
    """Those of one store's objects. Safe for threads."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        elsewhere: Elsewhere | None = None,
        events: Events | None = None,
        patience: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param elsewhere: other regions' copies of the same objects; None: there are none.

        :param patience: seconds after which what is not whole is lost; until then it, or its key, may have yet to come.
        """
        self._objects = objects
        self._elsewhere: Elsewhere = elsewhere or Nowhere()
        self._events: Events = events or NoEvents()
        self._patience = patience
        self._monotonic = monotonic
        self._missed: dict[str, float] = {}
        """When each was not whole for the first time."""
        self._asked: dict[str, float] = {}
        """When others were asked for each the last time."""
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
        """What ``opened`` makes of a whole copy, which is put in the place of ``key``; None where there is none yet.

        Other regions are asked for theirs, which may be here when it is tried again.

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
            self._miss(key, arrives=ARRIVAL_SECONDS if may_come else 0.0)
        return None

    def _miss(self, key: str, *, arrives: float) -> None:
        """:param arrives: seconds within which it may come by itself."""
        now = self._monotonic()
        waited = now - self._missed.setdefault(key, now)
        if waited >= arrives and now - self._asked.get(key, -ASK_SECONDS) >= ASK_SECONDS:
            self._asked[key] = now
            self._elsewhere.ask(key)
        if waited < max(self._patience, arrives + self._elsewhere.seconds):
            _log.info("an object is not whole here yet", extra={"key": key})
            return
        self._lost.add(key)
        _log.error("an object is lost: no copy of it is whole", extra={"key": key})
        self._events.damaged(repaired=False)

    def _copies(self, key: str, *, newest_first: bool) -> Iterator[bytes]:
        versions = self._objects.versions(key)
        yield from reversed(list(versions)) if newest_first else versions
        if not self._elsewhere.seconds:
            return
        brought = [entry.key for entry in self._objects.list(copies_of(key))]
        for copy in reversed(brought) if newest_first else brought:
            data = self._objects.get(copy)
            if data is not None:
                yield data
