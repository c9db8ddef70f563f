"""How much work may be inside a process at once: above it, callers are told to slow down."""

from typing import Self

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

    __slots__ = ("body_bytes", "requests", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.requests = 0
        self.body_bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether one more request may come in, whose body declares ``size`` bytes."""
        return self.requests < self.room.requests and self.body_bytes + size <= self.room.body_bytes

    def admitted(self, size: int) -> "Inside":
        """A context in which one more request is inside, whose body declares ``size`` bytes.

        :raises Problem: 429 on entering it.
        """
        return Inside(self, size)


class Inside:
    """One request's share."""

    __slots__ = ("_admission", "_size")

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def __enter__(self) -> Self:
        """Enter, or be refused."""
        inside = self._admission
        if not inside.has_room(self._size):
            raise _busy()
        inside.requests += 1
        inside.body_bytes += self._size
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave."""
        self._admission.requests -= 1
        self._admission.body_bytes -= self._size

    def claim(self, more: int) -> None:
        """The body turns out to hold ``more`` bytes than was counted.

        :raises Problem: 429.
        """
        inside = self._admission
        if inside.body_bytes + more > inside.room.body_bytes:
            raise _busy()
        inside.body_bytes += more
        self._size += more


def _busy() -> Problem:
    return Problem(429, "too_many_requests", "This node has its hands full; slow down.", retry_after=1)
