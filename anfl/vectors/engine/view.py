"""The rows of a collection at one moment. It never changes, so threads read it while the next one is made."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anfl.vectors.engine import bitmaps, plan
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.fresh import FreshRows
from anfl.vectors.engine.native import Answers
from anfl.vectors.engine.packed import pack
from anfl.vectors.engine.segment import Segment
from anfl.vectors.engine.selection import Selections
from anfl.vectors.filters import Filter
from anfl.vectors.model import FieldType, IndexSettings, Metadata, Values, matches_type


@dataclass(eq=False)  # not frozen: searches make many, and that takes twice as long
class Found:
    """A row; what belongs to it is read when it is asked for."""

    rows: Segment | FreshRows
    number: int

    @property
    def id(self) -> str:
        """Its id."""
        return self.rows.id(self.number)

    @property
    def values(self) -> Values:
        """The caller's numbers, shape (dimension,)."""
        values: Values = self.rows.values[self.number]
        return values

    @cached_property
    def metadata(self) -> Metadata:
        """Its metadata; not to be changed."""
        return self.rows.metadata(self.number)

    @property
    def version(self) -> int:
        """The sequence of its last change."""
        return self.rows.version(self.number)

    @property
    def expires_at(self) -> float | None:
        """Seconds since the epoch; None: never."""
        return self.rows.expiry(self.number)


class Hit(NamedTuple):
    """A row that a search found. They sort by distance, then id: no two have the same."""

    distance: float
    id: str
    rows: Segment | FreshRows
    number: int

    @property
    def row(self) -> Found:
        """What belongs to it."""
        return Found(self.rows, self.number)


_Near = tuple[float, Segment | FreshRows, int]
"""Distance, and where the row is."""


@dataclass(frozen=True)
class Part:
    """A segment, or the fresh rows, and which of the rows are alive."""

    rows: Segment | FreshRows
    alive: Bits

    @cached_property
    def count(self) -> int:
        """How many are alive."""
        return bitmaps.size(self.alive)


