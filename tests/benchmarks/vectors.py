"""The vector store's engine beside raw hnswlib: same process, same minutes, same rows, same graph parameters.

Searches are timed by the processor time of the one thread that searches, so other programs disturb the ratios less.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from anfl.vectors.engine.rows import RowStore
from anfl.vectors.filters import Filter, compile_filter
from anfl.vectors.model import IndexSettings, Values
from tests.benchmarks.contestants import Contestant, Filled, Metadata, Raw, Store
from tests.benchmarks.embeddings import Embeddings
from tests.benchmarks.progress import Report
from tests.benchmarks.recall import exact_similarities, recall

K = 10
ROUNDS = 5
ROUND_SECONDS = 1.0
BATCH_QUERIES = 100
SHARES = (0.01, 0.06, 0.11, 0.2, 0.3, 0.5)
UNCORRELATED, CORRELATED = "at_random", "in_one_direction"
"""Members of each row's metadata, evenly between 0 and 1: by chance, or by the row's place along one direction."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One index. Rates are a second; of queries the median of the rounds."""

    name: str
    recall: float
    queries: float
    """One at a time."""
    batched: float
    """`BATCH_QUERIES` in one call."""
    upserts: float
    """Rows accepted: the store can find them at once; hnswlib builds its graph meanwhile."""
    indexed: float
    """Rows that are in graphs by the end, over all the time that writing and building took."""


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """Queries with a filter that a ``share`` of the rows fulfils, and their ratio to those without."""

    field: str
    share: float
    recall: float
    queries: float
    ratio: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Both indexes over the same embeddings."""

    source: str
    rows: int
    queries: int
    dimension: int
    k: int
    threads: int
    settings: IndexSettings
    segments: int
    """Parts in which the store ended up; it searches each."""
    outside_graphs: int
    """The store's rows that no graph holds; it compares each."""
    bytes_per_row: float
    """Of the store's files."""
    opening: float
    """Seconds to open the store's files."""
    store: Figures
    raw: Figures
    ratio: float
    """Queries a second of the store to raw hnswlib's: the median of the rounds' ratios."""
    batch_ratio: float
    load_ratio: float
    """Of rows indexed a second."""
    filtered: list[Filtered]


