"""What came of moving wrapped keys to the active version of the wrapping key."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

import msgspec

MOST_DAMAGED = 100
"""Places of damaged keys that a report names."""


class Outcome(Enum):
    """Of one key."""

    MOVED = "moved"
    KEPT = "kept"
    """It was under the active version, or a later one, already."""
    REMAINING = "remaining"
    DAMAGED = "damaged"
    GONE = "gone"


class Rewrap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a function is asked that moves keys, a turn at a time."""

    after: str = ""
    """What the answer to the one before said."""


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn did. All turns together, from the first to the one whose ``after`` is None, saw every key."""

    active: int
    """The version that keys are moved to."""
    moved: int
    kept: int
    """Keys that were under it, or a later one, already."""
    remaining: int
    """Keys that are under an earlier one still, because others changed them again and again. The next pass has them."""
    damaged: list[str]
    """Places of keys that are not what they were, the first hundred. What they open is lost unless they are repaired,
    which whoever needs them tries."""
    after: str | None
    """Where the next turn goes on; None: there is no more."""
    sealed: int = 0
    """What stood in clear, from before things of its kind were sealed, and does no more."""

    @property
    def behind(self) -> int:
        """Keys that this turn left under an earlier version."""
        return self.remaining + len(self.damaged)


@dataclass(kw_only=True)
class Tally:
    """Counts outcomes."""

    active: int
    counts: Counter[Outcome] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def add(self, place: str, outcome: Outcome) -> None:
        """Count what came of the key at ``place``."""
        self.counts[outcome] += 1
        if outcome is Outcome.DAMAGED and len(self.damaged) < MOST_DAMAGED:
            self.damaged.append(place)

    def report(self, *, after: str | None, sealed: int = 0) -> Rewrapped:
        """See `Rewrapped`."""
        return Rewrapped(
            active=self.active,
            moved=self.counts[Outcome.MOVED],
            kept=self.counts[Outcome.KEPT],
            remaining=self.counts[Outcome.REMAINING],
            damaged=self.damaged,
            after=after,
            sealed=sealed,
        )
