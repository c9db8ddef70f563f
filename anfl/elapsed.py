"""Seconds that pass, also while nobody is there to count them: for what may not be used when it is older than so many.

Lambda freezes a function's process between two calls, and the clocks that never go back stand still with it. The wall's
goes on, and may be set back. So this one goes on with whichever of the two is ahead.
"""

import threading
import time
from collections.abc import Callable


class Elapsed:
    """Such a clock. It never goes back. Safe for threads."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self._ahead = float("-inf")
        """The most by which the wall's was before the other one."""
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since nobody knows when."""
        counted = self.monotonic()
        ahead = self.wall() - counted
        if ahead > self._ahead:
            with self._lock:
                self._ahead = max(self._ahead, ahead)
        return counted + self._ahead


seconds = Elapsed()
"""This process's."""
