"""All rows of a collection in memory, and the search over them."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine.distances import Distances
from anfl.vectors.engine.segment import Segment
from anfl.vectors.model import IndexSettings, Metadata, Metric, Values

FRESH_ROWS = 10_000
"""Most rows outside a graph before a segment is closed: an exact scan of them takes about a millisecond."""
GRAPH_FROM = 1_000
"""Fewest rows that get a graph."""
SEGMENTS = 4
"""Most closed segments; more are merged."""
DEAD_ROWS = 1_000
"""Dead rows that the fresh segment may hold besides as many as are alive."""

Matches = Callable[[Metadata], bool]


@dataclass(frozen=True)
class Found:
    """A row as it stands: views into a segment, to be copied before the next write."""

    id: str
    values: Values
    metadata: Metadata
    version: int
    expires_at: float | None


@dataclass(frozen=True)
class Work:
    """Closed segments to be rewritten as one with a graph; ``alive`` as they were when the work was given out."""

    sources: tuple[Segment, ...]
    alive: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True)
class Built:
    """A segment with its graph, and for each of its rows the source and the number there."""

    segment: Segment
    origins: list[tuple[Segment, int]]
    work: Work


class RowStore:
    """Not safe for threads: the collection holds a lock around each call but `carry_out`."""

    def __init__(self, *, dimension: int, metric: Metric, index: IndexSettings) -> None:
        self._dimension = dimension
        self._metric = metric
        self._index = index
        self.ef_search = index.ef_search
        """Candidates that a graph keeps while it searches, unless a query says otherwise."""
        self._closed: list[Segment] = []
        self._fresh = Segment(dimension)
        self._places: dict[str, tuple[Segment, int]] = {}

    def __len__(self) -> int:
        """Alive rows, expired ones included."""
        return len(self._places)

    @property
    def unmerged(self) -> int:
        """Alive rows outside a graph."""
        return sum(segment.alive_count for segment in self._segments() if not segment.has_graph)

    @property
    def segment_count(self) -> int:
        """Segments that hold rows."""
        return sum(segment.size > 0 for segment in self._segments())

    def get(self, row_id: str) -> Found | None:
        """The row ``row_id``, expired or not."""
        place = self._places.get(row_id)
        return None if place is None else _found(*place)

    def ids(self) -> Iterable[str]:
        """Every id, in no order."""
        return self._places.keys()

    def matching(self, matches: Matches | None, *, now: float) -> Iterator[str]:
        """Ids of the rows that match and have not expired at ``now``, in no order."""
        for row_id, (segment, number) in self._places.items():
            moment = segment.expires_at[number]
            if (moment is None or moment > now) and (matches is None or matches(segment.metadata[number])):
                yield row_id

    def upsert(
        self,
        ids: Sequence[str],
        values: Values,
        metadata: Sequence[Metadata],
        expires_at: Sequence[float | None],
        version: int,
    ) -> None:
        """Replace or add rows; ids are distinct, ``values`` has shape (n, dimension)."""
        self.delete(row_id for row_id in ids if row_id in self._places)
        self._sweep()
        first = self._fresh.append(ids, values, metadata, expires_at, version)
        for offset, row_id in enumerate(ids):
            self._places[row_id] = (self._fresh, first + offset)

    def patch(self, row_id: str, metadata: Metadata, version: int) -> None:
        """Replace the metadata of an existing row."""
        segment, number = self._places[row_id]
        segment.metadata[number] = metadata
        segment.versions[number] = version

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; absent ids are no error."""
        for row_id in list(ids):
            place = self._places.pop(row_id, None)
            if place is not None:
                place[0].kill(place[1])

    def search(
        self, query: Values, k: int, *, ef: int | None, matches: Matches | None, now: float, skip: str | None = None
    ) -> list[tuple[float, str]]:
        """The nearest ``k`` rows as (distance, id), ascending, ties by id.

        With ``matches`` the answer is exact; without it closed segments answer by their graphs.

        :param now: rows that expire at or before it are left out.
        :param skip: an id to leave out.
        """
        best: list[tuple[float, str]] = []
        for segment in self._segments():
            numbers = self._candidates(segment, query, k + (skip is not None), ef, matches, now)
            if not len(numbers):
                continue
            found = segment.distances_to(query, numbers, self._metric)
            best += _nearest(segment, numbers, found, k + (skip is not None))
        return heapq.nsmallest(k, (match for match in best if match[1] != skip))

    def pending(self) -> Work | None:
        """Close the fresh segment if it is full, and say what is to be built next: a graph for rows that have none or
        are mostly dead, or of two segments one. None for nothing."""
        if self._fresh.alive_count >= min(max(len(self) // 4, GRAPH_FROM), FRESH_ROWS):
            self._closed.append(self._fresh)
            self._fresh = Segment(self._dimension)
        self._closed = [segment for segment in self._closed if segment.alive_count]
        due = [segment for segment in self._closed if not segment.has_graph or 2 * segment.alive_count < segment.size]
        if len(self._closed) > SEGMENTS:
            sources = tuple(sorted(self._closed, key=lambda segment: segment.alive_count)[:2])
        elif due:
            sources = (due[0],)
        else:
            return None
        return Work(sources, tuple(source.alive.copy() for source in sources))

    def carry_out(self, work: Work, *, threads: int) -> Built:
        """Build what ``work`` asks for. The one call that needs no lock: closed segments gain no rows."""
        segment = Segment(self._dimension)
        origins: list[tuple[Segment, int]] = []
        for source, alive in zip(work.sources, work.alive, strict=True):
            numbers = np.flatnonzero(alive)
            source.copy_to(segment, numbers)
            origins += [(source, int(number)) for number in numbers]
        segment.build_graph(self._metric, self._index, threads=threads)
        return Built(segment, origins, work)

    def install(self, built: Built) -> None:
        """Take ``built`` in place of its sources, with what has changed in them since the work was given out."""
        for number, origin in enumerate(built.origins):
            row_id = built.segment.ids[number]
            if self._places.get(row_id) == origin:
                source, old = origin
                built.segment.metadata[number] = source.metadata[old]
                built.segment.versions[number] = source.versions[old]
                self._places[row_id] = (built.segment, number)
            else:
                built.segment.kill(number)
        kept = [segment for segment in self._closed if segment not in built.work.sources]
        self._closed = [*kept, built.segment]

    def _sweep(self) -> None:
        """Write the fresh segment again without its dead rows once they are many."""
        alive, dead = self._fresh.alive_count, self._fresh.size - self._fresh.alive_count
        if dead <= max(alive, DEAD_ROWS):
            return
        swept = Segment(self._dimension)
        self._fresh.copy_to(swept, np.flatnonzero(self._fresh.alive))
        self._fresh = swept
        self._places |= {row_id: (swept, number) for number, row_id in enumerate(swept.ids)}

    def _segments(self) -> Iterator[Segment]:
        yield from self._closed
        yield self._fresh

    def _candidates(
        self, segment: Segment, query: Values, k: int, ef: int | None, matches: Matches | None, now: float
    ) -> NDArray[np.int64]:
        """Numbers of rows among which the nearest ``k`` are: by the graph where it can serve, else all that qualify."""
        if matches is None and segment.has_graph and 2 * k < segment.alive_count:
            numbers = segment.search_graph(query, k, ef or self.ef_search)
            if numbers is not None and len(_unexpired(segment, numbers, now)) == len(numbers):
                return np.sort(numbers)
        numbers = _unexpired(segment, np.flatnonzero(segment.alive), now)
        if matches is None:
            return numbers
        return np.array([number for number in numbers if matches(segment.metadata[number])], dtype=np.int64)


def _found(segment: Segment, number: int) -> Found:
    return Found(
        segment.ids[number],
        segment.values[number],
        segment.metadata[number],
        segment.versions[number],
        segment.expires_at[number],
    )


def _unexpired(segment: Segment, numbers: NDArray[np.int64], now: float) -> NDArray[np.int64]:
    if not segment.expiring:
        return numbers
    moments = segment.expires_at
    return np.array([n for n in numbers if (moment := moments[n]) is None or moment > now], dtype=np.int64)


def _nearest(segment: Segment, numbers: NDArray[np.int64], distances: Distances, k: int) -> list[tuple[float, str]]:
    """The nearest ``k`` as (distance, id). Rows as far as the last one stay in: their ids decide."""
    if len(numbers) > k:
        keep = distances <= np.partition(distances, k - 1)[k - 1]
        numbers, distances = numbers[keep], distances[keep]
    return heapq.nsmallest(k, zip(distances.tolist(), (segment.ids[n] for n in numbers), strict=True))
