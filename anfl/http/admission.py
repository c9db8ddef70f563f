"""How much work may be inside a process at once: above it, callers are told to slow down."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from anfl.problems import Problem


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What there is room for."""

    requests: int
    """Requests inside, those that wait for a thread included."""
    body_bytes: int
    """Bytes of their bodies, as declared and as they turn out to be once decompressed."""


class Admission:
    """Counts what is inside. Used by one event loop."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._requests = 0
        self._bytes = 0

    @contextmanager
    def admitted(self, size: int) -> Iterator[Callable[[int], None]]:
        """One more request is inside, whose body declares ``size`` bytes; what is yielded counts further ones.

        :raises Problem: 429, also from what is yielded.
        """
        if self._requests >= self._room.requests:
            raise _busy()
        counted = 0

        def claim(more: int) -> None:
            nonlocal counted
            if self._bytes + more > self._room.body_bytes:
                raise _busy()
            self._bytes += more
            counted += more

        claim(size)
        self._requests += 1
        try:
            yield claim
        finally:
            self._requests -= 1
            self._bytes -= counted


def _busy() -> Problem:
    return Problem(429, "too_many_requests", "This node has its hands full; slow down.", retry_after=1)
