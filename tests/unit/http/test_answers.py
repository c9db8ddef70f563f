"""Bodies in parts, and readers that do not take them."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from anfl.http import answers
from anfl.http.answers import Stream
from anfl.http.requests import ClientGoneError

pytestmark = pytest.mark.anyio


async def never() -> Message:
    return await asyncio.Future()


async def test_a_reader_that_takes_nothing_is_given_up_and_the_source_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STALLED_SECONDS", 0.01)
    closed: list[bool] = []
    taken: list[Message] = []

    async def parts() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"part"
        finally:
            closed.append(True)

    async def send(message: Message) -> None:
        taken.append(message)
        if len(taken) == 3:  # the socket's buffer is full, and stays so
            await asyncio.Future()

    with pytest.raises(ClientGoneError):
        await Stream(parts(), media_type=b"text/plain")({"method": "GET"}, never, send)
    assert closed == [True]
    assert len(taken) == 3


async def test_a_slow_reader_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STALLED_SECONDS", 30.0)
    bodies: list[bytes] = []

    async def parts() -> AsyncGenerator[bytes]:
        for number in range(5):
            yield b"%d" % number

    async def send(message: Message) -> None:
        await asyncio.sleep(0.001)
        bodies.append(message.get("body", b""))

    await Stream(parts(), media_type=b"text/plain")({"method": "GET"}, never, send)
    assert b"".join(bodies) == b"01234"
