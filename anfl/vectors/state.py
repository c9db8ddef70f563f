"""The state of a collection: what the committed batches 1 … n amount to."""

import time
from collections.abc import Callable

import numpy as np

from anfl.vectors.engine.rows import RowStore
from anfl.vectors.engine.view import Found
from anfl.vectors.log import AppliedRequest, Batch
from anfl.vectors.model import Collection, Position

REQUEST_SECONDS = 24 * 3600
"""How long a request id is remembered."""


class State:
    """Applies batches in order, and nothing else changes it. Not safe for threads."""

    def __init__(self, collection: Collection, *, clock: Callable[[], float] = time.time) -> None:
        settings = collection.settings
        self.collection = collection
        self.rows = RowStore(dimension=settings.dimension, metric=settings.metric, index=settings.index)
        self.sequence = 0
        self.ts = 0.0
        self._clock = clock
        self._requests: dict[str, tuple[AppliedRequest, int, float]] = {}

    @property
    def position(self) -> Position:
        """The last applied place of the log."""
        return Position(self.collection.epoch, self.sequence)

    def now(self) -> float:
        """Seconds since the epoch; never before the last batch."""
        return max(self.ts, self._clock())

    def row(self, row_id: str) -> Found | None:
        """The row ``row_id``; None where it is absent or has expired."""
        found = self.rows.get(row_id)
        if found is None or (found.expires_at is not None and found.expires_at <= self.now()):
            return None
        return found

    def adopt(self, collection: Collection) -> None:
        """Take over changed settings of the same incarnation."""
        self.collection = collection
        self.rows.index = collection.settings.index

    def applied(self, request_id: str) -> tuple[AppliedRequest, int] | None:
        """An earlier request of this id, with the sequence that carried it out."""
        known = self._requests.get(request_id)
        return None if known is None else known[:2]

    def apply(self, batch: Batch) -> None:
        """Take in the next batch."""
        if batch.sequence != self.sequence + 1:
            raise ValueError(f"batch {batch.sequence} does not follow {self.sequence}")
        if batch.rows or batch.patches or batch.deleted:
            with self.rows.batch(batch.sequence) as changes:
                changes.upsert(
                    [row.id for row in batch.rows],
                    np.frombuffer(b"".join(row.values for row in batch.rows), dtype="<f4").reshape(
                        len(batch.rows), self.collection.settings.dimension
                    ),
                    [row.metadata for row in batch.rows],
                    [row.expires_at for row in batch.rows],
                )
                changes.patch([(patch.id, patch.metadata) for patch in batch.patches])
                changes.delete(batch.deleted)
        self.sequence = batch.sequence
        self.ts = batch.ts
        self._remember(batch)

    def _remember(self, batch: Batch) -> None:
        for request in batch.requests:
            self._requests[request.request_id] = (request, batch.sequence, batch.ts)
        oldest = batch.ts - REQUEST_SECONDS
        while self._requests:  # in the order of their batches, so the oldest stand first
            first = next(iter(self._requests))
            if self._requests[first][2] >= oldest:
                break
            del self._requests[first]
