"""Exact distances, float32 in, float64 out where sums would cancel."""

import math

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.model import Metric, Values

Distances = NDArray[np.float64]


def norms(values: Values) -> NDArray[np.float32]:
    """Euclidean length of each row, shape (n,); between `SHORTEST` and `LONGEST` to the last digit but one."""
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64)).astype(np.float32)
    return lengths


def distances(metric: Metric, query: Values, values: Values, lengths: NDArray[np.float32]) -> Distances:
    """Distance of ``query`` (d,) to each of ``values`` (n, d), shape (n,). ``lengths`` are `norms` of ``values``."""
    match metric:
        case Metric.COSINE:
            length, exponent = math.frexp(float(np.linalg.norm(query.astype(np.float64))))
            near_one = np.ldexp(query, -exponent)  # exact, and products of short vectors keep their digits
            scale = lengths.astype(np.float64) * length
            found: Distances = 1.0 - (values @ near_one).astype(np.float64) / scale
        case Metric.L2:
            difference = values - query
            squares = np.einsum("ij,ij->i", difference, difference, dtype=np.float32)
            found = np.sqrt(squares).astype(np.float64)
        case Metric.IP:
            found = -(values @ query).astype(np.float64)
    return found
