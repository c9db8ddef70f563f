"""What one process of a node knows of the others, in memory that all its processes share.

Readers look at it for every request. What is older than it may be, torn or not there reads as: nobody is known.
"""

import mmap
import struct
import time
import zlib
from collections.abc import Callable

import msgspec

_HEAD = struct.Struct("<QdII")
"""Version, until when it holds (seconds, monotonic: the same clock for all processes), length and checksum."""
_TIME = struct.Struct("<Qd")
_SIZE = 2**14


class Members(msgspec.Struct, frozen=True, array_like=True):
    """A node and those beside it."""

    own: str = ""
    """Address of this node; empty as long as it is not known."""
    present: tuple[str, ...] = ()
    """Addresses of all that are there, this one included once others can see it."""
    version: int = 0
    """Another one after each change."""
    keys: tuple[str, ...] = ()
    """Of each in ``present``: what it knows a request by that another node sent on. Nobody else can know it."""

    def key_of(self, address: str) -> str:
        """The key of the node at ``address``; empty where it is not known."""
        return next((key for each, key in zip(self.present, self.keys, strict=False) if each == address), "")


NOBODY = Members()


class SharedMembers:
    """Make it before the processes are forked. One of them publishes."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._now = now
        self._read = NOBODY
        self._given = NOBODY

    def publish(self, own: str, present: tuple[str, ...], *, seconds: float, keys: tuple[str, ...] = ()) -> None:
        """From now on, and for so many seconds, these are there."""
        if (own, present, keys) != (self._given.own, self._given.present, self._given.keys):
            self._given = Members(own, present, self._version() + 1, keys)  # also after a process that published before
        content = msgspec.msgpack.encode(self._given)
        if _HEAD.size + len(content) > _SIZE:
            raise ValueError(f"{len(present)} nodes are more than there is room for")
        until = self._now() + seconds
        self._memory[_HEAD.size : _HEAD.size + len(content)] = content
        _HEAD.pack_into(self._memory, 0, self._given.version, until, len(content), zlib.crc32(content))

    def now(self) -> Members:
        """Who is there."""
        version, until = _TIME.unpack_from(self._memory)
        if self._now() > until:
            return NOBODY
        return self._read if version == self._read.version else self._changed()

    def _version(self) -> int:
        return int(_TIME.unpack_from(self._memory)[0])

    def _changed(self) -> Members:
        _, _, length, checksum = _HEAD.unpack_from(self._memory)
        content = self._memory[_HEAD.size : _HEAD.size + length]
        if zlib.crc32(content) == checksum:
            self._read = msgspec.msgpack.decode(content, type=Members)
        return self._read
