"""Calls of the asynchronous client that are given up on their way."""

import asyncio
import contextlib

import httpx
import pytest

from anfl.client.asynchronous import AsyncClient

CONTENT = b'{"count": 7, "sequence": "1.1"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(CONTENT), CONTENT)
pytestmark = pytest.mark.anyio
MANY = 250
"""More than there are connections."""
MOMENTS = 6
"""At which they are given up: steps of the event loop after the calls."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # whoever asked has gone
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
            writer.write(ANSWER)
    writer.close()


async def test_calls_that_are_cancelled_take_no_connection_from_others() -> None:
    """Whoever had waited for one of those that were kept for good was told after a minute that nobody answers."""
    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", timeout=httpx.Timeout(5, pool=1)) as client:
            words = client.collection("words")
            for steps in range(MOMENTS):
                given_up = [asyncio.create_task(words.count()) for _ in range(MANY)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for each in given_up:
                    each.cancel()
                await asyncio.gather(*given_up, return_exceptions=True)
            assert await words.count() == 7


async def test_a_client_that_is_closed_leaves_nothing_under_way() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}") as client:
            given_up = asyncio.create_task(client.collection("words").count())
            await asked.wait()
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert client._abandoned
        assert not client._abandoned
