"""One attempt at a job: how often it was tried before, and how long it may take."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from anfl.problems import Problem
from anfl.vectors.clock import Clock

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
"""Of one wait."""
TOLD_SECONDS = 1.0
"""What waits so long tells why."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """``deadline`` in monotonic seconds of ``clock``."""

    number: int
    most: int
    """After so many the queue gives a job up."""
    deadline: float
    clock: Clock
    told: Callable[[Problem, float], None] = lambda *_: None
    """Called with the reason of a wait and its seconds, before it begins."""

    @property
    def is_last(self) -> bool:
        """Whether the job is given up if this one fails."""
        return self.number >= self.most

    @property
    def until(self) -> float:
        """Seconds since the epoch at which it has ended, one way or another."""
        return self.clock.wall() + max(0.0, self.deadline - self.clock.monotonic())

    def patiently(self, call: Callable[[], T]) -> T:
        """What ``call`` returns, which is made again while what it asks is only busy, and time is left.

        :raises Problem: as ``call``.
        """
        pause = FIRST_SECONDS
        while True:
            try:
                return call()
            except Problem as problem:
                wait = max(problem.retry_after or 0, random.uniform(pause / 2, pause))  # noqa: S311 - no secret
                if not is_passing(problem) or self.clock.monotonic() + wait > self.deadline:
                    raise
                if wait >= TOLD_SECONDS:
                    self.told(problem, wait)
            self.clock.sleep(wait)
            pause = min(2 * pause, LONGEST_SECONDS)


def is_passing(problem: Problem) -> bool:
    """Whether the same may succeed later."""
    return problem.status == 429 or problem.status >= 500
