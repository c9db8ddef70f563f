"""The state of a collection: what the committed batches 1 … n amount to."""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from anfl.vectors.batch import AppliedRequest, Batch
from anfl.vectors.engine.images import Image
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.engine.view import Found
from anfl.vectors.model import Collection, Position
from anfl.vectors.request_ids import REQUEST_SECONDS, RequestIds
from anfl.vectors.request_runs import Remembered

QUIET_SECONDS = 5.0
"""After so long without a batch there is time to merge what is small."""


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What an image holds beside its segments, the last of which are runs of requests (`request_runs`)."""

    sequence: int
    ts: float
    requests: list[Remembered]
    """Those that are in no run."""
    rows: bytes
    runs: int = 0
    """How many there are."""
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
        self.requests = RequestIds()
        """What has been carried out within a day."""
        self._clock = clock

    @classmethod
    def from_image(cls, collection: Collection, image: Image, *, clock: Callable[[], float] = time.time) -> "State":
        """The state that `image` made one of.

        :raises FileNotFoundError: a segment is gone.
        :raises ValueError: something is damaged.
        """
        rest, rows, runs = _parts_of(image)
        state = cls(collection, clock=clock)
        state.rows = RowStore.from_image(rows)
        state.rows.index = collection.settings.index
        state.sequence = rest.sequence
        state.ts = rest.ts
        state.revision = rest.revision if rest.incarnation == collection.incarnation else 0
        state.requests = RequestIds(state.requests.opened(runs), rest.requests)
        return state

    def still(self) -> Self:
        """A copy to read from, whoever changes this one meanwhile. Cheap: rows are shared."""
        still = copy.copy(self)
        still.rows = copy.copy(self.rows)
        still.requests = self.requests.still()
        return still

    def image(self) -> Image:
        """Everything, as the segments and runs there are and a rest; fresh rows that have expired are left out."""
        rows = self.rows.image(now=self.ts)
        runs = [run.folder for run in self.requests.runs]
        rest = _Rest(
            sequence=self.sequence,
            ts=self.ts,
            requests=self.requests.recent(upto=self.sequence),
            rows=rows.rest,
            runs=len(runs),
            incarnation=self.collection.incarnation,
            revision=self.revision,
        )
        return Image((*rows.segments, *runs), msgspec.msgpack.encode(rest))

    def install(self, image: Image) -> bool:
        """Take over the segments and runs of an image of an earlier state of this history; False where that cannot be.

        :raises FileNotFoundError: one of them is gone.
        :raises ValueError: something is damaged.
        """
        rest, rows, folders = _parts_of(image)
        if rest.sequence > self.sequence:
            return False
        runs = self.requests.opened(folders)
        if not self.rows.install(rows):
            return False
        self.requests.install(runs, rest.requests, upto=rest.sequence)
        return True

    @property
    def position(self) -> Position:
        """The last applied place of the log."""
        return self.collection.position(self.sequence)

    @property
    def bytes(self) -> int:
        """Both: what is gained by giving it up."""
        return self.private_bytes + self.mapped_bytes

    @property
    def private_bytes(self) -> int:
        """About the memory that this process alone has for it."""
        return self.rows.private_bytes + self.requests.private_bytes

    @property
    def mapped_bytes(self) -> int:
        """Bytes of files that are mapped, shared with the node's other processes."""
        return self.rows.mapped_bytes + self.requests.mapped_bytes

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
        known = self.requests.find(request_id)
        if known is None or known.ts < now - REQUEST_SECONDS:
            return None
        return known.request, known.sequence

    def requests_behind(self, sequence: int, *, most: int) -> tuple[list[AppliedRequest], int]:
        """About ``most`` of the requests that were carried out behind ``sequence``, and the sequence they go up to."""
        oldest = self.now() - REQUEST_SECONDS
        found: list[AppliedRequest] = []
        reached = sequence
        for known in self.requests.behind(sequence, upto=self.sequence, oldest=oldest):
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
        self.requests.remember(batch)


def _parts_of(image: Image) -> tuple[_Rest, Image, tuple[Path, ...]]:
    """The rest of a state's image, the image of its rows, and its runs."""
    try:
        rest = msgspec.msgpack.decode(image.rest, type=_Rest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no rest of a state: {error}") from error
    rows = len(image.segments) - rest.runs
    if not 0 <= rows <= len(image.segments):
        raise ValueError(f"{rest.runs} runs of {len(image.segments)} folders")
    return rest, Image(image.segments[:rows], rest.rows), image.segments[rows:]
