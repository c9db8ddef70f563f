"""The vector store's engine beside raw hnswlib: same process, same minutes, same rows, same graph parameters."""

import statistics
import time

import msgspec

from anfl.vectors.model import IndexSettings, Values
from tests.benchmarks.contestants import Contestant, Filled, Raw, Store
from tests.benchmarks.embeddings import Embeddings
from tests.benchmarks.progress import Report
from tests.benchmarks.recall import exact_similarities, recall

K = 10
ROUNDS = 5
ROUND_SECONDS = 1.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One index. Rates are a second; of queries, one at a time, the median of the rounds."""

    name: str
    recall: float
    queries: float
    upserts: float
    """Rows accepted: the store can find them at once; hnswlib builds its graph meanwhile."""
    indexed: float
    """Rows that are in graphs by the end, over all the time that writing and building took."""


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
    store: Figures
    raw: Figures
    ratio: float
    """Queries a second of the store to raw hnswlib's: the median of the rounds' ratios."""


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
    store, raw = Store(dimension, settings), Raw(dimension, settings)
    raw_filled = raw.fill(rows, threads=threads, done=lambda share: report("fill raw hnswlib", share))
    store_filled = store.fill(rows, threads=threads, done=lambda share: report("fill the store", share))

    report("exact search", 0)
    exact = exact_similarities(rows, queries, k)
    report("exact search", 1)
    recalls = [recall(_answers(index, queries, k), rows, queries, exact) for index in (store, raw)]

    rates: list[tuple[float, float]] = []
    for number in range(rounds):
        report("queries", number / rounds)
        store_rate = _rate(store, queries, k, round_seconds)
        rates.append((store_rate, _rate(raw, queries, k, round_seconds)))
    report("queries", 1)
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
        store=_figures("vector store", recalls[0], [rate for rate, _ in rates], store_filled),
        raw=_figures("raw hnswlib", recalls[1], [rate for _, rate in rates], raw_filled),
        ratio=statistics.median(ours / theirs for ours, theirs in rates),
    )


def _figures(name: str, found: float, rates: list[float], filled: Filled) -> Figures:
    return Figures(
        name=name,
        recall=found,
        queries=statistics.median(rates),
        upserts=filled.rows / filled.writing,
        indexed=filled.in_graphs / filled.altogether,
    )


def _answers(index: Contestant, queries: Values, k: int) -> list[list[int]]:
    return [index.numbers(index.search(query, k)) for query in queries]


def _rate(index: Contestant, queries: Values, k: int, seconds: float) -> float:
    """Queries a second: whole passes over the queries until ``seconds`` are over."""
    answered = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not answered:
        for query in queries:
            index.search(query, k)
        answered += len(queries)
    return answered / elapsed