@dataclass(frozen=True)
class View:
    """Each id is alive in one part at most. ``now`` is in seconds since the epoch: what has expired is not there."""

    segments: tuple[Part, ...]
    fresh: Part
    index: IndexSettings
    selections: Selections

    @cached_property
    def count(self) -> int:
        """Alive rows, expired ones included."""
        return sum(part.count for part in self._parts())

    def get(self, row_id: str) -> Found | None:
        """The row ``row_id``, expired or not."""
        fresh = self.fresh.rows
        if isinstance(fresh, FreshRows):
            number = fresh.row(row_id)
            if number >= 0 and bitmaps.holds(self.fresh.alive, number):
                return Found(fresh, number)
        packed = pack([row_id.encode()])
        for part in self.segments:
            if isinstance(part.rows, Segment):
                number = int(part.rows.find(packed)[0])
                if number >= 0 and bitmaps.holds(part.alive, number):
                    return Found(part.rows, number)
        return None

    def ids(self) -> Iterator[str]:
        """Every id, expired or not, in no order."""
        for part in self._parts():
            yield from (part.rows.id(row) for row in bitmaps.rows(part.alive, part.rows.size).tolist())

    def matching(self, wanted: Filter | None, *, now: float) -> Iterator[str]:
        """Ids of the rows that fulfil ``wanted``, in no order."""
        for part in self._parts():
            allowed = self._allowed(part, wanted, now)
            yield from (part.rows.id(row) for row in bitmaps.rows(allowed, part.rows.size).tolist())

    def count_matching(self, wanted: Filter | None, *, now: float) -> int:
        """How many rows fulfil ``wanted``."""
        return sum(bitmaps.size(self._allowed(part, wanted, now)) for part in self._parts())

    def count_against(self, field: str, declared: FieldType, *, now: float) -> int:
        """How many rows hold a value of ``field`` that a declaration of this type would refuse."""
        return sum(bitmaps.size(self.alive(part, now) & _against(part.rows, field, declared)) for part in self._parts())

    def page(self, wanted: Filter | None, *, now: float, after: str, limit: int) -> list[Found]:
        """The first ``limit`` rows by id that fulfil ``wanted`` and have ids behind ``after``."""
        pages = [self._page(part, self._allowed(part, wanted, now), after, limit) for part in self._parts()]
        return [row for _, row in heapq.nsmallest(limit, (entry for page in pages for entry in page), key=_id_of)]

    def search(
        self,
        queries: Values,
        k: int,
        *,
        now: float,
        ef: int | None = None,
        wanted: Filter | None = None,
        skip: str | None = None,
        exact: bool = False,
    ) -> list[list[Hit]]:
        """The nearest ``k`` rows to each of the ``queries`` (q, dimension), ascending by distance, then id.

        Exact, but for parts with a graph of which so many rows may be found that comparing them all would take longer
        (see `plan`).

        :param ef: candidates that a graph keeps; None: the collection's ``ef_search``.
        :param skip: an id to leave out.
        :param exact: compare every row, however long that takes.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        reach = k + (skip is not None)
        found: list[list[_Near]] = [[] for _ in queries]
        for part in self._parts():
            allowed = self._allowed(part, wanted, now)
            if exact:
                answers = (
                    part.rows.block.scan(queries, reach, allowed) if bitmaps.size(allowed) else [[] for _ in queries]
                )
            else:
                answers = self._search(part, queries, reach, ef or self.index.ef_search, allowed)
            for hits, answer in zip(found, answers, strict=True):
                hits += [(distance, part.rows, row) for distance, row in answer]
        return [_nearest(hits, k, reach, skip) for hits in found]

    def work(self, k: int, *, ef: int | None = None, wanted: Filter | None = None) -> float:
        """About how many rows a scan compares in the time that `search` takes for one query; infinite where ``wanted``
        has to be evaluated for many rows first."""
        work = 0.0
        for part in self._parts():
            count = part.count
            if wanted is not None:
                chosen = self.selections.remembered(part.rows, wanted)
                if chosen is None:
                    return float("inf")
                count = bitmaps.size(part.alive & chosen)
            size, candidates = part.rows.size, ef or self.index.ef_search
            graph = part.rows.block.has_graph
            work += plan.work(size, count, k, candidates, self.index.m, graph=graph)
        return work

    def _parts(self) -> Iterator[Part]:
        yield from self.segments
        if self.fresh.rows.size:
            yield self.fresh

    def alive(self, part: Part, now: float) -> Bits:
        """The rows of a part that are alive and have not expired; `Part.alive` itself where none has."""
        expired = part.rows.expired(now)
        return part.alive if expired is None else part.alive & ~expired

    def _allowed(self, part: Part, wanted: Filter | None, now: float) -> Bits:
        alive = self.alive(part, now)
        return alive if wanted is None else alive & self.selections.select(part.rows, wanted)

    def _search(self, part: Part, queries: Values, k: int, ef: int, allowed: Bits) -> Answers:
        count = part.count if allowed is part.alive else bitmaps.size(allowed)
        if not count:
            return [[] for _ in queries]
        block, size = part.rows.block, part.rows.size
        if not block.has_graph or not plan.prefers_graph(size, count, k, ef, self.index.m):
            return block.scan(queries, k, allowed)
        mask = None if count == size else allowed
        answers = block.search_graph(queries, k, ef, mask, budget=plan.budget(size, count))
        least = min(k, count)
        missed = [i for i, answer in enumerate(answers) if answer is None or len(answer) < least]
        for number, answer in zip(missed, block.scan(queries[missed], k, allowed) if missed else [], strict=True):
            answers[number] = answer
        return [answer or [] for answer in answers]

    def _page(self, part: Part, allowed: Bits, after: str, limit: int) -> list[tuple[str, Found]]:
        rows, mask = part.rows, bitmaps.mask(allowed, part.rows.size)
        if isinstance(rows, FreshRows):
            ids = ((rows.id(row), row) for row in np.flatnonzero(mask).tolist())
            return [
                (row_id, Found(rows, row)) for row_id, row in heapq.nsmallest(limit, (e for e in ids if e[0] > after))
            ]
        order = rows.after(after.encode())
        return [(rows.id(row), Found(rows, row)) for row in order[mask[order]][:limit].tolist()]


def _against(rows: Segment | FreshRows, field: str, declared: FieldType) -> Bits:
    if isinstance(rows, Segment):
        return rows.columns.against(field, declared)
    metadata = rows.fresh.metadata
    wrong = (not matches_type(metadata[row].get(field), declared) for row in range(rows.size))
    return bitmaps.of_mask(np.fromiter(wrong, dtype=np.bool_, count=rows.size))


def _nearest(hits: Sequence[_Near], k: int, reach: int, skip: str | None) -> list[Hit]:
    if len(hits) > reach:
        farthest = sorted(distance for distance, _, _ in hits)[reach - 1]
        hits = [hit for hit in hits if hit[0] <= farthest]
    named = [Hit(distance, rows.id(number), rows, number) for distance, rows, number in hits]
    named.sort()
    return [hit for hit in named if hit.id != skip][:k] if skip is not None else named[:k]


def _id_of(entry: tuple[str, Found]) -> str:
    return entry[0]
