"""What keeps an outage of Vault from being waited for by everybody."""

import threading
import time
from collections.abc import Callable

from anfl import elapsed

OPEN_SECONDS = 1.0
"""After an outage nobody asks for so long; then one does, and the others once it was answered."""
_LEAST_SECONDS = 0.05


class Deadline:
    """The end of a call, from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = time.monotonic()

    def passed(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._started

    def shorten(self, timeout: tuple[float, float]) -> tuple[float, float]:
        """``timeout`` (to connect, to read), such that both together do not outlast the call."""
        left = max(_LEAST_SECONDS, self._seconds - self.passed())
        connect, read = timeout
        connect = min(connect, left)
        return connect, min(read, max(_LEAST_SECONDS, left - connect))


class Breaker:
    """A circuit breaker. Safe for threads."""

    def __init__(self, *, clock: Callable[[], float] = elapsed.seconds) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._silent_until: float | None = None
        """None: closed, everybody may ask."""

    def lets_pass(self) -> bool:
        """Whether one may ask now. While it is open, one in `OPEN_SECONDS` may: who finds out for the others."""
        with self._lock:
            if self._silent_until is None:
                return True
            now = self._clock()
            if now < self._silent_until:
                return False
            self._silent_until = now + OPEN_SECONDS
            return True

    def answered(self) -> None:
        """There is an answer, whatever it says."""
        with self._lock:
            self._silent_until = None

    def failed(self) -> None:
        """There is none."""
        with self._lock:
            self._silent_until = self._clock() + OPEN_SECONDS
