"""One process's copy of a collection, kept level with the log."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from anfl.problems import Problem, conflict
from anfl.vectors.envelope import DamagedError
from anfl.vectors.log import Batch, CorruptLogError, Log, LogGapError
from anfl.vectors.model import Collection, Position
from anfl.vectors.node import CollectionFolder, LocalImage
from anfl.vectors.requests import Read, position_of
from anfl.vectors.snapshots import Snapshots
from anfl.vectors.state import State

STALE_SECONDS = 1.0
"""A bounded read looks for news when the last look is older."""
WAIT_SECONDS = 2.0
"""Longest wait for a position that a reader asks for."""
OUT_OF_TOUCH_SECONDS = 300.0
"""Who has not looked for longer does not trust a free slot: the log may have been cut off beyond it."""
LISTING_SECONDS = 3600.0
"""How long it holds that no slot behind a position was cut off."""
TROUBLE_SECONDS = 5.0
"""How long a damaged log is not looked at again."""
LOAD_SECONDS = 300.0
"""How long a process waits for another one of its node that brings the same snapshot."""
IMAGE_BATCHES = 200
"""Batches behind an image after which a new one is wanted, however small they are."""
STORE_SECONDS = 3600.0
"""By how much two times of the object store differ that are days apart."""
_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)
T = TypeVar("T")


def _uptime() -> float:
    """Seconds that pass while the machine sleeps, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class Clock:
    """Time, replaceable by a simulated one."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = field(default=_uptime)
    sleep: Callable[[float], None] = time.sleep


class Replica:
    """Safe for threads. The state changes by the next batch, whoever found it first, or by a newer image of it."""

    def __init__(self, *, log: Log, snapshots: Snapshots, folder: CollectionFolder, clock: Clock) -> None:
        self.log = log
        self.snapshots = snapshots
        self.folder = folder
        self._clock = clock
        self._state = State(log.collection, clock=clock.wall)
        self._shown = self._state.still()
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._level_at = float("-inf")
        """Monotonic time at which every batch committed before it had been applied."""
        self.applied_bytes = 0
        """Of values, since this process began."""
        self._installed = ""
        """Name of the image that the state was made from."""
        self._image_sequence = 0
        self._trouble: tuple[Problem, float] | None = None

    @property
    def collection(self) -> Collection:
        """The collection with its present settings."""
        return self._state.collection

    @property
    def trouble(self) -> Problem | None:
        """Why the log cannot be followed any further: then the collection can be read, and not be written to."""
        return self._trouble[0] if self._trouble else None

    def adopt(self, collection: Collection) -> None:
        """Take over changed settings of the same incarnation."""
        with self._lock:
            self._state.adopt(collection)
            self._shown = self._state.still()

    def load(self) -> None:
        """Read the newest image there is and the log behind it; once, before anything else.

        :raises LogGapError: the log does not begin where it has to.
        :raises Problem: 503, the store does not answer.
        """
        started = self._clock.monotonic()
        with self.folder.lock("load", seconds=LOAD_SECONDS):
            self._state = self._from_folder() or self._from_snapshot(after=0) or self._state
            self._shown = self._state.still()
        try:
            self._follow_listing(started)
        except (CorruptLogError, LogGapError) as trouble:
            if isinstance(trouble, LogGapError) and not self._state.sequence:
                raise  # nothing is here, and that is no state the collection ever had
            self._note(trouble)

    def view(self, read: Callable[[State], T]) -> T:
        """What ``read`` makes of the state, which does not change meanwhile."""
        with self._lock:
            return read(self._state)

    def apply(self, batch: Batch) -> None:
        """Take in a committed batch, unless somebody else already has."""
        with self._lock:
            if batch.sequence == self._state.sequence + 1:
                self._state.apply(batch)
                self._shown = self._state.still()
                self.applied_bytes += sum(len(row.values) for row in batch.rows)

    def wants_builder(self) -> bool:
        """Whether this node's builder should make a new image."""
        with self._lock:
            state = self._state
            behind = state.sequence - self._image_sequence
            return behind >= IMAGE_BATCHES or state.rows.is_due(now=state.ts, quiet=state.is_quiet())

    def publish(self) -> tuple[LocalImage, int]:
        """Make the state an image for this node's other processes; returns it and the number of its rows."""
        with self._lock:
            return self.folder.publish(self._state.position, self._state.image()), len(self._state.rows)

    @property
    def shown(self) -> State:
        """The state as it is now, to read from. It stays as it is, and nobody waits for it, not even while a batch is
        being applied."""
        return self._shown

    @property
    def sequence(self) -> int:
        """The last applied place of the log."""
        return self._shown.sequence

    def level_for(self) -> float:
        """Seconds for which news may have gone unnoticed."""
        return self._clock.monotonic() - self._level_at

    def has_reached(self, wanted: Position) -> bool:
        """Whether ``wanted`` is applied; False also for a position of another history."""
        return self.collection.holds(wanted) and self.sequence >= wanted.sequence

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
            for mark in self.snapshots.verified().values()
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

    def install_newest(self) -> bool:
        """Take over the newest image of this node, if it is news; returns whether it was."""
        name = self.folder.newest()
        if name is None or name <= self._installed:
            return False
        local = self.folder.load(name)
        if local is None or not self.collection.holds(local.position):
            return False
        try:
            with self._lock:
                installed = self._state.install(local.image)
                self._shown = self._state.still()
            if not installed and not self._swap(State.from_image(self.collection, local.image, clock=self._clock.wall)):
                return False
        except FileNotFoundError:  # a newer image has taken its place meanwhile
            return False
        except ValueError as damage:
            self._installed = name  # not again
            _log.error("damaged image", extra={"image": name, "reason": str(damage)})
            return False
        self._installed, self._image_sequence = name, local.position.sequence
        return True

    def _swap(self, state: State) -> bool:
        """Take ``state`` in place of the present one unless that is newer."""
        with self._lock:
            if state.sequence < self._state.sequence:
                return False
            state.adopt(self._state.collection)
            self._state = state
            self._shown = state.still()
            return True

    def _probe(self) -> None:
        while True:
            started = self._clock.monotonic()
            if not self.in_touch():
                self._follow_listing(started)
            batch = self.log.read(self.sequence + 1)
            if not self.in_touch():
                continue  # so much time has passed that the slot may be free again, or hold what came far too late
            if batch is None:
                self.mark_level(started)
                return
            self.apply(batch)

    def _follow_listing(self, started: float) -> None:
        """Apply what a listing shows; where the log may have been cut off, go on from a snapshot."""
        while not self._has_followed():
            pass
        self.mark_level(started)

    def _has_followed(self) -> bool:
        """Whether everything that a listing shows is applied; if not, another look is needed."""
        looked = self._clock.monotonic()
        reached = self.sequence
        if self.snapshots.cut_off(self._clock.wall()) > reached and (newer := self._from_snapshot(after=reached)):
            self._swap(newer)
        try:
            for batch in self.log.tail(self.sequence):
                if self._clock.monotonic() - looked > LISTING_SECONDS:
                    return False
                self.apply(batch)
        except LogGapError:
            newer = self._from_snapshot(after=self.sequence)
            if newer is None:
                raise
            self._swap(newer)
            return False
        return True

    def _from_folder(self) -> State | None:
        name = self.folder.newest()
        local = None if name is None else self.folder.load(name)
        if name is None or local is None or not self.log.collection.holds(local.position):
            return None
        try:
            state = State.from_image(self.log.collection, local.image, clock=self._clock.wall)
        except (FileNotFoundError, ValueError) as damage:
            _log.error("damaged image", extra={"image": name, "reason": str(damage)})
            return None
        self._installed, self._image_sequence = name, local.position.sequence
        return state

    def _from_snapshot(self, *, after: int) -> State | None:
        """The state of the newest snapshot behind ``after`` that is whole."""
        for listed in self.snapshots.newest_first():
            if listed.position.sequence <= after:
                return None
            try:
                manifest = self.snapshots.read(listed.path)
                local = self.folder.publish(manifest.position, self.snapshots.fetch(manifest, self.folder))
                state = State.from_image(self.log.collection, local.image, clock=self._clock.wall)
            except (DamagedError, FileNotFoundError, ValueError) as damage:
                extra = {"key": self.snapshots.key(listed.path), "reason": str(damage)}
                _log.error("damaged snapshot", extra=extra)
                continue
            if local.name > self._installed:
                self._installed, self._image_sequence = local.name, local.position.sequence
            return state
        return None

    def _note(self, trouble: Problem) -> None:
        if self._trouble is None:
            _log.error("the log cannot be followed", extra={"collection": self.collection.name, "code": trouble.code})
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
