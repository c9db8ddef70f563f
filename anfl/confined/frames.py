"""What passes through the pipes between a process and a limited one: messages, each behind its length."""

import os
import select
import time
from typing import IO

MAX_BYTES = 8 * 1024 * 1024
_LENGTH = 4


def write(stream: IO[bytes], content: bytes) -> None:
    """Send one message."""
    left = memoryview(len(content).to_bytes(_LENGTH, "big") + content)
    while left:  # a signal may cut a write to a pipe short
        left = left[stream.write(left) :]
    stream.flush()


def read(stream: "IO[bytes] | Timed") -> bytes | None:
    """Receive one message; None at the end.

    :raises ValueError: it is too long, or ends early.
    """
    prefix = stream.read(_LENGTH)
    if not prefix:
        return None
    length = int.from_bytes(prefix, "big")
    content = stream.read(length) if len(prefix) == _LENGTH and length <= MAX_BYTES else b""
    if len(content) != length:
        raise ValueError("a message ends early, or is too long")
    return content


class Timed:
    """Reads from a pipe until a moment of the monotonic clock."""

    def __init__(self, stream: IO[bytes], deadline: float) -> None:
        self._descriptor = stream.fileno()
        self._deadline = deadline

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes: fewer at the end only.

        :raises TimeoutError: they do not come in time.
        """
        data = bytearray()
        while len(data) < count:
            left = max(0.0, self._deadline - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(self._descriptor, count - len(data))
            if not piece:
                break
            data += piece
        return bytes(data)
