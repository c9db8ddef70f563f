"""The state of a collection: what the committed batches 1 … n amount to."""

import copy
import time
from collections.abc import Callable
from typing import Self

import msgspec
import numpy as np

from anfl.vectors.batch import AppliedRequest, Batch
from anfl.vectors.engine.images import Image
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.engine.view import Found
from anfl.vectors.model import Collection, Position

REQUEST_SECONDS = 24 * 3600
"""How long a request id is remembered."""
QUIET_SECONDS = 5.0
"""After so long without a batch there is time to merge what is small."""


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A request id that was carried out: by which batch, and when."""

    request: AppliedRequest
    sequence: int
    ts: float


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What an image holds beside its segments."""

    sequence: int
    ts: float
    requests: list[_Remembered]
    rows: bytes
    incarnation: str = ""
    revision: int = 0
    """See `State.revision`; of ``incarnation``, so that a collection restored from an image is not held to it."""


class State:
    """Applies batches in order, and nothing else changes it. Not safe for threads."""

    def __init__(self, collection: Collection, *, clock: Callable[[], float] = time.time) -> None:
        settings = collection.settings
        self.collection = collection
        self.rows = RowStore(dimension=settings.dimension, metric=settings.metric, index=settings.index)
        self.sequence = 0
        self.ts = 0.0
        self.revision = 0
        """Of the settings that have to be known for the next batch."""
        self._clock = clock
        self._requests: dict[str, _Remembered] = {}

    @classmethod
    def from_image(cls, collection: Collection, image: Image, *, clock: Callable[[], float] = time.time) -> "State":
        """The state that `image` made one of.

        :raises FileNotFoundError: a segment is gone.
        :raises ValueError: something is damaged.
        """
        rest = _rest_of(image)
        state = cls(collection, clock=clock)
        state.rows = RowStore.from_image(Image(image.segments, rest.rows))
        state.rows.index = collection.settings.index
        state.sequence = rest.sequence
        state.ts = rest.ts
        state.revision = rest.revision if rest.incarnation == collection.incarnation else 0
        state._requests = {known.request.request_id: known for known in rest.requests}
        return state

    def still(self) -> Self:
        """A copy to read from, whoever changes this one meanwhile. Cheap: rows are shared."""
        still = copy.copy(self)
        still.rows = copy.copy(self.rows)
        return still

    def image(self) -> Image:
        """Everything, as the segments there are and a rest; fresh rows that have expired are left out."""
        return self.with_rows(self.rows.image(now=self.ts))

    def with_rows(self, rows: Image) -> Image:
        """The image of this state with another image of its rows."""
        rest = _Rest(
            sequence=self.sequence,
            ts=self.ts,
            requests=self._remembered(),
            rows=rows.rest,
            incarnation=self.collection.incarnation,
            revision=self.revision,
        )
        return Image(rows.segments, msgspec.msgpack.encode(rest))

    def install(self, image: Image) -> bool:
        """Take over the segments of an image of an earlier state of this history; False where that cannot be.

        :raises FileNotFoundError: a segment is gone.
        :raises ValueError: something is damaged.
        """
        rest = _rest_of(image)
        return rest.sequence <= self.sequence and self.rows.install(Image(image.segments, rest.rows))

    @property
    def position(self) -> Position:
        """The last applied place of the log."""
        return self.collection.position(self.sequence)

    @property
    def bytes(self) -> int:
        """About the bytes of memory that it takes."""
        return self.rows.bytes + 300 * len(self._requests)

    def now(self) -> float:
        """Seconds since the epoch; never before the last batch."""
        return max(self.ts, self._clock())

    def is_quiet(self) -> bool:
        """Whether nobody has written for a while."""
        return self._clock() - self.ts >= QUIET_SECONDS

    def row(self, row_id: str, *, now: float | None = None) -> Found | None:
        """The row ``row_id``; None where it is absent or has expired, at ``now`` or else at this moment."""
        found = self.rows.get(row_id)
        if found is None or found.expires_at is None:
            return found
        return found if found.expires_at > (self.now() if now is None else now) else None

    def adopt(self, collection: Collection) -> None:
        """Take over changed settings of the same incarnation, unless newer ones are known."""
        if collection.revision < self.collection.revision:
            return
        self.collection = collection
        self.rows.index = collection.settings.index

    def applied(self, request_id: str, *, now: float) -> tuple[AppliedRequest, int] | None:
        """An earlier request of this id, with the sequence that carried it out; forgotten a day after it."""
        known = self._requests.get(request_id)
        if known is None or known.ts < now - REQUEST_SECONDS:
            return None
        return known.request, known.sequence

    def requests_behind(self, sequence: int, *, most: int) -> tuple[list[AppliedRequest], int]:
        """About ``most`` of the requests that were carried out behind ``sequence``, and the sequence they go up to."""
        oldest = self.now() - REQUEST_SECONDS
        found: list[AppliedRequest] = []
        reached = sequence
        for known in self._remembered():
            if known.sequence <= sequence or known.ts < oldest:
                continue
            if len(found) >= most and known.sequence != reached:
                return found, reached
            found.append(known.request)
            reached = known.sequence
        return found, self.sequence

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
        self.revision = max(self.revision, batch.revision)
        self._remember(batch)

    def _remembered(self) -> list[_Remembered]:
        """Those of its batches, in their order: where this one holds still, another one adds to them meanwhile."""
        return [known for known in list(self._requests.values()) if known.sequence <= self.sequence]

    def _remember(self, batch: Batch) -> None:
        for request in batch.requests:
            self._requests.pop(request.request_id, None)
            self._requests[request.request_id] = _Remembered(request, batch.sequence, batch.ts)
        oldest = batch.ts - REQUEST_SECONDS
        while self._requests:  # in the order of their batches, so the oldest stand first
            first = next(iter(self._requests))
            if self._requests[first].ts >= oldest:
                break
            del self._requests[first]


def _rest_of(image: Image) -> _Rest:
    try:
        return msgspec.msgpack.decode(image.rest, type=_Rest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no rest of a state: {error}") from error
