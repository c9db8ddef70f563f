"""How much work may be inside a process at once: above it, callers are told to slow down."""

from math import ceil
from typing import Self

import msgspec

from anfl.problems import Problem

TENANT_SHARE = 0.75
"""Of the room, for the requests of one tenant: whatever it sends, there is some for others'."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What there is room for."""

    requests: int
    """Requests inside, those that wait for a thread included."""
    body_bytes: int
    """Bytes of their bodies, as declared, or else as they come, and as they turn out to be once decompressed."""


class _Taken:
    """What requests take of a room."""

    __slots__ = ("body_bytes", "requests", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.requests = 0
        self.body_bytes = 0

    def fits(self, size: int) -> bool:
        """Whether one more request does, of a body of so many bytes."""
        return self.requests < self.room.requests and self.body_bytes + size <= self.room.body_bytes


class Admission:
    """Counts what is inside. Used by one event loop.

    A tenant of which nothing is inside may always bring one request that the whole room has room for.
    """

    __slots__ = ("_all", "_of_tenants", "_room_of_tenant")

    def __init__(self, room: Room) -> None:
        self._all = _Taken(room)
        self._room_of_tenant = Room(
            requests=ceil(room.requests * TENANT_SHARE), body_bytes=ceil(room.body_bytes * TENANT_SHARE)
        )
        self._of_tenants: dict[str, _Taken] = {}

    def has_room(self, tenant: str, size: int) -> bool:
        """Whether one more request of a tenant may come in, whose body declares ``size`` bytes."""
        of_tenant = self._of_tenants.get(tenant)
        return self._all.fits(size) and (of_tenant is None or of_tenant.fits(size))

    def admitted(self, tenant: str, size: int) -> "Inside":
        """A context in which one more request of a tenant is inside, whose body declares ``size`` bytes.

        :raises Problem: 429 on entering it.
        """
        return Inside(self, tenant, size)

    def enter(self, tenant: str, size: int) -> None:
        """:raises Problem: 429."""
        if not self.has_room(tenant, size):
            raise _busy()
        of_tenant = self._of_tenants.get(tenant)
        if of_tenant is None:
            of_tenant = self._of_tenants[tenant] = _Taken(self._room_of_tenant)
        for taken in (self._all, of_tenant):
            taken.requests += 1
            taken.body_bytes += size

    def grow(self, tenant: str, more: int) -> None:
        """:raises Problem: 429."""
        of_tenant = self._of_tenants[tenant]
        is_alone = of_tenant.requests == 1
        for taken in (self._all,) if is_alone else (self._all, of_tenant):
            if taken.body_bytes + more > taken.room.body_bytes:
                raise _busy()
        for taken in (self._all, of_tenant):
            taken.body_bytes += more

    def leave(self, tenant: str, size: int) -> None:
        """What came in with ``size`` bytes, or has grown to so many."""
        of_tenant = self._of_tenants[tenant]
        for taken in (self._all, of_tenant):
            taken.requests -= 1
            taken.body_bytes -= size
        if not of_tenant.requests:
            del self._of_tenants[tenant]


class Inside:
    """One request's share."""

    __slots__ = ("_admission", "_size", "_tenant")

    def __init__(self, admission: Admission, tenant: str, size: int) -> None:
        self._admission = admission
        self._tenant = tenant
        self._size = size

    def __enter__(self) -> Self:
        """Enter, or be refused."""
        self._admission.enter(self._tenant, self._size)
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave."""
        self._admission.leave(self._tenant, self._size)

    def claim(self, more: int) -> None:
        """The body turns out to hold ``more`` bytes than was counted.

        :raises Problem: 429.
        """
        self._admission.grow(self._tenant, more)
        self._size += more


def _busy() -> Problem:
    return Problem(429, "too_many_requests", "This node has its hands full; slow down.", retry_after=1)
