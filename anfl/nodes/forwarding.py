"""Sends a request on to a node that has its collection in memory; where none answers, it is carried out here.

The answer passes as it is, whatever it says. A request that came from another node goes no further, so nothing loops.
"""

import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import msgspec

from anfl.auth.principal import Principal
from anfl.http.admission import Admission
from anfl.http.answers import Answer, RawHeaders, Response, Stream
from anfl.http.requests import Request
from anfl.http.service import Handler
from anfl.nodes.connections import Connections, LostError, Reply, UnreachableError
from anfl.nodes.routes import Route, Routes
from anfl.problems import MEDIA_TYPE, Problem, unavailable

HOP = b"x-anfl-hop"
"""Names the node that sent a request on."""
READ_SECONDS = 10.0
"""Longest wait for an answer that another node can be asked for as well."""
WRITE_SECONDS = 25.0
"""And for one that nobody may be asked for again: a little less than the gateway waits."""
SUSPECT_SECONDS = 5.0
"""A node that did not answer is left alone for so long; after a few times either it is there again, or off the roll."""
LOADING = "collection_loading"
"""Code of the problem that a node has which does not have the collection in memory yet."""
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_MADE_ANEW = frozenset({b"host", b"content-length", b"x-request-id", HOP})
_log = logging.getLogger(__name__)


class Figures(Protocol):
    """Where forwarding is counted (see `anfl.telemetry.metrics.Metrics`)."""

    def forwarded(self, outcome: str) -> None:
        """An attempt: ``answered``, ``loading``, ``unreachable`` or ``lost``."""

    def fell_back(self, to: str) -> None:
        """Not the first choice: ``other``, a second node, or ``self``."""


Repeatable = Callable[[Request], Awaitable[bool]]
"""Whether doing the request twice is doing it once. Asked only where its answer got lost."""


class Forwarding:
    """Of one event loop."""

    def __init__(self, routes: Routes, *, admission: Admission, figures: Figures) -> None:
        """:param admission: where there is no room, nothing more is sent on."""
        self._routes = routes
        self._admission = admission
        self._figures = figures
        self._connections = Connections()
        self._suspects: dict[str, float] = {}
        self._turns = itertools.count()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def around(self, handler: Handler, *, writes: bool, repeatable: Repeatable) -> Handler:
        """``handler`` for requests that name a collection, which other nodes may answer as well.

        :param writes: goes to the first owner, so that owners do not compete; reads take turns.
        """

        async def elsewhere(request: Request, route: Route) -> Response | None:
            if not self._admission.has_room(
                request.declared_size
            ):  # those who wait for a node that hangs hold up nobody
                return None
            with self._admission.admitted(request.declared_size):
                return await self._sent(request, self._order(route, writes=writes), repeatable, writes=writes)

        async def handle(request: Request, principal: Principal) -> Response:
            if HOP in request.headers or request.method == "HEAD":  # which is rare, and would need its own handling
                return await handler(request, principal)
            name = request.parameters["name"]
            route = self._routes.of(principal.tenant, name) or await self._routes.find(principal.tenant, name)
            if not route.here:
                answer = await elsewhere(request, route)
                if answer is not None:
                    return answer
                self._figures.fell_back("self")
            try:
                return await handler(request, principal)
            except Problem as problem:
                if problem.code != LOADING or not route.here:
                    raise
                answer = await elsewhere(request, route)  # the other owner may have it in memory already
                if answer is None:
                    raise
                self._figures.fell_back("other")
                return answer

        return handle

    def _order(self, route: Route, *, writes: bool) -> list[str]:
        """Whom to ask, one after another."""
        now = time.monotonic()
        found = [each for each in route.others if self._suspects.get(each, 0.0) <= now]
        if not writes and len(found) > 1 and next(self._turns) % 2:
            found.reverse()
        return found

    async def _sent(
        self, request: Request, addresses: list[str], repeatable: Repeatable, *, writes: bool
    ) -> Response | None:
        """The first answer of a node that has the collection; else of one that is loading it; None for none.

        :raises Problem: 503 ``node_lost``, it may have been done and must not be done again.
        """
        loading: Response | None = None
        for number, address in enumerate(addresses):
            try:
                answer, there = await self._ask(address, request, WRITE_SECONDS if writes else READ_SECONDS)
            except UnreachableError as error:
                self._suspect(address, "unreachable", error)
                continue
            except LostError as error:
                self._suspect(address, "lost", error)
                if not await repeatable(request):
                    raise _lost() from error
                continue
            if there:
                self._figures.forwarded("answered")
                if number:
                    self._figures.fell_back("other")
                return answer
            self._figures.forwarded("loading")
            loading = answer
        return loading

    async def _ask(self, address: str, request: Request, seconds: float) -> tuple[Response, bool]:
        """A node's answer, and whether it had the collection in memory."""
        body = await request.raw()
        reply = await self._connections.send(address, _head(address, request, len(body)), body, seconds=seconds)
        if not any(name == b"content-length" for name, _ in reply.headers):
            return _streamed(reply), True
        content = await reply.read()
        return _whole(reply, content), not _is_loading(reply, content)

    def _suspect(self, address: str, outcome: str, error: Exception) -> None:
        self._suspects[address] = time.monotonic() + SUSPECT_SECONDS
        self._figures.forwarded(outcome)
        _log.warning("another node did not answer", extra={"node": address, "outcome": outcome, "reason": str(error)})


