"""Sends a request on to another process that serves the same routes, and says whether it can have been done.

The answer passes as it is, whatever it says.
"""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec

from anfl.http.answers import Answer, RawHeaders, Response, Stream
from anfl.http.requests import Request
from anfl.nodes.connections import Connections, LostError, Reply, UnreachableError
from anfl.problems import MEDIA_TYPE, Problem, unavailable
from anfl.protection import NAMES

HOP = b"x-anfl-hop"
"""Says that a request was sent on; its value is the key of the node that it was sent to, where that is known."""
_NO_KEY = "1"
WRITE_SECONDS = 25.0
"""Longest wait for an answer that nobody may be asked for again: a little less than the gateway waits."""
SUSPECT_SECONDS = 5.0
"""Who did not answer is left alone for so long; after a few times either it is there again, or off the roll."""
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
_NOT_PASSED = _HOP_BY_HOP | {b"host", b"content-length", b"x-request-id", HOP}
"""The latter every hop makes anew."""
_log = logging.getLogger(__name__)


Attempt = Callable[[str], None]
"""Told the outcome of each: ``answered``, ``loading``, ``unreachable`` or ``lost``."""
Repeatable = Callable[[Request], Awaitable[bool]]
"""Whether doing the request twice is doing it once. Asked only where its answer got lost."""


class Sender:
    """Of one event loop."""

    def __init__(self, attempt: Attempt, *, key_of: Callable[[str], str] = lambda _: "") -> None:
        """:param key_of: see `anfl.nodes.shared.Members.key_of`."""
        self._attempt = attempt
        self._key_of = key_of
        self._connections = Connections()
        self._suspects: dict[str, float] = {}

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def unsuspected(self, addresses: Sequence[str]) -> list[str]:
        """Those that answered when they were asked last, or have not been asked for a while."""
        now = time.monotonic()
        return [each for each in addresses if self._suspects.get(each, 0.0) <= now]

    async def send(
        self, request: Request, addresses: Sequence[str], repeatable: Repeatable, *, seconds: float
    ) -> tuple[Response | None, int]:
        """Ask one after another, each for so long: the first answer of one that has the collection in memory.

        Else that of one that is loading it; None for none. With it, how many of ``addresses`` were passed over.

        :raises Problem: 503 ``node_lost``, it may have been done and must not be done again.
        """
        loading: Response | None = None
        for number, address in enumerate(addresses):
            try:
                answer, there = await self._ask(address, request, seconds)
            except UnreachableError as error:
                self._suspect(address, "unreachable", error)
                continue
            except LostError as error:
                self._suspect(address, "lost", error)
                if not await repeatable(request):
                    raise _lost() from error
                continue
            if there:
                self._attempt("answered")
                return answer, number
            self._attempt("loading")
            loading = answer
        return loading, len(addresses)

    async def _ask(self, address: str, request: Request, seconds: float) -> tuple[Response, bool]:
        """An answer, and whether it had the collection in memory."""
        body = await request.raw()
        head = _head(address, request, len(body), self._key_of(address) or _NO_KEY)
        reply = await self._connections.send(address, head, body, seconds=seconds)
        if not any(name == b"content-length" for name, _ in reply.headers):
            return _streamed(reply), True
        content = await reply.read()
        return _whole(reply, content), not _is_loading(reply, content)

    def _suspect(self, address: str, outcome: str, error: Exception) -> None:
        self._suspects[address] = time.monotonic() + SUSPECT_SECONDS
        self._attempt(outcome)
        _log.warning("no answer", extra={"address": address, "outcome": outcome, "reason": str(error)})


def is_from_a_node(request: Request, own_key: str) -> bool:
    """Whether another node sent ``request`` on, and no client that says so. :param own_key: empty: not known."""
    given = request.headers.get(HOP)
    return given is not None and own_key != "" and hmac.compare_digest(given, own_key.encode())


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
    except (msgspec.DecodeError, RecursionError, Problem):
        return True  # it is refused wherever it is read


def _head(address: str, request: Request, length: int, key: str) -> bytes:
    """The request's line and headers, for another node."""
    scope = request.scope
    left_out = _NOT_PASSED | _named_by_connection(request)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [
        b"%s %s%s HTTP/1.1" % (request.method.encode(), scope["raw_path"], query),
        b"host: " + address.encode(),
        b"content-length: %d" % length,
        b"x-request-id: " + request.id.encode(),
        HOP + b": " + key.encode(),
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
        elif name not in _NOT_PASSED and name not in NAMES:
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
        "Who was to do it went away: it may have been done, or not. Send it again with its request_id.",
        code="node_lost",
    )
