"""Requests to other nodes: sent once, answered or known not to be, over connections that are kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from anfl.nodes import connections as connections_module
from anfl.nodes.connections import BUFFER_BYTES, Connections, LostError, UnreachableError
from local.environment import free_ports

pytestmark = pytest.mark.anyio
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Kind: a\r\n\r\nhi"


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


class Peer:
    """A server that answers what the test says, and notes what came."""

    def __init__(self, serve: Serve) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._serve = serve

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                while True:
                    self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                    await self._serve(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            server.close_clients()
            await server.wait_closed()
            await asyncio.sleep(0)  # the other side's transports have a last word


def answering(content: bytes) -> Serve:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return serve


def closing(content: bytes = b"") -> Serve:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        writer.close()

    return serve


async def ask(connections: Connections, address: str, seconds: float = 5.0) -> tuple[int, bytes]:
    reply = await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=seconds)
    return reply.status, await reply.read()


async def test_one_connection_carries_one_request_after_another() -> None:
    peer, connections = Peer(answering(OK)), Connections()
    async with peer.listening() as address:
        assert [await ask(connections, address) for _ in range(3)] == [(200, b"hi")] * 3
        assert (peer.connections, len(peer.requests)) == (1, 3)
        await asyncio.gather(*(ask(connections, address) for _ in range(3)))
        assert peer.connections == 3
        connections.close()


async def test_headers_come_in_lower_case_and_an_interim_answer_is_none() -> None:
    peer, connections = Peer(answering(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK)), Connections()
    async with peer.listening() as address:
        reply = await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=5)
        assert (reply.status, reply.headers) == (200, [(b"content-length", b"2"), (b"x-kind", b"a")])
        assert await reply.read() == b"hi"
        connections.close()


async def test_where_nobody_listens_nothing_was_sent() -> None:
    with pytest.raises(UnreachableError):
        await ask(Connections(), f"127.0.0.1:{free_ports(1)[0]}")


@pytest.mark.parametrize(
    "content",
    [b"", b"HTTP/1.1 200 OK\r\n", OK[:-1], b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked"],
)
async def test_an_answer_that_breaks_off_is_lost_and_asked_for_once(content: bytes) -> None:
    peer, connections = Peer(closing(content)), Connections()
    async with peer.listening() as address:
        with pytest.raises(LostError):
            await ask(connections, address)
        assert len(peer.requests) == 1


async def test_a_kept_connection_that_turns_out_closed_sends_nothing_twice() -> None:
    served = 0

    async def once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if served == 2:
            writer.close()
        else:
            writer.write(OK)

    peer, connections = Peer(once), Connections()
    async with peer.listening() as address:
        assert await ask(connections, address) == (200, b"hi")
        with pytest.raises(LostError):
            await ask(connections, address)
        assert len(peer.requests) == 2
        assert await ask(connections, address) == (200, b"hi")
        assert peer.connections == 2
        connections.close()


async def test_silence_is_waited_for_as_long_as_said_and_the_connection_is_not_used_again() -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    peer, connections = Peer(silent), Connections()
    async with peer.listening() as address:
        for _ in range(2):
            with pytest.raises(LostError):
                await ask(connections, address, seconds=0.05)
        assert peer.connections == 2


async def test_a_connection_that_was_not_used_for_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    peer, connections = Peer(answering(OK)), Connections()
    async with peer.listening() as address:
        await ask(connections, address)
        monkeypatch.setattr(connections_module, "IDLE_SECONDS", 0.0)
        await ask(connections, address)
        assert peer.connections == 2
        connections.close()


async def test_who_says_close_is_not_asked_again_on_that_connection() -> None:
    said = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
    peer, connections = Peer(answering(said)), Connections()
    async with peer.listening() as address:
        assert [await ask(connections, address) for _ in range(2)] == [(200, b"hi")] * 2
        assert peer.connections == 2


async def test_a_long_answer_waits_for_who_reads_it() -> None:
    part = bytes(2**16)
    total = 16 * BUFFER_BYTES
    sent = 0

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while sent < total:
            writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
            await writer.drain()
            sent += len(part)
        writer.write(b"0\r\n\r\n")

    peer, connections = Peer(serve), Connections()
    async with peer.listening() as address:
        reply = await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=5)
        before = -1
        while sent > before:  # until it does not move any more
            before = sent
            await asyncio.sleep(0.1)
        assert sent < total
        assert len(await reply.read()) == total
        reply = await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=5)
        assert await reply.read() == b""  # on the same connection
        assert peer.connections == 1
        connections.close()


async def test_who_stops_reading_closes_the_connection() -> None:
    peer, connections = (
        Peer(answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")),
        Connections(),
    )
    async with peer.listening() as address:
        reply = await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=5)
        parts = reply.parts()
        assert await anext(parts) == b"hi"
        await parts.aclose()
        await connections.send(address, b"GET / HTTP/1.1\r\n\r\n", b"", seconds=5)
        assert peer.connections == 2
