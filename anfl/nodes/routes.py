"""Where a collection's requests are best answered. Whatever comes out, every node could answer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from anfl.nodes.rendezvous import OWNERS, owners
from anfl.nodes.shared import Members

KNOWN_SECONDS = 30.0
"""How long it is not asked anew which collection a name stands for. An alias that moves takes so long to move load."""
MOST_KNOWN = 2**16
"""Names remembered."""


@dataclass(frozen=True, slots=True)
class Route:
    """Of one collection."""

    here: bool
    """Whether this node owns it."""
    others: tuple[str, ...]
    """The other owners, the first one first."""


HERE = Route(here=True, others=())
"""Where this node is on its own, or nothing is known."""


ANYWHERE = ""
"""Of a collection that no node has in memory."""


class Locator(Protocol):
    """Knows which collection a tenant's name stands for, by something that does not change with its names; or that it
    is `ANYWHERE`."""

    def known(self, tenant: str, name: str) -> str | None:
        """The collection, if this process has it in memory. Blocks on nothing."""

    def find(self, tenant: str, name: str) -> str | None:
        """The collection; None where there is none, or it cannot be found out. May block."""


@dataclass(frozen=True, slots=True)
class _Known:
    version: int
    until: float
    route: Route


class Routes:
    """Of one event loop."""

    def __init__(
        self, members: Callable[[], Members], locator: Locator, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._members = members
        self._locator = locator
        self._now = now
        self._known: dict[tuple[str, str], _Known] = {}
        self._few = _Known(-1, 0.0, HERE)
        """Where there are so few nodes that each owns everything."""

    def of(self, tenant: str, name: str) -> Route | None:
        """The route, if it is known without asking anybody. Called for every request."""
        members = self._members()
        if len(members.present) <= OWNERS and members.own in members.present:
            return self._for_few(members)
        if not members.own:
            return HERE
        known = self._known.get((tenant, name))
        if known is None or known.version != members.version or known.until < self._now():
            return None
        return known.route

    async def find(self, tenant: str, name: str) -> Route:
        """The route, found out."""
        members = self._members()
        key = self._locator.known(tenant, name)
        if key is None:
            key = await asyncio.to_thread(self._locator.find, tenant, name)
        if key is None:
            return HERE
        route = HERE if key == ANYWHERE else _route(members, owners(key, members.present))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[tenant, name] = _Known(members.version, self._now() + KNOWN_SECONDS, route)
        return route

    def key_of(self, address: str) -> str:
        """See `Members.key_of`."""
        return self._members().key_of(address)

    def _for_few(self, members: Members) -> Route:
        if self._few.version != members.version:
            self._few = _Known(members.version, 0.0, _route(members, members.present))
        return self._few.route


def _route(members: Members, owning: tuple[str, ...]) -> Route:
    return Route(here=members.own in owning, others=tuple(each for each in owning if each != members.own))
