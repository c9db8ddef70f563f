"""Time as the store sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anfl.elapsed import Elapsed


def _uptime() -> float:
    """Seconds that pass while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


elapsed = Elapsed(monotonic=_uptime)
"""And while this process is frozen: what was looked at before is not a moment old then."""


@dataclass(frozen=True)
class Clock:
    """Time, replaceable by a simulated one."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = field(default=elapsed)
    sleep: Callable[[float], None] = time.sleep
