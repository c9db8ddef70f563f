"""Exact search: every row compared, in float64. For those who want to know, not for those who search."""

import heapq
from collections.abc import Iterable
from itertools import batched

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.model import Metric, Values

_TOGETHER = 1_000
Numbers = NDArray[np.float64]


def nearest(
    rows: Iterable[tuple[str, Values]], queries: Values, k: int, metric: Metric
) -> list[list[tuple[float, str]]]:
    """The nearest k of ``rows``, ids and values (dimension,), to each of the ``queries`` (q, dimension).

    Distances and ids, ascending.
    """
    found: list[list[tuple[float, str]]] = [[] for _ in queries]
    wanted = queries.astype(np.float64)
    for some in batched(rows, _TOGETHER):
        ids, values = zip(*some, strict=True)
        distances = _distances(wanted, np.stack(values).astype(np.float64), metric)
        for number, row in enumerate(distances):
            found[number] = heapq.nsmallest(k, [*found[number], *zip(row.tolist(), ids, strict=True)])
    return found


def _distances(queries: Numbers, rows: Numbers, metric: Metric) -> Numbers:
    """Shape (queries, rows); see `Metric`."""
    match metric:
        case Metric.COSINE:
            lengths = np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(rows, axis=1))
            return np.maximum(0.0, 1.0 - queries @ rows.T / lengths)
        case Metric.IP:
            return -(queries @ rows.T)
        case Metric.L2:
            return np.stack([np.linalg.norm(rows - query, axis=1) for query in queries])
