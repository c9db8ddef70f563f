"""Distances against their definitions in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anfl.vectors.engine.distances import distances, norms
from anfl.vectors.model import LONGEST, SHORTEST, Metric

ELEMENTS = st.integers(-800, 799)


@given(
    eighths=st.integers(1, 40).flatmap(lambda dimension: hnp.arrays(np.int16, (8, dimension), elements=ELEMENTS)),
    metric=st.sampled_from(Metric),
)
def test_they_are_what_they_are_called(eighths: np.ndarray, metric: Metric) -> None:
    values = ((eighths + 0.5) / 8).astype(np.float32)  # no zero vector
    query, rows = values[0], values[1:]
    found = distances(metric, query, rows, norms(rows))
    exact_query, exact_rows = query.astype(np.float64), rows.astype(np.float64)
    dots = exact_rows @ exact_query
    match metric:
        case Metric.COSINE:
            scale = np.linalg.norm(exact_rows, axis=1) * np.linalg.norm(exact_query)
            expected = 1 - dots / scale
            tolerance = 1e-5
        case Metric.L2:
            expected = np.linalg.norm(exact_rows - exact_query, axis=1)
            tolerance = 1e-5 * (1 + float(np.max(expected)))
        case Metric.IP:
            expected = -dots
            tolerance = 1e-5 * (1 + float(np.linalg.norm(exact_query) * np.linalg.norm(exact_rows, axis=1).max()))
    assert np.allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
def test_a_vector_is_next_to_itself(metric: Metric) -> None:
    values = np.random.default_rng(1).normal(size=(50, 32)).astype(np.float32)
    for row in values:
        found = distances(metric, row, values, norms(values))
        assert found.min() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("length", [LONGEST, SHORTEST])
@pytest.mark.parametrize("dimension", [2, 4096])
def test_extreme_lengths_keep_their_direction(length: float, dimension: int) -> None:
    directions = np.random.default_rng(1).normal(size=(20, dimension))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    values = (directions * length).astype(np.float32)
    found = distances(Metric.COSINE, values[0], values, norms(values))
    assert np.allclose(found, 1 - directions @ directions[0], rtol=0, atol=1e-5)
    assert np.isfinite(distances(Metric.L2, values[0], -values, norms(values))).all()
    assert np.isfinite(distances(Metric.IP, values[0], values, norms(values))).all()
