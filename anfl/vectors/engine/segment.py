"""A block of rows: values, metadata and which rows are alive; searched exactly, or by a graph once one is built."""

from collections.abc import Sequence

import hnswlib
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine.distances import Distances, distances, norms
from anfl.vectors.model import IndexSettings, Metadata, Metric, Values

_SPACES = {Metric.COSINE: "cosine", Metric.L2: "l2", Metric.IP: "ip"}
_FIRST_CAPACITY = 64
BLOCK_NUMBERS = 4 * 2**20
"""Most float32 numbers that a scan works on at once, so that its copies stay small beside the rows."""


class Segment:
    """Append-only rows. Updating a row anywhere is a tombstone here and a new row in the fresh segment."""

    def __init__(self, dimension: int) -> None:
        self.ids: list[str] = []
        self.metadata: list[Metadata] = []
        self.versions: list[int] = []
        self.expires_at: list[float | None] = []
        self.size = 0
        self.alive_count = 0
        self.expiring = 0
        """Alive rows that have an expiry; without any, nobody needs to look."""
        self._values = np.empty((_FIRST_CAPACITY, dimension), dtype=np.float32)
        self._norms = np.empty(_FIRST_CAPACITY, dtype=np.float32)
        self._alive = np.zeros(_FIRST_CAPACITY, dtype=np.bool_)
        self._graph: hnswlib.Index | None = None

    @property
    def values(self) -> Values:
        """All rows' values, dead ones included, shape (size, dimension)."""
        return self._values[: self.size]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which rows are alive, shape (size,)."""
        return self._alive[: self.size]

    @property
    def has_graph(self) -> bool:
        """Whether `search_graph` works."""
        return self._graph is not None

    def append(
        self,
        ids: Sequence[str],
        values: Values,
        metadata: Sequence[Metadata],
        expires_at: Sequence[float | None],
        version: int,
    ) -> int:
        """Add rows (n, dimension) and return the number of the first."""
        first, count = self.size, len(ids)
        self._reserve(first + count)
        self._values[first : first + count] = values
        self._norms[first : first + count] = norms(values)
        self._alive[first : first + count] = True
        self.ids += ids
        self.metadata += metadata
        self.expires_at += expires_at
        self.versions += [version] * count
        self.size += count
        self.alive_count += count
        self.expiring += sum(moment is not None for moment in expires_at)
        return first

    def kill(self, number: int) -> None:
        """Mark an alive row dead."""
        self._alive[number] = False
        self.alive_count -= 1
        self.expiring -= self.expires_at[number] is not None
        if self._graph is not None:
            self._graph.mark_deleted(number)

    def distances_to(self, query: Values, numbers: NDArray[np.int64], metric: Metric) -> Distances:
        """Exact distances of ``query`` to the rows ``numbers``, ascending and distinct."""
        if 2 * len(numbers) > self.size:  # reading some rows in vain is faster than copying the others
            every = self._scan(query, [slice(first, last) for first, last in self._blocks(self.size)], metric)
            return every if len(numbers) == self.size else every[numbers]
        return self._scan(query, [numbers[first:last] for first, last in self._blocks(len(numbers))], metric)

    def search_graph(self, query: Values, k: int, ef: int) -> NDArray[np.int64] | None:
        """Numbers of about the nearest ``k`` alive rows; None where the graph does not lead to so many."""
        if self._graph is None:
            raise RuntimeError("the segment has no graph")
        k = min(k, self.alive_count)
        if k == 0:
            return np.empty(0, dtype=np.int64)
        self._graph.set_ef(max(ef, k))
        try:
            labels, _ = self._graph.knn_query(query, k=k, num_threads=1)
        except RuntimeError:  # hnswlib's one way to say so: rows far from all others can have no way in
            return None
        numbers: NDArray[np.int64] = labels[0].astype(np.int64)
        return numbers

    def build_graph(self, metric: Metric, settings: IndexSettings, *, threads: int) -> None:
        """Build the graph over all rows, whose labels are their numbers. Releases the GIL while it adds them."""
        graph = hnswlib.Index(space=_SPACES[metric], dim=self._values.shape[1])
        graph.init_index(max_elements=self.size, ef_construction=settings.ef_construction, M=settings.m, random_seed=1)
        graph.add_items(self.values, np.arange(self.size), num_threads=threads)
        self._graph = graph

    def copy_to(self, target: "Segment", numbers: NDArray[np.int64]) -> None:
        """Append the rows ``numbers`` to ``target``."""
        first = target.append(
            [self.ids[number] for number in numbers],
            self.values[numbers],
            [self.metadata[number] for number in numbers],
            [self.expires_at[number] for number in numbers],
            0,
        )
        target.versions[first:] = [self.versions[number] for number in numbers]

    def _blocks(self, count: int) -> list[tuple[int, int]]:
        step = max(1, BLOCK_NUMBERS // self._values.shape[1])
        return [(first, min(first + step, count)) for first in range(0, count, step)]

    def _scan(self, query: Values, blocks: Sequence[slice | NDArray[np.int64]], metric: Metric) -> Distances:
        return np.concatenate([distances(metric, query, self._values[block], self._norms[block]) for block in blocks])

    def _reserve(self, rows: int) -> None:
        capacity = len(self._norms)
        if rows <= capacity:
            return
        capacity = max(rows, capacity * 2)
        for name in ("_values", "_norms", "_alive"):
            old = getattr(self, name)
            new = np.zeros((capacity, *old.shape[1:]), dtype=old.dtype)
            new[: self.size] = old[: self.size]
            setattr(self, name, new)
