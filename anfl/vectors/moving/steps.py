"""What a step of a move does, stage by stage: a bounded part of it, after which it can be left off for any time."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from anfl.vectors import pace
from anfl.vectors.clock import Clock
from anfl.vectors.moving.access import PAUSE_SECONDS, is_overdue
from anfl.vectors.moving.copying import SAMPLES
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.turns import Turn
from anfl.vectors.moving.verifying import unverified, verify

STEP_SECONDS = 2.0
"""For so long a step goes on with what it has begun."""
PAGE_ROWS = 500
FEW = 1_000
"""Rows that differ so few that writers can be kept waiting for them; also about what is followed at a time."""
LEAST_PASSES, MOST_PASSES = 2, 5
"""The second pass sees whether what the first one has written is there. More of them, as long as much is written
meanwhile."""
LAST_PASSES = 2 * MOST_PASSES
"""After which it is left to the comparison to find what stays different."""
NEARER = 0.9
"""Of what was to be followed, a step that gets nearer to its end leaves so much at most."""
MOST_PAUSED_SECONDS = 20.0
"""For so long, about, writers wait at a time for what was written meanwhile to be copied."""
VERIFY_SECONDS = 20.0
"""For so long an index may lag behind."""
MOST_FAILURES = 3


@dataclass(frozen=True)
class Steps:
    """Carries out steps."""

    clock: Clock

    def copy(self, turn: Turn) -> None:
        """Go on with a pass; of the last one, go over to what was written meanwhile."""
        if not self._has_passed(turn):
            return
        moving = turn.moving
        if moving.passes >= LEAST_PASSES and (moving.changed <= FEW or moving.passes >= MOST_PASSES):
            turn.set(stage=Stage.FOLLOWING)
        else:
            turn.set(since=None)

    def follow(self, turn: Turn) -> None:
        """Copy what was written meanwhile; once that is done, or comes to no end, ask for a pause."""
        follows = turn.source.engine.follows
        if follows:
            before = turn.moving.behind
            caught_up = self._has_caught_up(turn)
            if turn.moving.stage is Stage.COPYING:
                return
            if not caught_up and (not before or turn.moving.behind <= before * NEARER):
                return
        # An engine that does not follow is looked at as a whole once more.
        since = turn.moving.since if follows else None
        until = self.clock.wall() + PAUSE_SECONDS
        turn.set(stage=Stage.PAUSED, paused_until=until, settled_at=0.0, since=since, copied=False)

    def finish(self, turn: Turn) -> None:
        """While nobody writes: copy the rest, and look whether it comes to the same."""
        if not turn.moving.settled_at:
            # Slept, since the next step may be a node's whose clock is ahead.
            self.clock.sleep(turn.source.engine.fence(turn.source.collection))
            turn.set(settled_at=self.clock.wall())
        if not turn.moving.copied:
            turn.set(copied=self._has_copied_the_rest(turn))
        if turn.moving.copied:
            self._verify(turn)
        elif turn.moving.behind and self.clock.wall() > turn.moving.settled_at + MOST_PAUSED_SECONDS:
            # Writers who are faster than they are copied have waited for long, and are let go on for a step.
            turn.set(stage=Stage.FOLLOWING)

    def _has_copied_the_rest(self, turn: Turn) -> bool:
        if turn.source.engine.follows:
            return self._has_caught_up(turn)
        if not self._has_passed(turn):
            return False
        if not turn.moving.changed or turn.moving.passes >= LAST_PASSES:
            return True
        # Of a batch that came too late (`anfl.vectors.dynamodb.fences`) a pass may have seen a part. Once all is equal
        # from end to end, that is there as a whole or not at all, and so is its request id.
        turn.set(since=None)
        return False

    def _verify(self, turn: Turn) -> None:
        moving = turn.moving
        if verify(turn.source, turn.target, moving.samples, looked=moving.looked):
            # Too late, writers may have been let go on, in other regions unnoticed here.
            overdue = is_overdue(moving, self.clock.wall())
            turn.set(stage=Stage.FOLLOWING if overdue else Stage.SWITCHING)
            return
        turn.wait = 1.0
        if self.clock.wall() < moving.settled_at + VERIFY_SECONDS:
            return
        # The writers go on, and all of it begins anew.
        failures = moving.failures + 1
        if failures == MOST_FAILURES:
            failures, turn.problem = 0, unverified(turn.source.collection.name, moving.to)
        turn.set(stage=Stage.COPYING, passes=0, since=None, failures=failures)

    def _has_caught_up(self, turn: Turn) -> bool:
        """Follow the log for a while; whether everything of it is copied that was there a moment ago."""
        copier, end = turn.copier, self.clock.monotonic() + STEP_SECONDS
        while True:
            with self._paced(turn, FEW) as most:
                changes = turn.source.engine.changes(turn.source.collection, turn.moving.since, most=most)
                if changes is None:  # it is too long ago
                    turn.set(stage=Stage.COPYING, passes=0, since=None, behind=0)
                    return False
                copier.ids(changes.ids)
                copier.remember(changes.requests)
                turn.set(since=changes.position, behind=changes.behind)
            if not changes.behind or self.clock.monotonic() >= end:
                return not changes.behind

    def _has_passed(self, turn: Turn) -> bool:
        """Go on with a pass for a while; whether it is done."""
        if turn.moving.since is None:
            self._begin_pass(turn)
        end = self.clock.monotonic() + STEP_SECONDS
        while not turn.moving.all_requests:
            with self._paced(turn, FEW) as most:
                page = turn.source.engine.requests(turn.source.collection, turn.moving.requests, most=most)
                turn.copier.remember(page.requests)
                turn.set(requests=page.cursor, all_requests=not page.more)
            if self.clock.monotonic() >= end:
                return False
        while True:
            moving = turn.moving
            with self._paced(turn, PAGE_ROWS) as most:
                looked = turn.copier.page(moving.after, most)
                turn.set(
                    after=looked.after,
                    looked=moving.looked + looked.rows,
                    changed=moving.changed + looked.changed,
                    samples=_sampled(moving.samples, looked.samples, pages=moving.looked // most + 1),
                    passes=moving.passes + (not looked.after),
                )
            if not looked.after or self.clock.monotonic() >= end:
                return not looked.after

    @contextmanager
    def _paced(self, turn: Turn, most: int) -> Iterator[int]:
        """Around what looks at up to ``most`` rows; yields how many it should be."""
        began = self.clock.monotonic()
        yield pace.of(most, turn.moving.slowdown)
        turn.set(slowdown=pace.after(turn.moving.slowdown, self.clock.monotonic() - began))

    def _begin_pass(self, turn: Turn) -> None:
        engine = turn.source.engine
        changes = engine.changes(turn.source.collection, None, most=0)
        turn.set(
            since="" if changes is None else changes.position,
            # What came meanwhile stands behind those that are copied, or among them.
            requests=turn.moving.requests if engine.follows else "",
            all_requests=False,
            after="",
            looked=0,
            changed=0,
            behind=0,
        )


def _sampled(samples: tuple[str, ...], new: Sequence[str], *, pages: int) -> tuple[str, ...]:
    """Some rows of all pages; of each further page one takes the place of another, ever more rarely."""
    fresh = [row_id for row_id in new if row_id not in samples]
    if len(samples) < SAMPLES:
        return (*samples, *fresh)[:SAMPLES]
    if not fresh or random.randrange(pages) >= SAMPLES:  # noqa: S311 - no secret
        return samples
    place = random.randrange(SAMPLES)  # noqa: S311 - no secret
    return (*samples[:place], random.choice(fresh), *samples[place + 1 :])  # noqa: S311 - no secret
