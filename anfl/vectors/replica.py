"""One process's copy of a collection, kept level with the log."""

import logging
import threading

from anfl.problems import Problem, conflict
from anfl.vectors.clock import Clock
from anfl.vectors.collection_folder import CollectionFolder
from anfl.vectors.local_copy import LocalCopy
from anfl.vectors.log import Log
from anfl.vectors.model import Position
from anfl.vectors.requests import Read, position_of
from anfl.vectors.snapshots import Snapshots
from anfl.vectors.trouble import CorruptLogError, LogGapError

STALE_SECONDS = 1.0
"""A bounded read looks for news when the last look is older."""
REFRESH_SECONDS = STALE_SECONDS / 2
"""A collection that is read gets its next look at catalogue and log at this age, so that no reader waits for it."""
WAIT_SECONDS = 2.0
"""Longest wait for a position that a reader asks for."""
OUT_OF_TOUCH_SECONDS = 300.0
"""Who has not looked for longer does not trust a free slot: the log may have been cut off beyond it."""
LISTING_SECONDS = 3600.0
"""How long it holds that no slot behind a position was cut off."""
TROUBLE_SECONDS = 5.0
"""How long a damaged log is not looked at again."""
STORE_SECONDS = 3600.0
"""By how much two times of the object store differ that are days apart."""
_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Replica(LocalCopy):
    """A copy that follows the log. Safe for threads: the next batch is applied by whoever found it first."""

    def __init__(
        self, *, log: Log, snapshots: Snapshots, folder: CollectionFolder, clock: Clock, is_home: bool = True
    ) -> None:
        """:param is_home: whether the log is written here; else objects are copied here, in any order."""
        super().__init__(log.collection, snapshots=snapshots, folder=folder, clock=clock)
        self.log = log
        self._is_home = is_home
        self._listed_at = float("-inf")
        """When the log was last listed, in monotonic seconds."""
        self._probing = threading.Lock()
        self._level_at = float("-inf")
        """Monotonic time at which every batch committed before it had been applied."""
        self._trouble: tuple[Problem, float] | None = None

    @property
    def trouble(self) -> Problem | None:
        """Why the log cannot be followed any further: then the collection can be read, and not be written to."""
        return self._trouble[0] if self._trouble else None

    def load(self) -> None:
        """Read the newest image there is and the log behind it; once, before anything else.

        :raises LogGapError: the log does not begin where it has to, or what the collection was made of is not here.
        :raises Problem: 503, the store does not answer.
        """
        started = self._clock.monotonic()
        self.begin()
        try:
            self._follow_listing(started)
        except (CorruptLogError, LogGapError) as trouble:
            if isinstance(trouble, LogGapError) and not self.sequence:
                raise  # nothing is here, and that is no state the collection ever had
            self._note(trouble)
        if self.sequence < self.collection.begins_at:
            raise LogGapError(self.log.key(self.collection.begins_at))

    def level_for(self) -> float:
        """Seconds for which news may have gone unnoticed."""
        return self._clock.monotonic() - self._level_at

    def now(self) -> float:
        """Monotonic seconds, to be handed to `level_with`."""
        return self._clock.monotonic()

    def mark_level(self, moment: float) -> None:
        """Everything committed before ``moment`` has been applied."""
        self._level_at = max(self._level_at, moment)
        self._trouble = None

    def in_touch(self) -> bool:
        """Whether a slot that is free now has never been taken."""
        return self._clock.monotonic() - self._level_at <= OUT_OF_TOUCH_SECONDS

    def came_too_late(self, sequence: int) -> bool:
        """Whether slot ``sequence`` may have been free only because the log had been cut off beyond it: then what
        stands there is no part of it, and retention removes it. A repair is a late put, too, so this is no proof.

        :raises Problem: 503, the store does not answer.
        """
        written = self.log.modified(sequence)
        return written is None or any(
            mark.position.sequence >= sequence and mark.modified < written - STORE_SECONDS
            for mark in self.snapshots.manifests.verified().values()
        )

    def level_with(self, moment: float) -> None:
        """Apply at least everything committed before ``moment``. Who waits here shares one look at the log.

        :raises CorruptLogError, LogGapError: it cannot be followed so far; what was applied before stays.
        :raises Problem: 503, the store does not answer.
        """
        with self._probing:
            if self._level_at > moment:  # a look at the very same tick may have begun before
                return
            if self._trouble is not None and self._clock.monotonic() - self._trouble[1] < TROUBLE_SECONDS:
                raise self._trouble[0]
            try:
                self._probe()
            except (CorruptLogError, LogGapError) as trouble:
                self._note(trouble)
                raise

    def take_cached(self) -> None:
        """Apply what other processes of this node have committed; asks no store."""
        while (batch := self.log.read_cached(self.sequence + 1)) is not None:
            if not self.in_touch():  # see `_probe`
                return
            self.apply(batch)

    def freshen(self, read: Read) -> None:
        """Bring the state to what ``read`` asks for.

        :raises Problem: 409 ``history_lost`` for a position of another epoch; 503 where a position is not reached,
            or the log is damaged before what is asked for.
        """
        now = self._clock.monotonic()
        try:
            self.level_with(now if read.consistency == "strong" else now - STALE_SECONDS)
        except (CorruptLogError, LogGapError):
            if read.consistency == "strong":
                raise
        if read.min_sequence is not None:
            self._reach(position_of(read.min_sequence), now + WAIT_SECONDS)

    def _probe(self) -> None:
        while True:
            started = self._clock.monotonic()
            if not self.in_touch() or self._may_be_overtaken():
                self._follow_listing(started)
            batch = self.log.read(self.sequence + 1)
            if not self.in_touch():
                continue  # so much time has passed that the slot may be free again, or hold what came far too late
            if batch is None:
                self.mark_level(started)
                return
            self.apply(batch)

    def _may_be_overtaken(self) -> bool:
        """Whether a slot that is free may be one that never arrives, and later ones, or a snapshot, are here."""
        return not self._is_home and self._clock.monotonic() - self._listed_at > OUT_OF_TOUCH_SECONDS

    def _follow_listing(self, started: float) -> None:
        """Apply what a listing shows; where the log may have been cut off, go on from a snapshot."""
        self._listed_at = started
        while not self._has_followed():
            pass
        self.mark_level(started)

    def _has_followed(self) -> bool:
        """Whether everything that a listing shows is applied; if not, another look is needed."""
        looked = self._clock.monotonic()
        reached = self.sequence
        if self.snapshots.manifests.cut_off(self._clock.wall()) > reached:
            self.go_on(after=reached)
        try:
            for batch in self.log.tail(self.sequence):
                if self._clock.monotonic() - looked > LISTING_SECONDS:
                    return False
                self.apply(batch)
        except LogGapError:
            if self.go_on(after=self.sequence):
                return False
            if self._is_home or not self.sequence:
                raise
            # What is missing has yet to arrive.
        return True

    def _note(self, trouble: CorruptLogError | LogGapError) -> None:
        if self._trouble is None:
            extra = {"collection": self.collection.name, "code": trouble.code, "key": trouble.key}
            _log.error("the log cannot be followed", extra=extra)
        self._trouble = (trouble, self._clock.monotonic())

    def _reach(self, wanted: Position, deadline: float) -> None:
        if not self.collection.holds(wanted):
            raise conflict("The position is of a history that was given up.", code="history_lost")
        while self.sequence < wanted.sequence:
            now = self._clock.monotonic()
            if now >= deadline:
                raise Problem(503, "position_not_reached", f"Position {wanted} is not here yet.", retry_after=1)
            self.level_with(now)
            if self.sequence < wanted.sequence:
                self._clock.sleep(_POLL_SECONDS)
