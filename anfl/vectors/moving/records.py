"""What the catalogue notes of a move, at the collection that is moved and at the one that it becomes."""

from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """How far a move is."""

    COPYING = "copying"
    """All rows are compared, pass after pass, and what differs is copied."""
    FOLLOWING = "following"
    """What has been written since the last pass is copied."""
    PAUSED = "paused"
    """Nobody writes: the rest is copied, and all of it is looked at."""
    SWITCHING = "switching"
    """The other collection takes writes, and gets the aliases. There is no way back."""
    DONE = "done"
    UNDOING = "undoing"
    """The other collection is being deleted."""


class Moving(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of a collection that is moved, or was. It changes by comparing and setting; times are seconds since the epoch."""

    to: str
    incarnation: str
    """Of the collection ``to``."""
    making: str = ""
    """The engine of the collection ``to``, which is not made yet; ``""``: it is."""
    region: str = ""
    """Where it is carried out: what the catalogue compares and sets, and fences, hold in one region at once."""
    stage: Stage = Stage.COPYING
    driver: str = ""
    """Who carries out a step at present."""
    taken_at: float = 0.0
    """When that began; 0: it ended otherwise than it should have."""
    paused_until: float = 0.0
    """From then on whoever wants to write may end the pause. Of what is being undone, 0: there is none. Of what is
    done: when it was."""
    settled_at: float = 0.0
    """From about then on nobody writes who did not know of the pause; 0: it is not known everywhere yet."""
    passes: int = 0
    after: str = ""
    """The id up to which this pass has come."""
    since: str | None = None
    """A position of the log: what was written before it is copied, or will be by this pass. None: a pass begins."""
    requests: str = ""
    """How far request ids are copied, in the engine's own terms."""
    all_requests: bool = False
    """Whether that is as far as ``since``."""
    looked: int = 0
    """Rows that this pass has looked at."""
    changed: int = 0
    """Of those, how many were not as they should be."""
    behind: int = 0
    """Batches of the log that were written meanwhile and are not copied yet, when that was looked at."""
    copied: bool = False
    """Whether the rest is copied, while nobody writes: what is left is to compare."""
    samples: tuple[str, ...] = ()
    """Rows to search around, when all is looked at."""
    slowdown: int = 0
    """How often what is looked at together was halved (`anfl.vectors.pace`)."""
    failures: int = 0
    """How often it was not as it should have been in the end."""

    @property
    def is_waited_for(self) -> bool:
        """Whether whoever wants to write waits, for as long as `paused_until` says."""
        return self.stage is Stage.PAUSED or (self.stage is Stage.UNDOING and self.paused_until > 0)

    def is_here(self, region: str) -> bool:
        """Whether it is carried out in ``region``."""
        return self.region in ("", region)


class Filling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of a collection that is, or was, filled with the rows of another one."""

    source: str
    incarnation: str
    """Of the collection ``source``."""
    round: int = 1
    """Only who knows it may write. Whoever takes over a move counts it up, and so gets rid of who was at it before."""
    ready: bool = False
    """Whether it is an ordinary collection by now."""
