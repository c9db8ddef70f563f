"""What an inspection may cost."""

import time
from collections.abc import Callable

import msgspec

from anfl.inspection.report import quarantine, reject

MIB = 1024**2
GIB = 1024**3


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one inspection. Sizes in bytes."""

    file_bytes: int = 3 * GIB
    """One file: it must fit the function's 4 GB of ephemeral storage beside what is unpacked from it."""
    total_bytes: int = 50 * GIB
    files: int = 2000
    entries: int = 20_000
    """Members of all archives together."""
    expanded_bytes: int = 8 * GIB
    """Read from archives and compressed files altogether."""
    unpacked_bytes: int = 512 * MIB
    """One member that must be unpacked to be looked at (an archive within an archive)."""
    ratio: int = 200
    """Expanded to compressed size, of what expands to more than 256 MiB: arrays of zeros shrink a thousandfold too."""
    depth: int = 3
    """Archives within archives."""
    seconds: float = 480.0
    """Of the function's 600."""


class Budget:
    """What is left of an inspection's limits."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._deadline = clock() + limits.seconds
        self._entries = 0
        self._expanded = 0

    def tick(self) -> None:
        """:raises Finding: the time is over."""
        if self._clock() > self._deadline:
            raise quarantine("time_limit", f"not inspected within {self.limits.seconds:.0f} s")

    def entry(self) -> None:
        """Count one member of an archive.

        :raises Finding: there are too many.
        """
        self.tick()
        self._entries += 1
        if self._entries > self.limits.entries:
            raise reject("archive_bomb", f"more than {self.limits.entries} members in archives")

    def expand(self, size: int, *, total: int, compressed: int) -> None:
        """Count ``size`` bytes more, ``total`` so far, read from ``compressed`` bytes.

        :raises Finding: that is a decompression bomb.
        """
        self.tick()
        self._expanded += size
        if self._expanded > self.limits.expanded_bytes:
            raise reject("archive_bomb", f"archives expand to more than {self.limits.expanded_bytes} bytes")
        if total > 256 * MIB and total > self.limits.ratio * max(1, compressed):
            raise reject("archive_bomb", f"expands to more than {self.limits.ratio} times its size")
