"""Steps of moves, one at a time, whoever asks for them and whatever becomes of those who do.

A step notes in the catalogue that it begins, and by whom, and in the end how far it has come, provided that nobody else
has noted anything in between. Whoever finds that a step was begun and not ended counts up the *round* of the
collection that is filled, and has its engine know (`Engine.fence`): a write of an earlier round, on its way for however
long, is refused from then on. So what the catalogue says has come to pass, and what may still be under way was there
before the next step looked, or never will be.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from anfl.problems import Problem, conflict
from anfl.vectors import pace
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engines import Engines
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import PAUSE_SECONDS, busy, is_overdue
from anfl.vectors.moving.copying import Copier, Side
from anfl.vectors.moving.finding import target_of
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.refusals import Refusal

TURN_SECONDS = 30.0
"""After which it is no longer waited for a step that was begun."""


class LostError(Exception):
    """Somebody else has gone on meanwhile."""


@dataclass(kw_only=True)
class Turn:
    """A step under way. ``moving`` is what the catalogue is to say when it ends."""

    source: Side
    target: Side
    moving: Moving
    wait: float = 0.0
    """Seconds before the next step."""
    problem: Problem | None = None
    """What the caller is to hear once that is noted."""

    @property
    def copier(self) -> Copier:
        """From the one to the other."""
        return Copier(self.source, self.target)

    def set(self, **members: object) -> Moving:
        """Change `moving`."""
        self.moving = msgspec.structs.replace(self.moving, **members)
        return self.moving


class Turns:
    """Safe for threads."""

    def __init__(self, catalogue: Catalogue, engines: Engines, clock: Clock) -> None:
        self._catalogue = catalogue
        self._engines = engines
        self._clock = clock

    @contextmanager
    def take(self, source: Collection) -> Iterator[Turn]:
        """Begin a step; it ends with the block.

        :raises Problem: 409 ``move_busy``; ``move_target_lost``, the other collection is gone.
        :raises LostError: when the block ends, and somebody else has gone on.
        """
        before = moving_of(source)
        # The round is the one of before the step: whoever takes it over counts that up, and is not written over.
        target = self._target(source)
        if before.driver:
            if self._clock.wall() < before.taken_at + TURN_SECONDS:
                raise busy()
            target = self._fill(target, ready=False)
        taken, moving = self._begin(source, before)
        turn = Turn(source=self._side(taken), target=self._side(target), moving=moving)
        try:
            yield turn
        except Exception:
            self._give_up(taken, moving, turn)
            raise
        self._note(taken, moving, msgspec.structs.replace(turn.moving, driver="", taken_at=0.0))

    def open(self, target: Collection) -> Collection:
        """Let everybody write to ``target``, and none of those any more who fill it."""
        return self._fill(target, ready=True)

    def _side(self, collection: Collection) -> Side:
        return Side(self._engines.of(collection), collection)

    def _target(self, source: Collection) -> Collection:
        found = target_of(self._catalogue, source)
        if found is None:
            raise target_lost(moving_of(source).to)
        return found

    def _fill(self, target: Collection, *, ready: bool) -> Collection:
        def next_round(found: Collection) -> Collection:
            if found.incarnation != target.incarnation or found.filling is None or found.filling.ready:
                return found
            filling = msgspec.structs.replace(found.filling, round=found.filling.round + 1, ready=ready)
            return msgspec.structs.replace(found, filling=filling, revision=found.revision + 1)

        after = self._catalogue.change(target.tenant, target.name, next_round)
        if after.incarnation != target.incarnation:
            raise target_lost(target.name)
        self._engines.of(after).fence(after)
        return after

    def _begin(self, source: Collection, before: Moving) -> tuple[Collection, Moving]:
        now = self._clock.wall()
        # A step that did not end, and did not give up either, may have been too long.
        slowdown = pace.slower(before.slowdown) if before.driver and before.taken_at else before.slowdown
        moving = msgspec.structs.replace(before, driver=uuid.uuid4().hex, taken_at=now, slowdown=slowdown)
        if is_overdue(moving, now):  # writers in other regions may have ended it, which is not seen here at once
            moving = msgspec.structs.replace(moving, stage=Stage.FOLLOWING)
        elif moving.stage is Stage.PAUSED:
            moving = msgspec.structs.replace(moving, paused_until=now + PAUSE_SECONDS)
        try:
            return self._note(source, before, moving), moving
        except LostError:
            raise busy() from None

    def _give_up(self, source: Collection, moving: Moving, turn: Turn) -> None:
        """Let others go on at once from where this step has come, and less at a time; part of it may be on its way."""
        try:
            self._note(source, moving, turn.set(taken_at=0.0, slowdown=pace.slower(turn.moving.slowdown)))
        except (LostError, Problem):
            return

    def _note(self, source: Collection, before: Moving, after: Moving) -> Collection:
        """Note ``after``, if ``before`` is what is noted. Writers have to know of another stage."""
        revision = int(after.stage is not before.stage)

        def change(found: Collection) -> Collection:
            if found.incarnation != source.incarnation or found.moving != before:
                raise LostError
            return msgspec.structs.replace(found, moving=after, revision=found.revision + revision)

        try:
            return self._catalogue.change(source.tenant, source.name, change)
        except Problem as problem:
            if problem.status in (404, 409):
                raise LostError from problem
            raise


def target_lost(name: str) -> Problem:
    """409: there is nothing to fill any more."""
    detail = f"{name} was deleted while it was being filled; undo the move."
    return conflict(detail, code=Refusal.MOVE_TARGET_LOST)


def moving_of(source: Collection) -> Moving:
    """What is noted of its move.

    :raises Problem: 409 ``collection_changed``, it is not being moved any more.
    """
    if source.moving is None:
        detail = f"Somebody else has undone the move of {source.name}; look again."
        raise conflict(detail, code=Refusal.COLLECTION_CHANGED)
    return source.moving
