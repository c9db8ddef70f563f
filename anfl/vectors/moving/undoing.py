"""Giving a move up: what was copied is deleted, and everybody may write again."""

from collections.abc import Callable

import msgspec

from anfl.problems import Problem, conflict
from anfl.vectors import replication
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.management import Management
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import PAUSE_SECONDS, busy
from anfl.vectors.moving.finding import is_open, source_of, target_of
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.turns import moving_of
from anfl.vectors.refusals import Refusal


class Undoing:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, management: Management, clock: Clock) -> None:
        self._catalogue = catalogue
        self._management = management
        self._clock = clock

    def undo(self, tenant: str, name: str) -> Collection:
        """Give up a move that has not switched, or whose new collection was deleted since: delete what was copied, and
        let everybody write again. Can be repeated; returns the collection, also where there was nothing to undo.

        :raises Problem: 404 ``collection_not_found``; 409 ``move_switched``; ``move_busy``, it was carried on meanwhile
            in another region; 503.
        """
        found = self._catalogue.get(tenant, name)
        source = source_of(self._catalogue, found)
        if source is None:
            return found
        target = target_of(self._catalogue, source)
        self._change(source, lambda moving: self._undoing(source, moving, target))
        moving = moving_of(source)
        if moving.making or not moving.is_here(self._catalogue.region):
            target = self._wait_for(source)
        if target is not None:
            self._remove(target)
        return self._change(source, lambda _: None)

    def _undoing(self, source: Collection, moving: Moving, target: Collection | None) -> Moving:
        if target is not None and (moving.stage in (Stage.SWITCHING, Stage.DONE) or is_open(target)):
            detail = (
                f"{source.name} was switched to {moving.to} already, and others may have written there; move that "
                "instead."
            )
            raise conflict(detail, code=Refusal.MOVE_SWITCHED)
        # Perhaps it is being switched where it is carried out: what is written here until that is known would be lost.
        until = 0.0 if moving.is_here(self._catalogue.region) else self._clock.wall() + PAUSE_SECONDS
        return msgspec.structs.replace(moving, stage=Stage.UNDOING, driver="", paused_until=until)

    def _wait_for(self, source: Collection) -> Collection | None:
        """See that it stays undone; returns what is to be deleted. What is noted at the same time where the move is
        carried out, or where another one is begun, does not meet with this: the later of both stays, and is here after
        a while.

        :raises Problem: 409 ``move_busy``, it does not.
        """
        self._clock.sleep(2 * replication.REPLICATION_SECONDS)
        target = target_of(self._catalogue, source)
        if is_open(target):  # whatever was noted: others may have written there
            self._change(source, lambda moving: msgspec.structs.replace(moving, stage=_not_undone(moving)))
            raise busy()
        moving = self._catalogue.find(source.tenant, source.name).moving
        if moving is not None and moving.stage is not Stage.UNDOING:
            raise busy()
        return target

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


def _not_undone(moving: Moving) -> Stage:
    return Stage.DONE if moving.stage is Stage.DONE else Stage.SWITCHING
