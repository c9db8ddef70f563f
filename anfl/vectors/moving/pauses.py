"""Pauses in which nobody may write end by themselves, where nobody carries the move on."""

import msgspec

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import FAR_SECONDS, is_overdue
from anfl.vectors.moving.records import Moving, Stage
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
            moving = msgspec.structs.replace(found.moving, stage=Stage.FOLLOWING)
            return msgspec.structs.replace(found, moving=moving, revision=found.revision + 1)

        try:
            after = self._catalogue.change(collection.tenant, collection.name, resumed)
        except Problem as problem:
            if problem.code != Refusal.COLLECTION_CHANGED:
                raise
            return None
        return after if after.incarnation == collection.incarnation else None

    def _is_overdue(self, moving: Moving | None) -> bool:
        if moving is None:
            return False
        patience = 0.0 if moving.is_here(self._catalogue.region) else FAR_SECONDS
        return is_overdue(moving, self._clock.wall() - patience)
