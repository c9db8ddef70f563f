"""A request as handlers see it: nothing is read or decoded before somebody asks."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.requests import Request as StarletteRequest
from starlette.types import Message, Receive, Scope

from anfl.http.encodings import pieces
from anfl.problems import Problem, invalid, too_large

SILENCE_SECONDS = 30.0
"""Longest wait for the next part of a body that did not come with its request at once."""
SMALL_BYTES = 64 * 2**10
"""A body up to this size is waited for as long as the connection lasts: a timer for each query costs 2 % of it."""
MAX_PARAMETERS = 32
_JSON_TYPES = frozenset({b"", b"application/json", b"application/x-www-form-urlencoded"})
"""What a JSON body may call itself; the last is what ``curl -d`` says unless it is told otherwise."""

_REPLACED = "\ufffd"
Claim = Callable[[int], None]


class ClientGoneError(Exception):
    """The client closed the connection; nobody waits for an answer."""


def _unclaimed(_size: int) -> None:
    """For those who count nothing."""


class Request:
    """One request. ``path`` is decoded and without the stage; ``parameters`` are those of its route."""

    __slots__ = (
        "_max_body",
        "_more",
        "_raw",
        "_receive",
        "_received",
        "headers",
        "id",
        "method",
        "parameters",
        "path",
        "route",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, *, path: str, max_body: int) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path = path
        self.parameters: dict[str, str] = {}
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """By lower-case name; the last of several counts."""
        self.route = ""
        """The template of its path; empty for none."""
        self.id = ""
        """What the answer will carry as ``x-request-id``."""
        self._receive = receive
        self._raw: bytes | None = None
        self._received = 0
        self._more = True
        self._max_body = max_body

    @property
    def declared_size(self) -> int:
        """Bytes that the body is known to have; none, before it is read, of one that comes in chunks."""
        if self._raw is not None:
            return len(self._raw)
        if self._is_chunked:
            return 0
        length = self.headers.get(b"content-length", b"")
        return int(length) if length.isdigit() else 0

    def refuse_declared_oversize(self) -> None:
        """:raises Problem: 413, the body says that it is over the limit."""
        length = self.headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > self._max_body:
            raise _over(self._max_body)

    def refuse_unreadable_path(self) -> None:
        """:raises Problem: 400, the path is no UTF-8: a server puts one character for all that is none, so that several
        paths would be the same."""
        if _REPLACED not in self.path:
            return
        raw: bytes = self.scope.get("raw_path") or b""
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            detail = f"The path {raw.decode('latin-1')} is not percent-encoded UTF-8."
            raise invalid(detail, field="path") from None

    def query(self) -> dict[str, str]:
        """The query string's parameters.

        :raises Problem: 400 for one that stands twice, too many, or what is no UTF-8.
        """
        text: bytes = self.scope["query_string"]
        if not text:
            return {}
        try:
            pairs = parse_qsl(
                text.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_PARAMETERS,
            )
        except ValueError as error:
            raise invalid(f"The query string cannot be read: {error}.") from None
        found: dict[str, str] = {}
        for name, value in pairs:
            if name in found:
                raise invalid("It stands twice in the query string.", field=name)
            found[name] = value
        return found

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes, as it was sent.

        :raises Problem: 413 over the limit; 408 where the rest does not come.
        :raises ClientGoneError: it ends early.
        """
        while self._more:
            if part := self._part(await self._next()):
                yield part

    async def body(self, *, claim: Claim = _unclaimed) -> bytes:
        """The whole body, decompressed. It can be read again.

        :param claim: as for `raw`; told, too, of each piece that a compressed body turns out to hold.
        :raises Problem: as `stream`; 413 also where it is over the limit once decompressed; 400, 415 for its encoding.
        :raises ClientGoneError: see `stream`.
        """
        raw = await self.raw(claim=claim) if self._raw is None else self._raw
        encoding = self.headers.get(b"content-encoding")
        return raw if encoding is None else await self._decompressed(raw, encoding, claim)

    async def raw(self, *, claim: Claim = _unclaimed) -> bytes:
        """The whole body as it was sent. It can be read again, by `body` too.

        :param claim: told of each part of a body that comes in chunks, as it comes; may raise.
        :raises Problem, ClientGoneError: see `stream`.
        """
        if self._raw is not None:
            return self._raw
        if self._is_chunked:
            self._raw = b"".join([part async for part in self._claimed(claim)])
            return self._raw
        first = b""
        if self.declared_size <= SMALL_BYTES:
            first = self._part(await self._receive())
        self._raw = b"".join([first, *[part async for part in self.stream()]]) if self._more else first
        return self._raw

    async def _claimed(self, claim: Claim) -> AsyncIterator[bytes]:
        async for part in self.stream():
            claim(len(part))
            yield part

    @property
    def _is_chunked(self) -> bool:
        return b"transfer-encoding" in self.headers

    async def _decompressed(self, raw: bytes, encoding: bytes, claim: Claim) -> bytes:
        parts: list[bytes] = []
        size = 0
        for piece in pieces(raw, encoding):
            size += len(piece)
            if size > self._max_body:
                raise _over(self._max_body)
            claim(len(piece))
            parts.append(piece)
            await asyncio.sleep(0)  # others want their turn
        return b"".join(parts)

    def check_json(self) -> None:
        """:raises Problem: 415, the body says that it is no JSON (in UTF-8, as RFC 8259 has it)."""
        declared = self.headers.get(b"content-type")
        if declared is None or declared == b"application/json":
            return
        media_type, _, parameters = declared.lower().partition(b";")
        media_type = media_type.strip()
        if media_type not in _JSON_TYPES and not media_type.endswith(b"+json"):
            raise _unsupported("Send application/json.", "content-type")
        for parameter in parameters.split(b";"):
            name, _, value = parameter.strip().partition(b"=")
            if name == b"charset" and not _is_utf8(value.strip(b'"')):
                raise _unsupported("JSON is sent as UTF-8.", "content-type")

    def starlette(self) -> StarletteRequest:
        """The same request, for handlers written against Starlette."""
        self.scope["path_params"] = self.parameters
        self.scope["root_path"] = self.scope["path"].removesuffix(self.path)  # ASGI's name for what the stage is
        return StarletteRequest(self.scope, self._counted)

    async def _counted(self) -> Message:
        message = await self._next()
        self._count(message.get("body", b""))
        return message

    def _part(self, message: Message) -> bytes:
        """The body's part in ``message``."""
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        self._count(part)
        self._more = message.get("more_body", False)
        return part

    def _count(self, part: bytes) -> None:
        self._received += len(part)
        if self._received > self._max_body:
            raise _over(self._max_body)

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await self._receive()
        except TimeoutError:
            detail = f"Nothing of the body came for {SILENCE_SECONDS:.0f} s."
            headers = {"connection": "close"}
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail, headers=headers) from None


def _over(limit: int) -> Problem:
    return too_large(f"A request body holds at most {limit} bytes; split it.")


def _unsupported(detail: str, field: str) -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail, field=field)


def _is_utf8(charset: bytes) -> bool:
    try:
        return codecs.lookup(charset.decode("ascii")).name in ("utf-8", "ascii")
    except (LookupError, UnicodeDecodeError):
        return False
