"""Pauses in which nobody may write end by themselves, where nobody carries the move on."""

import msgspec

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import FAR_SECONDS, is_overdue
from anfl.vectors.moving.finding import is_open, target_of
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

    def is_arriving(self, collection: Collection) -> bool:
        """Whether it was switched in another region so short a time ago that its aliases may only be on their way."""
        moving = collection.moving
        if moving is None or moving.stage is not Stage.DONE or moving.is_here(self._catalogue.region):
            return False
        return self._clock.wall() < moving.paused_until + FAR_SECONDS

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
