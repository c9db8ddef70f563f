"""Pauses in which nobody may write end by themselves, where nobody carries the move on."""

import msgspec

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import FAR_SECONDS, is_overdue
from anfl.vectors.moving.finding import is_open, source_of, target_of
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.turns import moving_of
from anfl.vectors.refusals import Refusal


class Pauses:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

    def writable(self, collection: Collection) -> Collection | None:
        """``collection``, without a pause that has lasted too long; None: somebody else changed it, look again."""
        if not self._is_overdue(collection.moving):
            return collection

        def resumed(found: Collection) -> Collection:
            if found.moving is None or not self._is_overdue(found.moving):
                return found
            return msgspec.structs.replace(found, moving=self._resumed(found), revision=found.revision + 1)

        try:
            after = self._catalogue.change(collection.tenant, collection.name, resumed)
        except Problem as problem:
            if problem.code != Refusal.COLLECTION_CHANGED:
                raise
            return None
        return after if after.incarnation == collection.incarnation else None

    def is_arriving(self, collection: Collection, *, name: str) -> bool:
        """Whether somebody who is refused by ``collection``, and calls it ``name``, has only come too early: it was
        switched in another region, and what was noted of that comes here in any order."""
        if collection.filling is not None and not collection.filling.ready:
            # An alias leads there once it is open, and its own name is told by what was moved to it.
            return not self._is_at_home(collection) and (name != collection.name or self._is_switched(collection))
        moving = collection.moving
        if name == collection.name or moving is None or moving.stage is not Stage.DONE:
            return False
        if moving.is_here(self._catalogue.region):
            return False
        return self._clock.wall() < moving.paused_until + FAR_SECONDS

    def _is_at_home(self, target: Collection) -> bool:
        """Whether it is filled here."""
        return target.home in (None, self._catalogue.region)

    def _is_switched(self, target: Collection) -> bool:
        source = source_of(self._catalogue, target)
        return source is not None and moving_of(source).stage in (Stage.SWITCHING, Stage.DONE)

    def _resumed(self, source: Collection) -> Moving:
        """What is noted once writers wait no longer: that nobody looked for what has come of an undoing, too."""
        moving = moving_of(source)
        if moving.stage is Stage.PAUSED:
            return msgspec.structs.replace(moving, stage=Stage.FOLLOWING)
        if is_open(target_of(self._catalogue, source)):  # it was switched at the same time
            return msgspec.structs.replace(moving, stage=Stage.SWITCHING)
        return msgspec.structs.replace(moving, paused_until=0.0)

    def _is_overdue(self, moving: Moving | None) -> bool:
        if moving is None:
            return False
        patience = 0.0 if moving.is_here(self._catalogue.region) else FAR_SECONDS
        return is_overdue(moving, self._clock.wall() - patience)
