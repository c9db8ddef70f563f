"""What the processes of one node tell each other: how far each collection's log is known to reach.

A hint and nothing more: who sees that a log reaches further than its own copy looks at the log before it answers. So a
write through one worker is seen at once through the others, and not only when their copies are a second old.
"""

import mmap
import struct
from hashlib import blake2b
from typing import Protocol

_SLOTS = 1 << 15
_SLOT = struct.Struct("<QQ")


class Tails(Protocol):
    """The newest known sequence of each log."""

    def newest(self, prefix: str) -> int:
        """The highest sequence heard of for the collection with this prefix of keys; 0 for none."""

    def publish(self, prefix: str, sequence: int) -> None:
        """A batch of this sequence is committed."""


class NoTails:
    """A process on its own."""

    def newest(self, _prefix: str) -> int:
        """See `Tails.newest`."""
        return 0

    def publish(self, _prefix: str, _sequence: int) -> None:
        """See `Tails.publish`."""


class SharedTails:
    """Memory that processes forked after its creation share. A slot holds whoever wrote to it last.

    Two collections whose names fall into one slot push each other out, and a torn write reads as nobody's or as too
    much: either costs a look at the log.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT.size)
        self._places: dict[str, tuple[int, int]] = {}

    def newest(self, prefix: str) -> int:
        """See `Tails.newest`."""
        fingerprint, offset = self._place(prefix)
        found, sequence = _SLOT.unpack_from(self._memory, offset)
        return int(sequence) if found == fingerprint else 0

    def publish(self, prefix: str, sequence: int) -> None:
        """See `Tails.publish`."""
        fingerprint, offset = self._place(prefix)
        if self.newest(prefix) < sequence:
            _SLOT.pack_into(self._memory, offset, fingerprint, sequence)

    def _place(self, prefix: str) -> tuple[int, int]:
        place = self._places.get(prefix)
        if place is None:
            if len(self._places) >= _SLOTS:
                self._places.clear()
            fingerprint = int.from_bytes(blake2b(prefix.encode(), digest_size=8).digest(), "little")
            place = self._places[prefix] = fingerprint, fingerprint % _SLOTS * _SLOT.size
        return place
