"""Time as the store sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


def _uptime() -> float:
    """Seconds that pass while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Clock:
    """Time, replaceable by a simulated one."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = field(default=_uptime)
    sleep: Callable[[float], None] = time.sleep
