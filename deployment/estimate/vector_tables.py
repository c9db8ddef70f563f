"""Tables of the engine ``dynamodb``: how large their rows are, which decides what AWS bills.

Sizes of items are those of the Developer Guide ("DynamoDB item sizes and formats"), what goes into and through a vector
index is billed by the byte ("Monitoring vector index capacity").
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from stacks.figures.templates import Resource

MILLION = 1_000_000
_GIGABYTE = 2**30
_UNIT_WRITTEN, _UNIT_READ = 1024, 4096
"""Bytes of a unit."""
_NUMBER = 7.5
"""Bytes of each of a vector's numbers in its item: five for nine digits, one more, half a sign, its place in a list."""
_KEYS = 200
"""Bytes of a row's keys, version, expiry and slots with their names."""
_STORED = 100
"""Bytes that AWS adds to each item that it stores, and again in an index."""
_LEAST_INDEXED = 1024
"""Bytes of a vector at least, where it is written to an index."""
_RESULTS = 20
"""Of a search: ten that are wanted, and ten to spare (`anfl.vectors.dynamodb.reading`)."""


@dataclass(frozen=True, kw_only=True)
class VectorTable:
    """What a template declares of one, with ``metadata``, the bytes of a row's own, and ``examined``, the vectors whose
    bytes a search is billed for."""

    name: str
    regions: tuple[str, ...]
    dimension: int
    metric: str
    metadata: float
    examined: float

    @property
    def row(self) -> float:
        """Bytes of an item."""
        return _KEYS + self.metadata + _NUMBER * self.dimension

    @property
    def stored(self) -> float:
        """Gigabytes of a million rows in the table."""
        return MILLION * (self.row + _STORED) / _GIGABYTE

    @property
    def indexed(self) -> float:
        """Gigabytes of a million rows in the index."""
        return MILLION * (self._entry + _STORED) / _GIGABYTE

    @property
    def written(self) -> float:
        """Gigabytes that a million rows bring to the index."""
        return MILLION * self._entry / _GIGABYTE

    @property
    def searched(self) -> float:
        """Gigabytes that a million searches are billed for."""
        return MILLION * (self.examined * 4 * self.dimension + _RESULTS * (_KEYS + self.metadata)) / _GIGABYTE

    @property
    def units_written(self) -> int:
        """Units of writing a row, by itself."""
        return math.ceil(self.row / _UNIT_WRITTEN)

    @property
    def units_read(self) -> int:
        """Units of reading a row as it is now."""
        return math.ceil(self.row / _UNIT_READ)

    @property
    def _entry(self) -> float:
        return max(_LEAST_INDEXED, 4 * self.dimension) + _KEYS + self.metadata


def vector_tables(tables: list[Resource], *, metadata: float, examined: float) -> Iterator[VectorTable]:
    """Those of ``tables`` that have a vector index."""
    for table in tables:
        for index in table.get("VectorIndexes") or []:
            yield VectorTable(
                name=table.get("TableName"),
                regions=tuple(replica["Region"] for replica in table.get("Replicas")),
                dimension=index["Dimensions"],
                metric=index["DistanceFunction"],
                metadata=metadata,
                examined=examined,
            )
