"""Rows in no segment yet: in the process's memory, compared one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from anfl.vectors.engine import bitmaps
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.native import Block, sketch
from anfl.vectors.model import Metadata, Metric, Values

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_CAPACITY = 64
_ROW_BYTES = 600
"""About what a row takes in memory beside its numbers, if its metadata is a few short values."""
_FIELD_BYTES = 100
_SOME_FIELDS = 4
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """Rows to be added: ``values`` (n, dimension), the rest of n members each."""

    ids: Sequence[str]
    values: Values
    metadata: Sequence[Metadata]
    expires_at: Sequence[float | None]
    versions: Sequence[int]


class Fresh:
    """Grows at its end only, so that a `FreshRows` taken earlier stays as it is, whoever reads it meanwhile."""

    def __init__(self, dimension: int, metric: Metric) -> None:
        self._metric = metric
        self.size = 0
        self.ids: list[str] = []
        self.metadata: list[Metadata] = []
        self.versions: list[int] = []
        self.expires_at: list[float | None] = []
        self.earlier: list[int] = []
        """The row that had the id before, −1 where none had."""
        self.numbers: dict[str, int] = {}
        """The latest row of each id."""
        self.expiring: list[int] = []
        """Rows with an expiry."""
        self._large_bytes = 0
        """About what metadata takes beyond `_ROW_BYTES`."""
        self._values = np.empty((_FIRST_CAPACITY, dimension), dtype=np.float32)
        self._codes = np.empty((_FIRST_CAPACITY, dimension), dtype=np.int8)
        self._sketches = np.empty((_FIRST_CAPACITY, 3), dtype=np.float32)

    @property
    def private_bytes(self) -> int:
        """About what it takes in memory; ids and metadata by a rule of thumb."""
        return self._bytes(rows=len(self._values))

    @property
    def row_bytes(self) -> int:
        """About what its rows take of that: the same for the same rows, however they came."""
        return self._bytes(rows=self.size)

    def append(self, rows: NewRows) -> range:
        """Add rows and return their numbers."""
        first, count = self.size, len(rows.ids)
        last = first + count
        self._reserve(last)
        self._values[first:last] = rows.values
        self._codes[first:last], self._sketches[first:last] = sketch(self._values[first:last])
        self.metadata += rows.metadata
        self._large_bytes += sum(map(_large_bytes, rows.metadata))
        self.versions += rows.versions
        self.expires_at += rows.expires_at
        self.expiring += [first + number for number, moment in enumerate(rows.expires_at) if moment is not None]
        self.earlier += [self.numbers.get(row_id, -1) for row_id in rows.ids]
        self.ids += rows.ids
        self.size = last
        self.numbers.update(zip(rows.ids, range(first, last), strict=True))
        return range(first, last)

    def rows(self) -> "FreshRows":
        """The rows as they are now."""
        count = self.size
        values, codes, sketches = self._values[:count], self._codes[:count], self._sketches[:count]
        return FreshRows(self, count, values, Block(self._metric, values, codes, sketches))

    def _bytes(self, *, rows: int) -> int:
        """With arrays of so many ``rows``."""
        arrays = sum(array[:rows].nbytes for array in (self._values, self._codes, self._sketches))
        return arrays + _ROW_BYTES * self.size + self._large_bytes

    def _reserve(self, rows: int) -> None:
        capacity = len(self._values)
        if rows > capacity:
            capacity = max(rows, 2 * capacity)
            self._values = _grown(self._values, capacity, self.size)
            self._codes = _grown(self._codes, capacity, self.size)
            self._sketches = _grown(self._sketches, capacity, self.size)


@dataclass(frozen=True)
class FreshRows:
    """The first ``size`` rows of ``fresh``."""

    fresh: Fresh
    size: int
    values: Values
    block: Block

    def row(self, row_id: str) -> int:
        """The latest row of an id, −1 where it has none."""
        number = self.fresh.numbers.get(row_id, -1)
        while number >= self.size:
            number = self.fresh.earlier[number]
        return number

    def id(self, row: int) -> str:
        """A row's id."""
        return self.fresh.ids[row]

    def metadata(self, row: int) -> Metadata:
        """A row's metadata."""
        return self.fresh.metadata[row]

    def version(self, row: int) -> int:
        """A row's version."""
        return self.fresh.versions[row]

    def expiry(self, row: int) -> float | None:
        """When a row expires; None: never."""
        return self.fresh.expires_at[row]

    def expired(self, now: float) -> Bits | None:
        """The rows that have expired at ``now``; None for none."""
        moments = self.fresh.expires_at
        rows = [row for row in self.fresh.expiring if row < self.size and (moments[row] or 0) <= now]
        return bitmaps.of_rows(np.array(rows, dtype=np.int64), self.size) if rows else None


def _large_bytes(metadata: Metadata) -> int:
    size = _FIELD_BYTES * max(0, len(metadata) - _SOME_FIELDS)
    for value in metadata.values():
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, list) and len(value) > _SOME_FIELDS:
            size += getsizeof(value) + sum(map(getsizeof, value))
    return size


def _grown(old: "NDArray[T]", capacity: int, size: int) -> "NDArray[T]":
    new = np.empty((capacity, *old.shape[1:]), dtype=old.dtype)
    new[:size] = old[:size]
    return new
