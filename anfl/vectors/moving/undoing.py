"""Giving a move up: what was copied is deleted, and everybody may write again."""

from collections.abc import Callable

import msgspec

from anfl.problems import Problem, conflict
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.management import Management
from anfl.vectors.model import Collection
from anfl.vectors.moving.finding import source_of
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.turns import Turns, moving_of
from anfl.vectors.refusals import Refusal


class Undoing:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, management: Management, turns: Turns) -> None:
        self._catalogue = catalogue
        self._management = management
        self._turns = turns

    def undo(self, tenant: str, name: str) -> Collection:
        """Give up a move that has not switched, or whose new collection was deleted since: delete what was copied, and
        let everybody write again. Can be repeated; returns the collection, also where there was nothing to undo.

        :raises Problem: 404 ``collection_not_found``; 409 ``move_switched``; 503.
        """
        found = self._catalogue.get(tenant, name)
        source = source_of(self._catalogue, found)
        if source is None:
            return found
        target = self._turns.target(source)
        self._change(source, lambda moving: _undoing(source, moving, target))
        if target is not None:
            self._remove(target)
        return self._change(source, lambda _: None)

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
