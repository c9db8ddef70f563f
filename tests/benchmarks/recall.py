"""Recall against an exact search."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.model import Values

_TOLERANCE = 1e-6
"""Similarities closer than this are the same: float32 sums differ in their last digits by the order of addition."""
_BLOCK = 64


def exact_similarities(rows: Values, queries: Values, k: int) -> NDArray[np.float32]:
    """Cosine similarity of each query (q, d) to its ``k`` nearest ``rows`` (n, d), descending, shape (q, k).

    Both of unit length; k ≤ n. Complete: every row is compared.
    """
    nearest = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), _BLOCK):  # the whole product would be q · n numbers
        similarities = queries[start : start + _BLOCK] @ rows.T
        top = np.partition(similarities, len(rows) - k, axis=1)[:, len(rows) - k :]
        nearest[start : start + _BLOCK] = -np.sort(-top, axis=1)
    return nearest


def recall(found: Sequence[Sequence[int]], rows: Values, queries: Values, exact: NDArray[np.float32]) -> float:
    """Mean share of the ``k`` nearest rows that was found; ``exact`` (q, k) from `exact_similarities`.

    A found row counts where it is as near as the k-th nearest: of equally near rows any will do. Repeated ones count
    once, and no more than k do.
    """
    k = exact.shape[1]
    hits = 0
    for numbers, query, similarities in zip(found, queries, exact, strict=True):
        distinct = list(dict.fromkeys(numbers))[:k]
        if distinct:
            hits += int(np.count_nonzero(rows[distinct] @ query >= similarities[-1] - _TOLERANCE))
    return hits / exact.size
