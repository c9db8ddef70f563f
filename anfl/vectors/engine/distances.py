"""Exact distances, float32 in, float64 out where sums would cancel."""

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.model import Metric, Values

Distances = NDArray[np.float64]


def norms(values: Values) -> NDArray[np.float32]:
    """Euclidean length of each row, shape (n,)."""
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float32))
    return lengths


def distances(metric: Metric, query: Values, values: Values, lengths: NDArray[np.float32]) -> Distances:
    """Distance of ``query`` (d,) to each of ``values`` (n, d), shape (n,). ``lengths`` are `norms` of ``values``."""
    match metric:
        case Metric.COSINE:
            scale = lengths.astype(np.float64) * float(np.linalg.norm(query))
            found: Distances = 1.0 - (values @ query).astype(np.float64) / scale
        case Metric.L2:
            difference = values - query
            squares = np.einsum("ij,ij->i", difference, difference, dtype=np.float32)
            found = np.sqrt(squares).astype(np.float64)
        case Metric.IP:
            found = -(values @ query).astype(np.float64)
    return found
