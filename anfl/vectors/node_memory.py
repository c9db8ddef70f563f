"""Memory that the processes of one node share: what one of them does is known to the others at once."""

from dataclasses import dataclass, field

from anfl.vectors.marks import Marks
from anfl.vectors.tails import NoTails, SharedTails, Tails


@dataclass(frozen=True, kw_only=True)
class NodeMemory:
    """What the processes tell each other: how far logs reach, and which names have changed. Made before they fork."""

    tails: Tails = field(default_factory=NoTails)
    marks: Marks = field(default_factory=Marks)

    @classmethod
    def shared(cls) -> "NodeMemory":
        """Of several processes; by itself it is that of one on its own."""
        return cls(tails=SharedTails())
