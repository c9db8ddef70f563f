"""One process's copy of a collection, kept level with the log, and its background builder of graphs."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from anfl.problems import Problem, conflict
from anfl.vectors.engine.rows import Work
from anfl.vectors.log import Batch, Log
from anfl.vectors.model import Collection, Position
from anfl.vectors.requests import Read, position_of
from anfl.vectors.state import State

STALE_SECONDS = 1.0
"""A bounded read looks for news when the last look is older."""
WAIT_SECONDS = 2.0
"""Longest wait for a position that a reader asks for."""
_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """Time, replaceable by a simulated one."""

    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Replica:
    """Safe for threads. Only `apply` changes the state, batch by batch, whoever found the batch first."""

    def __init__(self, collection: Collection, log: Log, *, builder: Executor, clock: Clock) -> None:
        self.log = log
        self._state = State(collection, clock=clock.wall)
        self._clock = clock
        self._builder = builder
        self._building = False
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._level_at = float("-inf")
        """Monotonic time at which every batch committed before it had been applied."""

    @property
    def collection(self) -> Collection:
        """The collection with its present settings."""
        return self._state.collection

    def adopt(self, collection: Collection) -> None:
        """Take over changed settings of the same incarnation."""
        with self._lock:
            self._state.adopt(collection)

    def load(self) -> None:
        """Replay the log to its tail; once, before anything else.

        :raises Problem: 503, the log is damaged or cannot be read.
        """
        started = self._clock.monotonic()
        for batch in self.log.replay():
            self._state.apply(batch)
        self.mark_level(started)
        with self._lock:
            self._build_next()

    def view(self, read: Callable[[State], T]) -> T:
        """What ``read`` makes of the state, which does not change meanwhile."""
        with self._lock:
            return read(self._state)

    def apply(self, batch: Batch) -> None:
        """Take in a committed batch, unless somebody else already has."""
        with self._lock:
            if batch.sequence == self._state.sequence + 1:
                self._state.apply(batch)
                self._build_next()

    def view_at_once(self, read: Callable[[State], T]) -> T | None:
        """As `view`; None where somebody else holds the state."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return read(self._state)
        finally:
            self._lock.release()

    def level_for(self) -> float:
        """Seconds for which news may have gone unnoticed."""
        return self._clock.monotonic() - self._level_at

    def has_reached(self, wanted: Position) -> bool:
        """Whether ``wanted`` is applied; False also for a position of another epoch."""
        return wanted.epoch == self.collection.epoch and self._state.sequence >= wanted.sequence

    @property
    def sequence(self) -> int:
        """The last applied place of the log in its epoch."""
        return self._state.sequence

    def now(self) -> float:
        """Monotonic seconds, to be handed to `level_with`."""
        return self._clock.monotonic()

    def mark_level(self, moment: float) -> None:
        """Everything committed before ``moment`` has been applied."""
        self._level_at = max(self._level_at, moment)

    def level_with(self, moment: float) -> None:
        """Apply at least everything committed before ``moment``. Who waits here shares one look at the log.

        :raises Problem: 503, the log is damaged or cannot be read.
        """
        with self._probing:
            if self._level_at > moment:  # a look at the very same tick may have begun before
                return
            while True:
                started = self._clock.monotonic()
                batch = self.log.read(self.view(lambda state: state.sequence) + 1)
                if batch is None:
                    self.mark_level(started)
                    return
                self.apply(batch)

    def freshen(self, read: Read) -> None:
        """Bring the state to what ``read`` asks for.

        :raises Problem: 409 ``history_lost`` for a position of another epoch; 503 where a position is not reached.
        """
        now = self._clock.monotonic()
        self.level_with(now if read.consistency == "strong" else now - STALE_SECONDS)
        if read.min_sequence is not None:
            self._reach(position_of(read.min_sequence), now + WAIT_SECONDS)

    def _reach(self, wanted: Position, deadline: float) -> None:
        if wanted.epoch != self.collection.epoch:
            raise conflict("The position is of a history that was given up by a restore.", code="history_lost")
        while self.view(lambda state: state.sequence) < wanted.sequence:
            now = self._clock.monotonic()
            if now >= deadline:
                raise Problem(503, "position_not_reached", f"Position {wanted} is not here yet.", retry_after=1)
            self.level_with(now)
            if self.view(lambda state: state.sequence) < wanted.sequence:
                self._clock.sleep(_POLL_SECONDS)

    def _build_next(self) -> None:
        """Give the builder its next work, one at a time; called with the lock held."""
        if self._building:
            return
        work = self._state.rows.pending()
        if work is not None:
            self._building = True
            self._builder.submit(self._build, work)

    def _build(self, work: Work) -> None:
        try:
            built = self._state.rows.carry_out(work, threads=1)
            with self._lock:
                self._state.rows.install(built)
                self._building = False
                self._build_next()
        except Exception:
            # Rows without a graph are found by scanning: slower, and still right.
            _log.exception("building a graph failed", extra={"collection": self.collection.name})
