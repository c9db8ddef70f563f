"""HTTP/1.1 to other nodes: connections that are kept, and an exact answer to "can it have been done?".

A client library would do if it told a request that was never sent from one whose answer got lost, sent nothing twice of
its own accord, and took less time than the query it carries. It is the parser that reads requests here, the other way
round.
"""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from http import HTTPStatus

import httptools

CONNECT_SECONDS = 0.5
"""Within a region's network it takes a millisecond."""
IDLE_SECONDS = 30.0
"""A connection that was not used for so long is not used again: the other side closes it after 75 s."""
SILENCE_SECONDS = 30.0
"""Longest wait for the next part of an answer that has begun."""
BUFFER_BYTES = 2**20
"""Of an answer's parts that nobody has taken yet; then the other side waits."""
SMALL_BYTES = 64 * 2**10
"""Above it, to copy takes longer than to send twice."""
PIECE_BYTES = 128 * 2**10
"""Of a body, sent in one go. The event loop copies two megabytes in 1.7 ms, and queries wait for it meanwhile."""
Headers = list[tuple[bytes, bytes]]


class UnreachableError(Exception):
    """There is no connection: nothing was sent."""


class LostError(Exception):
    """It was sent, and no whole answer came: it may have been done, or not."""


class Reply:
    """An answer whose head has come. Take its body once, by `read` or `parts`."""

    def __init__(self, connection: "_Connection", status: int, headers: Headers) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        """Names in lower case."""

    async def read(self) -> bytes:
        """The whole body.

        :raises LostError: it breaks off.
        """
        return b"".join([part async for part in self.parts()])

    async def parts(self) -> AsyncGenerator[bytes]:
        """The body as it comes. Closing this before its end closes the connection.

        :raises LostError: it breaks off.
        """
        try:
            while (part := await self._connection.part()) is not None:
                yield part
        finally:
            self._connection.done()


class Connections:
    """Of one event loop, to all nodes."""

    def __init__(self) -> None:
        self._idle: dict[str, deque[_Connection]] = defaultdict(deque)

    async def send(self, address: str, head: bytes, body: bytes, *, seconds: float) -> Reply:
        """Send a request, whose ``head`` ends with an empty line, and wait so long for the head of the answer.

        :raises UnreachableError: nothing was sent.
        :raises LostError: there is no answer.
        """
        connection = self._kept(address) or await self._opened(address)
        try:
            async with asyncio.timeout(seconds):
                status, headers = await connection.ask(head, body)
        except TimeoutError:
            connection.close()
            raise LostError(f"no answer within {seconds:.0f} s") from None
        except BaseException:
            connection.close()
            raise
        return Reply(connection, status, headers)

    def close(self) -> None:
        """Close what is kept."""
        for kept in self._idle.values():
            while kept:
                kept.pop().close()

    def _kept(self, address: str) -> "_Connection | None":
        kept = self._idle[address]
        while kept:
            connection = kept.pop()  # the one used last: others may become old
            if connection.is_fresh():
                return connection
            connection.close()
        return None

    async def _opened(self, address: str) -> "_Connection":
        host, _, port = address.rpartition(":")
        idle = self._idle[address]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(lambda: _Connection(idle), host, int(port))
        except OSError as error:  # TimeoutError is one
            raise UnreachableError(f"{address}: {error!r}") from error
        return connection


class _Connection(asyncio.Protocol):
    """One request after another."""

    def __init__(self, idle: "deque[_Connection]") -> None:
        self._idle = idle
        self._transport: asyncio.Transport
        self._used = 0.0
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[tuple[int, Headers]] | None = None
        self._headers: Headers = []
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._more: asyncio.Future[None] | None = None
        self._complete = False
        self._keep = False
        self._error: Exception | None = None

    def is_fresh(self) -> bool:
        """Whether another request may go this way."""
        return not self._transport.is_closing() and time.monotonic() - self._used < IDLE_SECONDS

    async def ask(self, head: bytes, body: bytes) -> tuple[int, Headers]:
        """Send a request and wait for the head of its answer."""
        self._head = asyncio.get_running_loop().create_future()
        if len(body) <= SMALL_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            whole = memoryview(body)
            for start in range(0, len(whole), PIECE_BYTES):
                if self._transport.is_closing():
                    break
                self._transport.write(whole[start : start + PIECE_BYTES])
                await asyncio.sleep(0)  # others want their turn
        return await self._head

    async def part(self) -> bytes | None:
        """The next part of the body; None at its end."""
        while not self._parts:
            if self._complete:
                return None
            if self._error is not None:
                raise self._error
            self._more = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._more
            except TimeoutError:
                raise LostError(f"nothing more within {SILENCE_SECONDS:.0f} s") from None
        part = self._parts.popleft()
        self._waiting -= len(part)
        if self._paused and self._waiting < BUFFER_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()
        return part

    def done(self) -> None:
        """Nobody wants more of this answer."""
        if self._complete and self._keep and not self._transport.is_closing():
            self._reset()
            self._used = time.monotonic()
            self._idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Send and take nothing more."""
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as asyncio has it
        """See asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._head is None or self._complete:  # nobody asked
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(LostError(f"an answer that is no HTTP: {error}"))
            self.close()
            return
        if self._waiting > BUFFER_BYTES and not self._paused and not self._complete:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        with contextlib.suppress(ValueError):
            self._idle.remove(self)
        if not self._complete:
            self._fail(LostError(f"the connection was closed: {error or 'before the answer was whole'}"))

    # What httptools calls.

    def on_message_begin(self) -> None:
        """See httptools: after a 1xx answer there is another one."""
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See httptools."""
        status = self._parser.get_status_code()
        if status >= HTTPStatus.OK and self._head is not None and not self._head.done():
            self._head.set_result((status, self._headers))

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._parts.append(body)
        self._waiting += len(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._parser.get_status_code() >= HTTPStatus.OK:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
