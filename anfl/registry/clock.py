"""The registry's clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Milliseconds since the epoch."""


def now() -> int:
    """The clock of a running process."""
    return time.time_ns() // 1_000_000
