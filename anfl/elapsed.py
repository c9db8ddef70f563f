"""Seconds that pass, also while nobody is there to count them: for what may not be used when it is older than so many,
or may be again.

Lambda freezes a function's process between two calls, and the clocks that never go back stand still with it: what was a
moment old then is so an hour later. The wall's clock goes on, and may be set back. So there this one goes on with
whichever of the two is ahead. A process that runs on, as a service's does, has looked again soon enough, whatever it
slept, and need not ask twice what time it is.
"""

import os
import threading
import time
from collections.abc import Callable

IS_FROZEN = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
"""Whether this process is, now and then."""


class Elapsed:
    """Such a clock. It never goes back. Safe for threads."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] | None = time.time if IS_FROZEN else None,
    ) -> None:
        """:param wall: None where it is not needed."""
        self.monotonic = monotonic
        self.wall = wall
        self._ahead = float("-inf")
        """The most by which the wall's was before the other one."""
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since nobody knows when."""
        counted = self.monotonic()
        if self.wall is None:
            return counted
        ahead = self.wall() - counted
        if ahead > self._ahead:
            with self._lock:
                self._ahead = max(self._ahead, ahead)
        return counted + self._ahead


seconds = Elapsed()
"""This process's."""