async def always(_request: Request) -> bool:
    """`Repeatable`: of what changes nothing, or changes it to the same."""
    return True


async def never(_request: Request) -> bool:
    """`Repeatable`: of what would be done again."""
    return False


class _Identified(msgspec.Struct):
    request_id: str | None = None


async def by_request_id(request: Request) -> bool:
    """`Repeatable`: of what is done once for its ``request_id``, if it has one."""
    try:
        return msgspec.json.decode(await request.body(), type=_Identified).request_id is not None
    except (msgspec.DecodeError, Problem):
        return True  # it is refused wherever it is read


def _head(address: str, request: Request, length: int) -> bytes:
    """The request's line and headers, for another node."""
    scope = request.scope
    left_out = _HOP_BY_HOP | _MADE_ANEW | _named_by_connection(request)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [
        b"%s %s%s HTTP/1.1" % (request.method.encode(), scope["raw_path"], query),
        b"host: " + address.encode(),
        b"content-length: %d" % length,
        b"x-request-id: " + request.id.encode(),
        HOP + b": 1",
        *(name + b": " + value for name, value in scope["headers"] if name not in left_out),
    ]
    return b"\r\n".join([*lines, b"", b""])


def _named_by_connection(request: Request) -> set[bytes]:
    """RFC 9110, section 7.6.1: headers that are for the next one alone."""
    return {name.strip().lower() for name in request.headers.get(b"connection", b"").split(b",")}


def _passed(reply: Reply) -> tuple[bytes, RawHeaders]:
    """The answer's media type, and its other headers but those that every hop makes anew."""
    media_type, headers = b"", []
    for name, value in reply.headers:
        if name == b"content-type":
            media_type = value
        elif name not in _HOP_BY_HOP and name not in _MADE_ANEW:
            headers.append((name, value))
    return media_type, headers


def _whole(reply: Reply, content: bytes) -> Answer:
    media_type, headers = _passed(reply)
    return Answer(content, reply.status, media_type=media_type, headers=headers)


def _streamed(reply: Reply) -> Stream:
    return Stream(reply.parts(), media_type=_passed(reply)[0])


def _is_loading(reply: Reply, content: bytes) -> bool:
    if reply.status != HTTPStatus.SERVICE_UNAVAILABLE or _passed(reply)[0] != MEDIA_TYPE.encode():
        return False
    return b'"code":"%s"' % LOADING.encode() in content


def _lost() -> Problem:
    return unavailable(
        "The node that was to do it went away: it may have been done, or not. Send it again with its request_id.",
        code="node_lost",
    )
