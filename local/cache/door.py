"""What stands before Valkey: TLS, and a login by IAM, after which both sides hear each other unchanged.

ElastiCache asks IAM about the password, which is a signed request
(https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html), and Valkey's own rules then hold for the user.
Here the embedded AWS is asked, and Valkey is entered by a password that nobody else knows.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

MOST_WORDS, MOST_BYTES = 8, 8192
"""Of the command with which a client enters: a signed request is some two thousand characters long."""
LOGIN_SECONDS = 5.0
_CHUNK = 65_536
_WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
_FIRST = b"-NOAUTH Authentication required.\r\n"
_log = logging.getLogger(__name__)

Ask = Callable[[str, str], Awaitable[bool]]
"""(user, password) → whether the user may enter by it."""


class Door:
    """``__call__`` takes a connection of a client, for `asyncio.start_server`."""

    def __init__(self, *, socket: str, password: str, ask: Ask) -> None:
        """:param socket: Valkey's. :param password: of its users."""
        self._socket = socket
        self._password = password
        self._ask = ask

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve it until one side ends it."""
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                user = await self._entered(reader, writer)
            if user is not None:
                await self._pass_on(user, reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            _log.info("connection ended: %r", error)
        finally:
            writer.close()

    async def _entered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
        """The user who has entered; None where whoever asks may not."""
        words = await _command(reader)
        if len(words) != 3 or words[0].upper() != b"AUTH":
            writer.write(_FIRST)
        elif await self._ask(user := words[1].decode(), words[2].decode()):
            return user
        else:
            writer.write(_WRONG)
        await writer.drain()
        return None

    async def _pass_on(self, user: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket)
        try:
            # Valkey's answer to it is the answer to the client's own.
            inner_writer.write(_encoded("AUTH", user, self._password))
            ways = {
                asyncio.create_task(_copy(reader, inner_writer)),
                asyncio.create_task(_copy(inner_reader, writer)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
        finally:
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(_CHUNK):
            writer.write(content)
            await writer.drain()


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    """One command, an array of strings (https://valkey.io/topics/protocol/).

    :raises ValueError: it is something else, or too long.
    """
    count = await _number(reader, b"*", MOST_WORDS)
    return [await _word(reader) for _ in range(count)]


async def _word(reader: asyncio.StreamReader) -> bytes:
    size = await _number(reader, b"$", MOST_BYTES)
    return (await reader.readexactly(size + 2))[:-2]


async def _number(reader: asyncio.StreamReader, kind: bytes, most: int) -> int:
    line = await reader.readuntil(b"\r\n")
    digits = line[1:-2]
    if line[:1] != kind or not digits.isdigit() or len(digits) > 8 or int(digits) > most:
        raise ValueError(f"no command: {line[:32]!r}")
    return int(digits)


def _encoded(*words: str) -> bytes:
    given = [word.encode() for word in words]
    return b"*%d\r\n" % len(given) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in given)