def measure(
    embeddings: Embeddings,
    *,
    threads: int,
    report: Report,
    settings: IndexSettings | None = None,
    rounds: int = ROUNDS,
    round_seconds: float = ROUND_SECONDS,
) -> Comparison:
    """Fill both, check both against an exact search, then let them answer in turns."""
    settings = settings or IndexSettings()
    rows, queries = embeddings.rows, embeddings.queries
    k = min(K, len(rows))
    dimension = rows.shape[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store, raw = Store(dimension, settings, Path(folder), metadata_of(rows)), Raw(dimension, settings)
        raw_filled = raw.fill(rows, threads=threads, done=lambda share: report("fill raw hnswlib", share))
        store_filled = store.fill(rows, threads=threads, done=lambda share: report("fill the store", share))
        store.build(threads=threads, quiet=True)

        report("exact search", 0)
        exact = exact_similarities(rows, queries, k)
        report("exact search", 1)
        recalls = [recall(_answers(index, queries, k), rows, queries, exact) for index in (store, raw)]

        single: list[tuple[float, float]] = []
        batched: list[tuple[float, float]] = []
        for number in range(rounds):
            report("queries", number / rounds)
            single.append((_rate(store, queries, k, round_seconds), _rate(raw, queries, k, round_seconds)))
            batched.append((_batch_rate(store, queries, k, round_seconds), _batch_rate(raw, queries, k, round_seconds)))
        report("queries", 1)
        filtered = _filtered(store, rows, queries, k, round_seconds, report)
        image = store.rows.image()
        started = time.perf_counter()
        RowStore.from_image(image)
        opening = time.perf_counter() - started
        return Comparison(
            source=embeddings.source,
            rows=len(rows),
            queries=len(queries),
            dimension=dimension,
            k=k,
            threads=threads,
            settings=settings,
            segments=len(store.rows.segments),
            outside_graphs=store.rows.unmerged,
            bytes_per_row=_file_bytes(store.rows) / len(rows),
            opening=opening,
            store=_figures(
                "vector store", recalls[0], [pair[0] for pair in single], [pair[0] for pair in batched], store_filled
            ),
            raw=_figures(
                "raw hnswlib", recalls[1], [pair[1] for pair in single], [pair[1] for pair in batched], raw_filled
            ),
            ratio=_ratio(single),
            batch_ratio=_ratio(batched),
            load_ratio=_indexed(store_filled) / _indexed(raw_filled),
            filtered=filtered,
        )


def metadata_of(rows: Values) -> Metadata:
    """About 100 bytes for each of the ``rows`` (n, d)."""
    generator = np.random.default_rng(1)
    count = len(rows)
    by_chance = generator.permutation(count) / count
    along = np.argsort(np.argsort(-(rows @ rows[generator.integers(count)]))) / count
    return [
        {UNCORRELATED: round(chance, 6), CORRELATED: round(place, 6), "number": number, "even": number % 2 == 0}
        for number, (chance, place) in enumerate(zip(by_chance.tolist(), along.tolist(), strict=True))
    ]


def _filtered(store: Store, rows: Values, queries: Values, k: int, seconds: float, report: Report) -> list[Filtered]:
    found: list[Filtered] = []
    metadata = metadata_of(rows)
    for field in (UNCORRELATED, CORRELATED):
        for share in SHARES:
            report("filters", len(found) / (2 * len(SHARES)))
            wanted = compile_filter({field: {"$lt": share}})
            numbers = np.flatnonzero([wanted(members) for members in metadata])
            if len(numbers) < k:
                continue
            exact = exact_similarities(rows[numbers], queries, k)
            answers = [store.numbers(store.search(query, k, wanted)) for query in queries]
            places = {int(number): place for place, number in enumerate(numbers)}
            hits = [[places[number] for number in answer] for answer in answers]
            plain = _rate(store, queries, k, seconds)
            rate = _rate(store, queries, k, seconds, wanted)
            found.append(
                Filtered(
                    field=field,
                    share=share,
                    recall=recall(hits, rows[numbers], queries, exact),
                    queries=rate,
                    ratio=rate / plain,
                )
            )
    report("filters", 1)
    return found


def _figures(name: str, found: float, single: list[float], batched: list[float], filled: Filled) -> Figures:
    return Figures(
        name=name,
        recall=found,
        queries=statistics.median(single),
        batched=statistics.median(batched),
        upserts=filled.rows / filled.writing,
        indexed=_indexed(filled),
    )


def _indexed(filled: Filled) -> float:
    return filled.in_graphs / filled.altogether


def _ratio(rates: list[tuple[float, float]]) -> float:
    return statistics.median(ours / theirs for ours, theirs in rates)


def _answers(index: Contestant, queries: Values, k: int) -> list[list[int]]:
    return [index.numbers(index.search(query, k)) for query in queries]


def _rate(index: Contestant, queries: Values, k: int, seconds: float, wanted: Filter | None = None) -> float:
    """Queries a second, one at a time; with a filter, of the store."""
    if wanted is None:
        return _passes(lambda: [index.search(query, k) for query in queries], len(queries), seconds)
    assert isinstance(index, Store)
    return _passes(lambda: [index.search(query, k, wanted) for query in queries], len(queries), seconds)


def _batch_rate(index: Contestant, queries: Values, k: int, seconds: float) -> float:
    batches = [queries[first : first + BATCH_QUERIES] for first in range(0, len(queries), BATCH_QUERIES)]
    return _passes(lambda: [index.search_many(batch, k) for batch in batches], len(queries), seconds)


def _passes(work: Callable[[], object], answers: int, seconds: float) -> float:
    """Answers a second of this thread's processor time: whole passes until ``seconds`` are over."""
    answered = 0
    started = time.thread_time()
    while (elapsed := time.thread_time() - started) < seconds or not answered:
        work()
        answered += answers
    return answered / elapsed


def _file_bytes(rows: RowStore) -> int:
    return sum(path.stat().st_size for segment in rows.segments for path in segment.folder.iterdir())
