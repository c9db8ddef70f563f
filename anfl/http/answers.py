"""What a handler returns: plain ASGI, because a query of 0.2 ms should not pay for more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from anfl.http.requests import ClientGoneError
from anfl.problems import Problem

JSON = b"application/json"
STALLED_SECONDS = 60.0
"""How long a part of a body may wait for its reader: a node sends few such bodies at a time, to all its callers."""
RawHeaders = list[tuple[bytes, bytes]]
_encode = msgspec.json.Encoder().encode


class Response(Protocol):
    """What the service sends: `Answer`, `Stream`, or a response of Starlette's."""

    status_code: int
    raw_headers: RawHeaders

    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Send it."""


class Answer:
    """A whole body."""

    __slots__ = ("body", "raw_headers", "status_code")

    def __init__(
        self,
        body: bytes,
        status: int = HTTPStatus.OK,
        *,
        media_type: bytes = JSON,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.body = body
        self.status_code = status
        self.raw_headers: RawHeaders = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """See `Response`."""
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body})


class Stream:
    """A body in parts, of unknown length. Its source is closed as soon as the client has gone."""

    __slots__ = ("_parts", "raw_headers", "status_code")

    def __init__(self, parts: AsyncGenerator[bytes], *, media_type: bytes) -> None:
        self._parts = parts
        self.status_code: int = HTTPStatus.OK
        self.raw_headers: RawHeaders = [(b"content-type", media_type)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `Response`. An error of the source cuts the body off, which no client takes for its end.

        :raises ClientGoneError: nobody takes the parts, although the connection is open.
        """
        gone = asyncio.ensure_future(_disconnection(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                async for part in self._parts:
                    if gone.done():
                        return
                    async with taken():
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await self._parts.aclose()


@asynccontextmanager
async def taken() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            yield
    except TimeoutError:
        raise ClientGoneError from None


def json_response(document: object, status: int = HTTPStatus.OK) -> Answer:
    """``document`` (anything msgspec encodes) as JSON."""
    return Answer(_encode(document), status)


def problem_response(problem: Problem, _path: str = "") -> Answer:
    """``problem`` as an RFC 9457 document."""
    headers = problem.headers()
    media_type = headers.pop("content-type").encode()
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Answer(_encode(problem.document()), problem.status, media_type=media_type, headers=raw)


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
