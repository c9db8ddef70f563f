"""Log objects that a node's processes keep for each other."""

from typing import Protocol

from anfl.vectors.model import Position


class SlotCache(Protocol):
    """Objects of committed slots that another process of this node has seen. It may forget, and it may be wrong:
    what it says is checked as if it came from the store."""

    def get(self, position: Position) -> bytes | None:
        """The object of a slot, if it is known."""

    def keep(self, position: Position, data: bytes | bytearray) -> None:
        """Remember a committed slot."""

    def forget(self, position: Position) -> None:
        """What was kept is wrong."""


class NoCache:
    """Remembers nothing; for a process that is alone."""

    def get(self, _position: Position) -> bytes | None:
        """See `SlotCache.get`."""
        return None

    def keep(self, _position: Position, _data: bytes | bytearray) -> None:
        """See `SlotCache.keep`."""

    def forget(self, _position: Position) -> None:
        """See `SlotCache.forget`."""
