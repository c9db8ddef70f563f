"""Data keys in this process's memory, for a while; wrapped, each stands at a place of its own."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from anfl import elapsed
from anfl.crypto.transit import Transit
from anfl.crypto.trouble import TamperedError
from anfl.problems import Problem

KEPT_KEYS = 4096
"""Most keys in memory; those used last are kept."""
KEPT_SECONDS = 3600.0
"""How long a key stays there that Vault has not opened again."""
RENEWED_SECONDS = KEPT_SECONDS / 2
"""At this age it is opened again. So an outage of Vault of up to half an hour goes unnoticed by what is in use."""
RETRY_SECONDS = 5.0
"""How long what failed is not tried again where there is something to go on with."""
_log = logging.getLogger(__name__)
Load = Callable[[], bytes]


class WrappedKeys(Protocol):
    """Where wrapped keys stand. A place says whose key it is, and is its context."""

    def read(self, place: str, unwrap: Callable[[str], bytes], *, expected: bool) -> bytes | None:
        """What ``unwrap`` makes of the key at ``place``; None where there is none, nor a copy of one.

        :param expected: whether there has to be one, as something is sealed under it.

        :raises TamperedError: it is damaged, and so is every copy.
        :raises Problem: 503, the store does not answer.
        """

    def put_if_absent(self, place: str, wrapped: str) -> bool:
        """Write a new key; False where somebody else was faster.

        :raises Problem: 503, it is not known whether it was written.
        """


@dataclass
class _Entry:
    key: bytes
    opened_at: float
    tried_at: float


class DataKeys:
    """Safe for threads: whoever wants the same key waits for the one who brings it."""

    def __init__(
        self,
        transit: Transit,
        wrapped: WrappedKeys,
        *,
        monotonic: Callable[[], float] = elapsed.seconds,
        most: int = KEPT_KEYS,
    ) -> None:
        self._transit = transit
        self._wrapped = wrapped
        self._monotonic = monotonic
        self._most = most
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, threading.Lock] = {}
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def to_seal(self, place: str) -> bytes:
        """The key at ``place``, which is made where there is none.

        :raises TamperedError: there is one, and it is damaged.
        :raises Problem: 503.
        """
        return self._get(place, lambda: self._opened(place, expected=False) or self._made(place))

    def to_seal_meanwhile(self, place: str, earlier: str) -> tuple[str, bytes]:
        """The key at ``place`` as `to_seal` has it; while that cannot be had, the one at ``earlier`` as long as it is
        in memory, which no use of it prolongs. With the place that it stands at.

        :raises TamperedError, Problem: as `to_seal`; the second where the earlier one is not in memory either.
        """
        if self._has_failed_lately(place) and (held := self._held(earlier)) is not None:
            return earlier, held
        try:
            return place, self.to_seal(place)
        except Problem as problem:
            held = self._held(earlier)
            if held is None:
                raise
            with self._lock:
                self._failed_at[place] = self._monotonic()
            _log.warning("sealed by an earlier key", extra={"place": place, "reason": str(problem)})
            return earlier, held

    def to_open(self, place: str) -> bytes:
        """The key at ``place``.

        :raises TamperedError: it is damaged, or missing.
        :raises Problem: 503.
        """
        return self._get(place, lambda: self._found(place))

    def _held(self, place: str) -> bytes | None:
        """The key at ``place`` if it is in memory."""
        with self._lock:
            entry = self._usable(place)
        return None if entry is None else entry.key

    def _has_failed_lately(self, place: str) -> bool:
        """Whether `to_seal_meanwhile` had to do without the key at ``place`` a moment ago."""
        if not self._failed_at:
            return False
        with self._lock:
            edge = self._monotonic() - RETRY_SECONDS
            self._failed_at = {other: at for other, at in self._failed_at.items() if at > edge}
            return place in self._failed_at

    def _opened(self, place: str, *, expected: bool) -> bytes | None:
        return self._wrapped.read(place, lambda wrapped: self._transit.unwrap(wrapped, place), expected=expected)

    def _found(self, place: str) -> bytes:
        key = self._opened(place, expected=True)
        if key is None:
            raise TamperedError(f"{place} is missing")
        return key

    def _made(self, place: str) -> bytes:
        made = self._transit.generate(place)
        if self._wrapped.put_if_absent(place, made.wrapped):
            return made.plaintext
        return self._found(place)

    def _get(self, place: str, load: Load) -> bytes:
        while True:
            with self._lock:
                entry = self._usable(place)
                if entry is not None and not self._is_due(entry):
                    return entry.key
                flight = self._flights.setdefault(place, threading.Lock())
            if entry is None:
                flight.acquire()
            elif not flight.acquire(blocking=False):  # somebody is renewing it
                return entry.key
            try:
                if self._flights.get(place) is not flight:  # it has landed meanwhile
                    continue
                return self._load(place, load) if entry is None else self._renewed(place, entry)
            finally:
                with self._lock:
                    if self._flights.get(place) is flight:
                        del self._flights[place]
                flight.release()

    def _renewed(self, place: str, entry: _Entry) -> bytes:
        """The key, opened again if that can be: never a new one, for something is sealed under this."""
        try:
            return self._load(place, lambda: self._found(place))
        except (Problem, TamperedError) as error:
            entry.tried_at = self._monotonic()
            _log.warning("a data key could not be opened again", extra={"place": place, "reason": str(error)})
            return entry.key

    def _load(self, place: str, load: Load) -> bytes:
        started = self._monotonic()
        key = load()
        with self._lock:
            self._entries[place] = _Entry(key, started, started)
            self._entries.move_to_end(place)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return key

    def _usable(self, place: str) -> _Entry | None:
        entry = self._entries.get(place)
        if entry is None:
            return None
        if self._monotonic() - entry.opened_at >= KEPT_SECONDS:
            del self._entries[place]
            return None
        self._entries.move_to_end(place)
        return entry

    def _is_due(self, entry: _Entry) -> bool:
        now = self._monotonic()
        return now - entry.opened_at >= RENEWED_SECONDS and now - entry.tried_at >= RETRY_SECONDS
