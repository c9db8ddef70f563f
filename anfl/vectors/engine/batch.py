"""Changes to a view, gathered until all of them are to be seen."""

from collections.abc import Collection, Iterable, Sequence
from itertools import batched
from typing import TYPE_CHECKING

import numpy as np

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.fresh import Fresh, NewRows
from anfl.vectors.engine.packed import pack
from anfl.vectors.engine.segment import Segment
from anfl.vectors.engine.view import Part, View
from anfl.vectors.model import Metadata, Values

if TYPE_CHECKING:
    from anfl.vectors.engine.bitmaps import Bits

_PIECE = 1_000
"""Ids that are packed at a time: one call for all of an image's would keep other threads waiting for milliseconds."""


class Batch:
    """Every row that changes gets a new place among the fresh rows; the old one is dead from then on."""

    def __init__(self, view: View, fresh: Fresh, version: int) -> None:
        self.deleted: list[str] = []
        self._view = view
        self._fresh = fresh
        self._version = version
        self._alive: dict[int, Bits] = {}
        """Sets that changed, by the segment's place."""
        self._fresh_alive = view.fresh.alive

    def upsert(
        self, ids: Sequence[str], values: Values, metadata: Sequence[Metadata], expires_at: Sequence[float | None]
    ) -> None:
        """Replace or add rows; ids are distinct, ``values`` has shape (n, dimension)."""
        versions = [self._version] * len(ids)
        self.add(NewRows(ids=ids, values=values, metadata=metadata, expires_at=expires_at, versions=versions))

    def patch(self, patches: Sequence[tuple[str, Metadata]]) -> None:
        """Replace the metadata of existing rows; ids are distinct.

        :raises KeyError: there is no such row.
        """
        if not patches:
            return
        view = self.view()
        before = {row_id: view.get(row_id) for row_id, _ in patches}
        rows = [row for row in before.values() if row is not None]
        if len(rows) < len(patches):
            raise KeyError(next(row_id for row_id, row in before.items() if row is None))
        self.upsert(
            [row_id for row_id, _ in patches],
            np.stack([row.values for row in rows]),
            [metadata for _, metadata in patches],
            [row.expires_at for row in rows],
        )

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; absent ids are no error."""
        doomed = list(ids)
        self._kill(doomed)
        self.deleted += doomed

    def add(self, rows: NewRows) -> None:
        """Replace or add rows with versions of their own."""
        if not rows.ids:
            return
        self._kill(rows.ids)
        numbers = self._fresh.append(rows)
        self._fresh_alive = bitmaps.resized(self._fresh_alive, self._fresh.size)
        bitmaps.add_range(self._fresh_alive, numbers.start, numbers.stop)

    def view(self) -> View:
        """The view with these changes; segments without an alive row are no longer in it."""
        parts = [
            Part(part.rows, self._alive[place]) if place in self._alive else part
            for place, part in enumerate(self._view.segments)
        ]
        return View(
            segments=tuple(part for part in parts if part.count),
            fresh=Part(self._fresh.rows(), bitmaps.resized(self._fresh_alive, self._fresh.size)),
            index=self._view.index,
            selections=self._view.selections,
        )

    def _kill(self, ids: Collection[str]) -> None:
        for some in batched(ids, _PIECE):
            self._kill_some(some)

    def _kill_some(self, ids: Sequence[str]) -> None:
        numbers = [number for row_id in ids if (number := self._fresh.numbers.get(row_id)) is not None]
        if numbers:
            self._fresh_alive = self._fresh_alive.copy()
            bitmaps.remove(self._fresh_alive, np.array(numbers, dtype=np.int64))
        packed = pack([row_id.encode() for row_id in ids])
        for place, part in enumerate(self._view.segments):
            if isinstance(part.rows, Segment):
                rows = part.rows.find(packed)
                rows = rows[rows >= 0]
                if len(rows):
                    bits = self._alive.setdefault(place, part.alive.copy())
                    bitmaps.remove(bits, rows)
