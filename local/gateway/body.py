"""A request's body: read within the limit, or let go by."""

import asyncio
import contextlib
from typing import Any

from local.gateway.responses import Refusal, Refused

MAX_PAYLOAD = 10 * 1024 * 1024
"""Largest request and response body in bytes."""
MAX_DISCARDED = 64 * 1024 * 1024
"""Bytes after which a client that goes on sending is cut off."""
DISCARD_SECONDS = 10.0


class Body:
    """The body that an ASGI ``receive`` delivers."""

    def __init__(self, receive: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - ASGI
        """:param headers: of the request, by lower-case name."""
        self._receive = receive
        self._length = headers.get("content-length", "0")
        self._waits = headers.get("expect", "").lower() == "100-continue"
        self._more = True

    def check_length(self) -> None:
        """:raises Refused: it is declared to be larger than the limit."""
        if self._length.isdigit() and int(self._length) > MAX_PAYLOAD:
            raise Refused(Refusal.REQUEST_TOO_LARGE)

    async def read(self) -> bytes:
        """All of it.

        :raises Refused: it is larger than the limit, or the client went away.
        """
        chunks: list[bytes] = []
        total = 0
        while self._more:
            chunk = await self._next()
            total += len(chunk)
            if total > MAX_PAYLOAD:
                raise Refused(Refusal.REQUEST_TOO_LARGE)
            chunks.append(chunk)
        return b"".join(chunks)

    async def discard(self) -> None:
        """Let the rest go by: many clients read no answer before they have sent everything.

        One that waits for our leave to send has sent nothing and needs none of it.
        """
        discarded = 0
        with contextlib.suppress(Refused, TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self._more and not self._waits and discarded < MAX_DISCARDED:
                    discarded += len(await self._next())

    async def _next(self) -> bytes:
        message = await self._receive()
        self._waits = False
        self._more = message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise Refused(Refusal.DEFAULT_4XX, "the client went away")
        chunk: bytes = message.get("body", b"")
        return chunk
