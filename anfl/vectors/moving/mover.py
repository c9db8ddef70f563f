"""Moves a collection to another engine while it is read and written; aliases lead to where it is.

Each call carries out a step, so that it can be repeated, by whoever and whenever, until the move is done:

1. *begin*: the old collection says so; the new one is made, into which nobody may write but the move (`Filling`).
2. *copy*: both are read in the order of their ids, page by page, and what differs is copied. At least twice.
3. *follow*: of an engine that has a log, what was written since the last pass began.
4. *pause*: writers to the old collection hear 503 and come again. The catalogue says so, and then a fence lets
   nobody pass who does not know (`Engine.fence`). The rest is copied; rows, counts and searches are compared.
5. *switch*: the new collection is opened to writers, and closed to the move, by a fence of its own; it gets the
   aliases; writers to the old one hear 409. From the first of these on there is no way back but another move.

Writers are never kept waiting for a move that nobody carries on (`Pauses`): after a minute the next of them ends that.
"""

from anfl.problems import conflict
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engines import Engines
from anfl.vectors.management import Management
from anfl.vectors.model import Collection
from anfl.vectors.moving.beginning import Beginnings
from anfl.vectors.moving.finding import source_of, target_of
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.requests import Move, Moved
from anfl.vectors.moving.steps import Steps
from anfl.vectors.moving.turns import LostError, Turn, Turns, moving_of, target_lost
from anfl.vectors.moving.undoing import Undoing
from anfl.vectors.refusals import Refusal


class Mover:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, engines: Engines, management: Management, clock: Clock) -> None:
        self._catalogue = catalogue
        self._management = management
        self._clock = clock
        self._beginnings = Beginnings(catalogue, engines, management, clock)
        self._turns = Turns(catalogue, engines, clock)
        self._steps = Steps(clock)
        self._undoing = Undoing(catalogue, management, clock)

    def step(self, tenant: str, name: str, request: Move) -> Moved:
        """Begin the move of what the alias ``name`` stands for, or carry it on; returns how far it is then.

        :raises Problem: 400 for the engine, or for what it cannot hold; 404 ``collection_not_found``; 409
            ``alias_needed``, ``collection_exists``, ``collection_moving`` elsewhere, ``move_busy``,
            ``move_target_lost``, ``move_unverified``; 503.
        """
        found = self._catalogue.get(tenant, name)
        source = source_of(self._catalogue, found)
        if source is None or (source is not found and moving_of(source).stage is Stage.DONE):
            if found.settings.engine == request.engine:
                if source is not None:
                    return _told(source, moving_of(source), request.engine)
                return Moved(collection=None, to=found.name, engine=request.engine, stage=Stage.DONE)
            source = self._beginnings.begin(found, name, request)
        self._check_same(source, request)
        return self._carry_on(source, request.engine)

    def undo(self, tenant: str, name: str) -> Collection:
        """See `Undoing.undo`."""
        return self._undoing.undo(tenant, name)

    def _check_same(self, source: Collection, request: Move) -> None:
        moving = moving_of(source)
        target = target_of(self._catalogue, source)
        engine = target.settings.engine if target is not None else moving.making or request.engine
        if moving.stage is Stage.UNDOING:
            detail = f"The move of {source.name} to {moving.to} is being undone; see to that first."
        elif request.to not in (None, moving.to) or request.engine != engine:
            detail = f"{source.name} is being moved, or was, to {moving.to}."
        elif moving.stage is not Stage.DONE and not moving.is_here(self._catalogue.region):
            detail = f"{source.name} is being moved in {moving.region}: go on there, or undo the move."
        else:
            return
        raise conflict(detail, code=Refusal.COLLECTION_MOVING)

    def _carry_on(self, source: Collection, engine: str) -> Moved:
        moving = moving_of(source)
        if moving.stage is Stage.DONE:
            return _told(source, moving, engine)
        try:
            with self._turns.take(self._beginnings.make(source)) as turn:
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
                self._finish(turn)
            case Stage.SWITCHING:
                self._switch(turn)

    def _finish(self, turn: Turn) -> None:
        self._steps.finish(turn)
        if turn.moving.stage is Stage.SWITCHING and target_of(self._catalogue, turn.source.collection) is None:
            # Nobody could go on from there, and writers would wait until it is undone.
            turn.set(stage=Stage.FOLLOWING)
            turn.problem = target_lost(turn.moving.to)

    def _switch(self, turn: Turn) -> None:
        source, target = turn.source.collection, self._turns.open(turn.target.collection)
        self._management.pass_aliases(source, target)
        turn.set(stage=Stage.DONE, paused_until=self._clock.wall())


def _told(source: Collection, moving: Moving, engine: str, *, wait: float = 0.0) -> Moved:
    return Moved(
        collection=source.name,
        to=moving.to,
        engine=engine,
        stage=moving.stage,
        passes=moving.passes,
        looked=moving.looked,
        changed=moving.changed,
        behind=moving.behind if moving.stage in (Stage.FOLLOWING, Stage.PAUSED) else 0,
        wait=wait,
    )
