"""Sends a request on to a node that has its collection in memory; where none answers, it is carried out here.

A request that came from another node goes no further, so nothing loops.
"""

import itertools
from typing import Protocol

from anfl.auth.principal import Principal
from anfl.http.admission import Admission
from anfl.http.answers import Response
from anfl.http.requests import Request
from anfl.http.service import Handler
from anfl.nodes.routes import Route, Routes
from anfl.nodes.sending import HOP, LOADING, WRITE_SECONDS, Repeatable, Sender
from anfl.problems import Problem

READ_SECONDS = 10.0
"""Longest wait for an answer that another node can be asked for as well."""


class Figures(Protocol):
    """Where forwarding is counted (see `anfl.telemetry.metrics.Metrics`)."""

    def forwarded(self, outcome: str) -> None:
        """An attempt: ``answered``, ``loading``, ``unreachable`` or ``lost``."""

    def fell_back(self, to: str) -> None:
        """Not the first choice: ``other``, a second node, or ``self``."""


class Forwarding:
    """Of one event loop."""

    def __init__(self, routes: Routes, *, admission: Admission, figures: Figures) -> None:
        """:param admission: where there is no room, nothing more is sent on."""
        self._routes = routes
        self._admission = admission
        self._figures = figures
        self._sender = Sender(figures.forwarded, key_of=routes.key_of)
        self._turns = itertools.count()

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def around(self, handler: Handler, *, writes: bool, repeatable: Repeatable) -> Handler:
        """``handler`` for requests that name a collection, which other nodes may answer as well.

        :param writes: goes to the first owner, so that owners do not compete; reads take turns.
        """

        async def elsewhere(request: Request, tenant: str, route: Route) -> Response | None:
            if not self._admission.has_room(tenant, request.declared_size):
                return None  # those who wait for a node that hangs hold up nobody
            with self._admission.admitted(tenant, request.declared_size) as inside:
                await request.raw(claim=inside.claim)
                seconds = WRITE_SECONDS if writes else READ_SECONDS
                order = self._order(route, writes=writes)
                answer, passed_over = await self._sender.send(request, order, repeatable, seconds=seconds)
                if 0 < passed_over < len(order):
                    self._figures.fell_back("other")
                return answer

        async def handle(request: Request, principal: Principal) -> Response:
            if HOP in request.headers or request.method == "HEAD":  # which is rare, and would need its own handling
                return await handler(request, principal)
            name = request.parameters["name"]
            route = self._routes.of(principal.tenant, name) or await self._routes.find(principal.tenant, name)
            if not route.here:
                answer = await elsewhere(request, principal.tenant, route)
                if answer is not None:
                    return answer
                self._figures.fell_back("self")
            try:
                return await handler(request, principal)
            except Problem as problem:
                if problem.code != LOADING or not route.here:
                    raise
                # The other owner may have it in memory already.
                answer = await elsewhere(request, principal.tenant, route)
                if answer is None:
                    raise
                self._figures.fell_back("other")
                return answer

        return handle

    def _order(self, route: Route, *, writes: bool) -> list[str]:
        """Whom to ask, one after another."""
        found = self._sender.unsuspected(route.others)
        if not writes and len(found) > 1 and next(self._turns) % 2:
            found.reverse()
        return found
