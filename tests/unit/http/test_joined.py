"""The head of an answer goes out together with its body."""

import asyncio

from anfl.http.joined import Joined


class Recorded(asyncio.Transport):
    """Notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        self.done.append(bytes(data))

    def close(self) -> None:
        """See asyncio."""
        self.done.append("close")


def test_two_writes_are_one() -> None:
    async def scenario() -> list[bytes | str]:
        sent = Recorded()
        joined = Joined(sent)
        joined.write(b"head ")
        joined.write(b"body")
        assert sent.done == [b"head body"]
        await asyncio.sleep(0)
        return sent.done

    assert asyncio.run(scenario()) == [b"head body"]


def test_what_nothing_follows_goes_out_alone_and_in_order() -> None:
    async def scenario() -> list[bytes | str]:
        sent = Recorded()
        joined = Joined(sent)
        joined.write(b"continue")
        assert sent.done == []
        await asyncio.sleep(0)
        assert sent.done == [b"continue"]
        joined.write(b"a")
        joined.write(b"b")
        joined.write(b"c")
        joined.close()
        await asyncio.sleep(0)
        return sent.done

    assert asyncio.run(scenario()) == [b"continue", b"ab", b"c", "close"]
