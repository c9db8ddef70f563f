"""Objects that are not whole, as one process knows them: since when, and what was done about each."""

import threading
from dataclasses import dataclass
from typing import NamedTuple

ASK_SECONDS = 60.0
"""Between two times that other regions are asked for the same object."""
FORGOTTEN_SECONDS = 24 * 3600.0
"""What nobody has found damaged for so long is whole again, or gone; if not, it is found anew."""
_MANY = 1_000


class Due(NamedTuple):
    """What there is to do about an object that is not whole."""

    ask: bool
    """Other regions have to be asked for it."""
    tell: bool
    """It is lost, and nobody has been told yet."""


@dataclass
class _Miss:
    first: float
    last: float
    asked: float = float("-inf")
    lost: bool = False


class Missing:
    """Outlives those who miss something: a collection that cannot be loaded is begun again with each request. Safe for
    threads."""

    def __init__(self) -> None:
        self._misses: dict[str, _Miss] = {}
        self._lock = threading.Lock()

    def note(self, key: str, *, now: float, ask_after: float, lost_after: float) -> Due:
        """The object is not whole.

        :param now: monotonic seconds, as the others, which count from when it was first so.
        """
        with self._lock:
            miss = self._misses.get(key)
            if miss is None or now - miss.last > FORGOTTEN_SECONDS:
                self._forget_some(now)
                miss = self._misses[key] = _Miss(now, now)
            miss.last = now
            if miss.lost:
                return Due(ask=False, tell=False)
            waited = now - miss.first
            ask = waited >= ask_after and now - miss.asked >= ASK_SECONDS
            if ask:
                miss.asked = now
            miss.lost = waited >= lost_after
            return Due(ask=ask, tell=miss.lost)

    def found(self, key: str) -> None:
        """It is whole again."""
        with self._lock:
            self._misses.pop(key, None)

    def _forget_some(self, now: float) -> None:
        if len(self._misses) >= _MANY:
            edge = now - FORGOTTEN_SECONDS
            self._misses = {key: miss for key, miss in self._misses.items() if miss.last >= edge}
