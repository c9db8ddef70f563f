"""Damaged objects are put right from what is left of them: an earlier version, or another region's copy."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from anfl.object_copies import copies_of
from anfl.vectors.elsewhere import Elsewhere, Nowhere
from anfl.vectors.events import Events, NoEvents
from anfl.vectors.missing import ASK_SECONDS, Missing
from anfl.vectors.objects import AlreadyExistsError, ChangedError, ObjectStore

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
        elsewhere: Elsewhere | None = None,
        events: Events | None = None,
        missing: Missing | None = None,
        patience: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param elsewhere: other regions' copies of the same objects; None: there are none.

        :param missing: what the process knows already.
        :param patience: seconds after which what is not whole is lost; until then it, or its key, may have yet to come.
        """
        self._objects = objects
        self._elsewhere: Elsewhere = elsewhere or Nowhere()
        self._events: Events = events or NoEvents()
        self._missing = missing or Missing()
        self._patience = patience
        self._monotonic = monotonic

    def repair(
        self,
        key: str,
        opened: Callable[[bytes], T | None],
        *,
        absent: bool = False,
        expected: bool = True,
        newest_first: bool = False,
    ) -> T | None:
        """What ``opened`` makes of a whole copy, which is put in the place of ``key``; None where there is none yet.

        Other regions are asked for theirs, which may be here when it is tried again. What others have put right, put
        anew or removed meanwhile stays as they left it.

        :param opened: returns None for a copy that is damaged, too.
        :param absent: nothing is there, which may come by itself where another region has made it.
        :param expected: whether it is a loss where there is none.
        :param newest_first: of an object that is replaced now and then; else the oldest version, as it was made.
        :raises StoreUnavailableError: a store does not answer.
        """
        standing = self._objects.get_tagged(key)
        if standing is None and not absent:
            return None
        found = None if standing is None else opened(standing[0])
        if found is None:
            found = self._from_copy(key, opened, None if standing is None else standing[1], newest_first=newest_first)
        if found is not None:
            self._missing.found(key)
        elif expected:
            self._miss(key, absent=absent)
        return found

    def _from_copy(
        self, key: str, opened: Callable[[bytes], T | None], tag: str | None, *, newest_first: bool
    ) -> T | None:
        """:param tag: of what is in its place; None: nothing is."""
        for data in self._copies(key, newest_first=newest_first):
            found = opened(data)
            if found is None:
                continue
            try:
                if tag is None:
                    self._objects.put_if_absent(key, data)
                else:
                    self._objects.put_if_same(key, data, tag)
            except (AlreadyExistsError, ChangedError):
                return found
            _log.warning("a damaged object was put right from a copy", extra={"key": key})
            self._events.damaged(repaired=True)
            return found
        return None

    def _miss(self, key: str, *, absent: bool) -> None:
        # Elsewhere than at home, what cannot be opened mostly waits for its key, which comes within seconds.
        arrives = ARRIVAL_SECONDS if absent else min(self._patience, ASK_SECONDS)
        due = self._missing.note(
            key,
            now=self._monotonic(),
            ask_after=arrives,
            lost_after=max(self._patience, arrives + self._elsewhere.seconds),
        )
        if due.ask:
            self._elsewhere.ask(key)
        if not due.tell:
            _log.info("an object is not whole here yet", extra={"key": key})
            return
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
