"""What an inspection may cost."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from anfl.inspection.codes import Code, Finding

MIB = 1024**2
GIB = 1024**3


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one inspection. Sizes in bytes."""

    file_bytes: int = 3 * GIB
    """One file: it must fit the function's 4 GB of ephemeral storage beside what is unpacked from it."""
    total_bytes: int = 50 * GIB
    files: int = 2000
    entries: int = 20_000
    """Members of a file's archives together."""
    expanded_bytes: int = 8 * GIB
    """Read from a file's archives and compressed streams altogether."""
    unpacked_bytes: int = 512 * MIB
    """Unpacked at one time, because it can only be looked at in a file of its own."""
    ratio: int = 200
    """Expanded to compressed size, of what expands to more than `ratio_from`: arrays of zeros shrink a thousandfold."""
    ratio_from: int = 256 * MIB
    depth: int = 3
    """Archives within archives."""
    document_bytes: int = 16 * MIB
    """A YAML file; and a JSON file that is asked for more than whether it is JSON."""
    run_bytes: int = 128 * MIB
    """An ONNX model that is run once on zeros; 0: none is."""
    run_seconds: float = 30.0
    seconds: float = 480.0
    memory_bytes: int = 1 * GIB
    """Address space of the process that looks at a file, beyond the interpreter and the file itself (it is mapped)."""


class Budget:
    """What is left of the limits for one file."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._deadline = clock() + limits.seconds
        self._entries = 0
        self._expanded = 0
        self._unpacked = 0

    def tick(self) -> None:
        """:raises Finding: the time is over."""
        if self._clock() > self._deadline:
            raise Finding(Code.TIME_LIMIT, f"not inspected within {self.limits.seconds:.0f} s")

    def entry(self) -> None:
        """Count one member of an archive.

        :raises Finding: there are too many.
        """
        self.tick()
        self._entries += 1
        if self._entries > self.limits.entries:
            raise Finding(Code.ARCHIVE_BOMB, f"more than {self.limits.entries} members in archives")

    def expand(self, size: int, *, total: int, compressed: int) -> None:
        """Count ``size`` bytes more, ``total`` so far, read from ``compressed`` bytes.

        :raises Finding: that is a decompression bomb.
        """
        self.tick()
        self._expanded += size
        if self._expanded > self.limits.expanded_bytes:
            raise Finding(Code.ARCHIVE_BOMB, f"archives expand to more than {self.limits.expanded_bytes} bytes")
        if total > self.limits.ratio_from and total > self.limits.ratio * max(1, compressed):
            raise Finding(Code.ARCHIVE_BOMB, f"expands to more than {self.limits.ratio} times its size")

    @contextmanager
    def scratch(self) -> Iterator[Callable[[int], None]]:
        """Account for a file that is unpacked: call what is yielded with the size of each piece before it is written.

        :raises Finding: all such files together are too large.
        """
        written = 0

        def write(size: int) -> None:
            nonlocal written
            if self._unpacked + size > self.limits.unpacked_bytes:
                raise Finding(Code.TOO_LARGE, f"more than {self.limits.unpacked_bytes} bytes when unpacked")
            written += size
            self._unpacked += size

        try:
            yield write
        finally:
            self._unpacked -= written
