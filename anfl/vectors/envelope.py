"""The one place through which the bytes of every object pass on their way to the store and back.

Format 1: ``ANFL``, one byte of format version, SHA-256 of what follows, the body. Parts of snapshots, whose digests
stand in a manifest, carry no second one: ``ANFL``, version, body. Format 2 is sealed: `anfl.vectors.sealing`.
"""

import hashlib
from collections.abc import Iterator
from typing import Protocol

_MAGIC = b"ANFL"
_FORMAT = 1
_PREFIX = _MAGIC + bytes([_FORMAT])
_DIGEST = hashlib.sha256().digest_size


class DamagedError(Exception):
    """An object is not what was written, or of a format that this code does not know."""


class Envelope(Protocol):
    """Turns bodies of one collection into objects and back. ``key`` binds an object to its place, ``identity`` says
    whose body it is (a batch's id, a part's name), ``at`` when it was made, in seconds since the epoch.

    Every method raises `Problem` 503 where it cannot be done now, and nothing has been done then.
    """

    def seal(self, key: str, body: bytes, *, identity: str, at: float) -> bytes | bytearray:
        """The object that holds ``body`` under ``key``."""

    def open(self, key: str, data: bytes) -> bytes:
        """The body of the object ``data`` under ``key``.

        :raises DamagedError: it is not what was sealed.
        """

    def seal_part(self, key: str, body: bytes | bytearray, *, identity: str, at: float) -> bytes | bytearray:
        """Like `seal`, for a large body whose digest is kept elsewhere."""

    def open_part(self, key: str, data: bytes) -> Iterator[memoryview]:
        """Like `open`, for what `seal_part` made: the body in pieces, each of which is gone when the next one is asked
        for. The caller compares the digest; where the last piece does not come, the others do not count."""


class Checksummed:
    """An `Envelope` that notices damage."""

    def seal(self, _key: str, body: bytes, *, identity: str = "", at: float = 0.0) -> bytes:  # noqa: ARG002 - one interface
        """See `Envelope.seal`."""
        return _PREFIX + hashlib.sha256(body).digest() + body

    def open(self, _key: str, data: bytes) -> bytes:
        """See `Envelope.open`."""
        _check_format(data)
        start = len(_PREFIX) + _DIGEST
        body = data[start:]
        if len(data) < start or hashlib.sha256(body).digest() != data[len(_PREFIX) : start]:
            raise DamagedError("checksum")
        return body

    def seal_part(self, _key: str, body: bytes | bytearray, *, identity: str = "", at: float = 0.0) -> bytes:  # noqa: ARG002
        """See `Envelope.seal_part`."""
        return _PREFIX + body

    def open_part(self, _key: str, data: bytes) -> Iterator[memoryview]:
        """See `Envelope.open_part`."""
        _check_format(data)
        yield memoryview(data)[len(_PREFIX) :]


def _check_format(data: bytes) -> None:
    if data[: len(_MAGIC)] != _MAGIC:
        raise DamagedError("no object of this store")
    if data[len(_MAGIC) : len(_PREFIX)] != _PREFIX[len(_MAGIC) :]:
        raise DamagedError(f"format {data[len(_MAGIC) : len(_PREFIX)].hex()}")
