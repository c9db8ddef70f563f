"""The two indexes that are compared, each used as it is meant to be: one query at a time, one thread a query."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import hnswlib
import numpy as np

from anfl.vectors.engine.compaction import compact
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.engine.view import Hit
from anfl.vectors.filters import Filter
from anfl.vectors.model import IndexSettings, Metric, Values

BATCH = 1_000
"""Rows a write."""
Metadata = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What it took to take all rows in, in seconds."""

    rows: int
    in_graphs: int
    writing: float
    altogether: float
    """Writing and building graphs."""


class Contestant(Protocol):
    """An index over rows that are numbered from 0."""

    def fill(self, rows: Values, *, threads: int, done: Callable[[float], None]) -> Filled:
        """Take all rows and build what makes them fast to search, telling ``done`` the share."""

    def search(self, query: Values, k: int) -> object:
        """The nearest ``k`` rows, as the index gives them."""

    def search_many(self, queries: Values, k: int) -> object:
        """The nearest ``k`` rows to each of ``queries`` in one call, on one thread."""

    def numbers(self, answer: object) -> list[int]:
        """The rows in an answer of `search`."""


class Store:
    """The vector store's engine; graphs are built as a node's builder does it, whenever one is due."""

    def __init__(self, dimension: int, settings: IndexSettings, folder: Path, metadata: Metadata) -> None:
        """:param folder: for segments. :param metadata: of each row."""
        self.rows = RowStore(dimension=dimension, metric=Metric.COSINE, index=settings)
        self._folder = folder
        self._metadata = metadata

    def fill(self, rows: Values, *, threads: int, done: Callable[[float], None]) -> Filled:
        """See `Contestant`."""
        writing = 0.0
        started = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            last = min(first + BATCH, len(rows))
            before = time.perf_counter()
            with self.rows.batch(first // BATCH + 1) as batch:
                ids = [str(number) for number in range(first, last)]
                batch.upsert(ids, rows[first:last], self._metadata[first:last], [None] * (last - first))
            writing += time.perf_counter() - before
            self.build(threads=threads)
            done(last / len(rows))
        altogether = time.perf_counter() - started
        in_graphs = len(rows) - self.rows.unmerged
        return Filled(rows=len(rows), in_graphs=in_graphs, writing=writing, altogether=altogether)

    def build(self, *, threads: int, quiet: bool = False) -> None:
        """Build what is due."""
        while self.rows.is_due(quiet=quiet):
            self.rows.install(compact(self.rows.image(), self._folder, threads=threads, quiet=quiet))

    def search(self, query: Values, k: int, wanted: Filter | None = None) -> list[Hit]:
        """See `Contestant`; with a filter, of the rows that fulfil it."""
        return self.rows.view.search(query[np.newaxis], k, now=time.time(), wanted=wanted)[0]

    def search_many(self, queries: Values, k: int) -> list[list[Hit]]:
        """See `Contestant`."""
        return self.rows.view.search(queries, k, now=time.time())

    def numbers(self, answer: object) -> list[int]:
        """See `Contestant`."""
        assert isinstance(answer, list)
        return [int(hit.id) for hit in answer]


class Raw:
    """hnswlib as it is: one graph over all rows."""

    def __init__(self, dimension: int, settings: IndexSettings) -> None:
        self._settings = settings
        self._graph = hnswlib.Index(space="cosine", dim=dimension)

    def fill(self, rows: Values, *, threads: int, done: Callable[[float], None]) -> Filled:
        """See `Contestant`."""
        started = time.perf_counter()
        self._graph.init_index(
            max_elements=len(rows), ef_construction=self._settings.ef_construction, M=self._settings.m, random_seed=1
        )
        for first in range(0, len(rows), BATCH):
            values = rows[first : first + BATCH]
            self._graph.add_items(values, np.arange(first, first + len(values)), num_threads=threads)
            done((first + len(values)) / len(rows))
        seconds = time.perf_counter() - started
        self._graph.set_ef(self._settings.ef_search)
        return Filled(rows=len(rows), in_graphs=len(rows), writing=seconds, altogether=seconds)

    def search(self, query: Values, k: int) -> Values:
        """See `Contestant`."""
        labels, _ = self._graph.knn_query(query, k=k, num_threads=1)
        found: Values = labels[0]
        return found

    def search_many(self, queries: Values, k: int) -> Values:
        """The nearest ``k`` rows to each of ``queries``, by one thread."""
        labels, _ = self._graph.knn_query(queries, k=k, num_threads=1)
        found: Values = labels
        return found

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        self._graph.save_index(str(path))

    def numbers(self, answer: object) -> list[int]:
        """See `Contestant`."""
        return [int(number) for number in np.asarray(answer)]
