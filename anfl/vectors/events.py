"""What operators want to hear of a store. Whoever runs it decides what becomes of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Turn(StrEnum):
    """How a turn of the builder at a collection ended."""

    DONE = "done"
    POSTPONED = "postponed"
    """The store did not answer, or the log is damaged."""
    FAILED = "failed"
    """Something on this node, or of ours: a full disk, a file that is gone, a defect."""


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What a process has in memory. Rows that have expired count until they are removed."""

    collections: int
    rows: int
    segments: int
    unmerged_rows: int
    """Rows outside graphs."""
    most_unmerged_rows: int
    """The same, of the collection that has most of them."""
    memory_bytes: int
    memory_limit_bytes: int
    stuck_logs: int
    """Collections whose log cannot be followed, for a damaged or missing object."""


class Events(Protocol):
    """Who is told. No call may take long."""

    def turned(self, turn: Turn) -> None:
        """The builder has looked after a collection."""

    def damaged(self, *, repaired: bool) -> None:
        """An object is not what was written; ``repaired``: a copy has taken its place."""

    def holds(self, holdings: Holdings) -> None:
        """What the process has in memory now."""


class NoEvents:
    """Nobody is told."""

    def turned(self, _turn: Turn) -> None:
        """See `Events.turned`."""

    def damaged(self, *, repaired: bool) -> None:
        """See `Events.damaged`."""

    def holds(self, _holdings: Holdings) -> None:
        """See `Events.holds`."""
