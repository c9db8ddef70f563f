"""Moves a collection to another engine while it is read and written; aliases lead to where it is.

Each call carries out a step, so that it can be repeated, by whoever and whenever, until the move is done:

1. *begin*: the new collection is made, into which nobody may write but the move (`Filling`).
2. *copy*: both are read in the order of their ids, page by page, and what differs is copied. At least twice.
3. *follow*: of an engine that has a log, what was written since the last pass began.
4. *pause*: writers to the old collection hear 503 and come again. The catalogue says so, and then a fence lets
   nobody pass who does not know (`Engine.fence`). The rest is copied; rows, counts and searches are compared.
5. *switch*: the new collection is opened to writers, and closed to the move, by a fence of its own; it gets the
   aliases; writers to the old one hear 409. From the first of these on there is no way back but another move.

Writers are never kept waiting for a move that nobody carries on: after a minute the next of them ends the pause.
"""

from collections.abc import Callable

import msgspec

from anfl.problems import Problem, conflict
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engines import Engines
from anfl.vectors.management import Management
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import is_overdue
from anfl.vectors.moving.beginning import Beginnings
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.requests import Move, Moved
from anfl.vectors.moving.steps import Steps
from anfl.vectors.moving.turns import LostError, Turn, Turns, moving_of
from anfl.vectors.refusals import Refusal


class Mover:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, engines: Engines, management: Management, clock: Clock) -> None:
        self._catalogue = catalogue
        self._management = management
        self._clock = clock
        self._beginnings = Beginnings(catalogue, engines, management)
        self._turns = Turns(catalogue, engines, clock)
        self._steps = Steps(clock)

    def step(self, tenant: str, name: str, request: Move) -> Moved:
        """Begin the move of what the alias ``name`` stands for, or carry it on; returns how far it is then.

        :raises Problem: 400 for the engine, or for what it cannot hold; 404 ``collection_not_found``; 409
            ``alias_needed``, ``collection_exists``, ``collection_moving`` elsewhere, ``move_busy``,
            ``move_target_lost``, ``move_unverified``; 503.
        """
        found = self._catalogue.get(tenant, name)
        source = self._source_of(found)
        if source is None or (source is not found and moving_of(source).stage is Stage.DONE):
            if found.settings.engine == request.engine:
                if source is not None:
                    return _told(source, moving_of(source), request.engine)
                return Moved(collection=None, to=found.name, engine=request.engine, stage=Stage.DONE)
            source = self._beginnings.begin(found, name, request)
        self._check_same(source, request)
        return self._carry_on(source, request.engine)

    def undo(self, tenant: str, name: str) -> Collection:
        """Give up a move that has not switched, or whose new collection was deleted since: delete what was copied, and
        let everybody write again. Can be repeated; returns the collection, also where there was nothing to undo.

        :raises Problem: 404 ``collection_not_found``; 409 ``move_switched``; 503.
        """
        found = self._catalogue.get(tenant, name)
        source = self._source_of(found)
        if source is None:
            return found
        target = self._turns.target(source)
        self._change(source, lambda moving: _undoing(source, moving, target))
        if target is not None:
            self._remove(target)
        return self._change(source, lambda _: None)

    def writable(self, collection: Collection) -> Collection | None:
        """``collection``, without a pause that has lasted too long; None: somebody else changed it, look again."""
        if not is_overdue(collection, self._clock.wall()):
            return collection

        def resumed(found: Collection) -> Collection:
            if found.moving is None or not is_overdue(found, self._clock.wall()):
                return found
            moving = msgspec.structs.replace(found.moving, stage=Stage.FOLLOWING)
            return msgspec.structs.replace(found, moving=moving, revision=found.revision + 1)

        try:
            after = self._catalogue.change(collection.tenant, collection.name, resumed)
        except Problem as problem:
            if problem.code != Refusal.COLLECTION_CHANGED:
                raise
            return None
        return after if after.incarnation == collection.incarnation else None

    def _source_of(self, found: Collection) -> Collection | None:
        """What is moved, where ``found`` is it, or what it becomes; None where neither is so."""
        if found.moving is not None or found.filling is None:
            return found if found.moving is not None else None
        try:
            source = self._catalogue.find(found.tenant, found.filling.source)
        except Problem as problem:
            if problem.status == 404:
                return None
            raise
        return source if source.moving is not None and source.moving.incarnation == found.incarnation else None

    def _check_same(self, source: Collection, request: Move) -> None:
        moving = moving_of(source)
        target = self._turns.target(source)
        if moving.stage is Stage.UNDOING:
            detail = f"The move of {source.name} to {moving.to} is being undone; see to that first."
        elif request.to not in (None, moving.to) or (target is not None and target.settings.engine != request.engine):
            detail = f"{source.name} is being moved, or was, to {moving.to}."
        else:
            return
        raise conflict(detail, code=Refusal.COLLECTION_MOVING)

    def _carry_on(self, source: Collection, engine: str) -> Moved:
        moving = moving_of(source)
        if moving.stage is Stage.DONE:
            return _told(source, moving, engine)
        try:
            with self._turns.take(source) as turn:
                self._work(turn)
        except LostError:
            return _told(source, moving_of(self._catalogue.find(source.tenant, source.name)), engine, wait=1.0)
        if turn.problem is not None:
            raise turn.problem
        return _told(source, turn.moving, engine, wait=turn.wait)

    def _work(self, turn: Turn) -> None:
        match turn.moving.stage:
            case Stage.COPYING:
                self._steps.copy(turn)
            case Stage.FOLLOWING:
                self._steps.follow(turn)
            case Stage.PAUSED:
                self._steps.finish(turn)
            case Stage.SWITCHING:
                self._switch(turn)

    def _switch(self, turn: Turn) -> None:
        source, target = turn.source.collection, self._turns.open(turn.target.collection)
        self._management.pass_aliases(source, target)
        turn.set(stage=Stage.DONE)

    def _remove(self, target: Collection) -> None:
        """Delete what was copied, unless somebody else has done so."""
        try:
            self._management.remove(target)
        except Problem as problem:
            if problem.status != 404:
                raise

    def _change(self, of: Collection, change: Callable[[Moving], Moving | None]) -> Collection:
        """Change what is noted of the move that ``of`` tells of. Another one, begun since, is left alone."""

        def changed(found: Collection) -> Collection:
            if found.incarnation != of.incarnation or found.moving is None:
                return found
            if found.moving.incarnation != moving_of(of).incarnation:
                return found
            return msgspec.structs.replace(found, moving=change(found.moving), revision=found.revision + 1)

        return self._catalogue.change(of.tenant, of.name, changed)


def _undoing(source: Collection, moving: Moving, target: Collection | None) -> Moving:
    if target is not None and moving.stage in (Stage.SWITCHING, Stage.DONE):
        detail = (
            f"{source.name} was switched to {moving.to} already, and others may have written there; move that instead."
        )
        raise conflict(detail, code=Refusal.MOVE_SWITCHED)
    return msgspec.structs.replace(moving, stage=Stage.UNDOING, driver="")


def _told(source: Collection, moving: Moving, engine: str, *, wait: float = 0.0) -> Moved:
    return Moved(
        collection=source.name,
        to=moving.to,
        engine=engine,
        stage=moving.stage,
        passes=moving.passes,
        looked=moving.looked,
        changed=moving.changed,
        wait=wait,
    )
