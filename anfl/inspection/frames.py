"""What passes between the process that asks for examinations and those that make them."""

from typing import IO

import msgspec

from anfl.inspection.limits import Limits

MAX_BYTES = 8 * 1024 * 1024
_LENGTH = 4


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Examine the file at ``path`` (as the system has it), which the artefacts call ``name``."""

    name: str
    path: bytes
    scratch: bytes
    limits: Limits


def write(stream: IO[bytes], content: bytes) -> None:
    """Send one message."""
    stream.write(len(content).to_bytes(_LENGTH, "big") + content)
    stream.flush()


def read(stream: IO[bytes]) -> bytes | None:
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
