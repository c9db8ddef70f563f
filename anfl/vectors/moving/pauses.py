"""Pauses in which nobody may write end by themselves, where nobody carries the move on."""

import msgspec

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import is_overdue
from anfl.vectors.moving.records import Stage
from anfl.vectors.refusals import Refusal


class Pauses:
    """Safe for threads, and for any number of processes."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

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
