"""The yardstick itself: exact search and recall."""

import numpy as np
import pytest

from anfl.vectors.model import Values
from tests.benchmarks.recall import exact_similarities, recall


def unit(*rows: list[float]) -> Values:
    values = np.array(rows, dtype=np.float32)
    lengthened: Values = values / np.linalg.norm(values, axis=1, keepdims=True)
    return lengthened


ROWS = unit([1, 0], [1, 0.1], [1, 1], [0, 1], [-1, 0])
QUERY = unit([1, 0])


def test_exact_similarities_are_those_of_a_full_sort() -> None:
    random = np.random.default_rng(7)
    rows = unit(*random.standard_normal((300, 16)).tolist())
    queries = unit(*random.standard_normal((130, 16)).tolist())  # more than one block, and no multiple of it
    expected = -np.sort(-(queries.astype(np.float64) @ rows.astype(np.float64).T), axis=1)[:, :10]
    np.testing.assert_allclose(exact_similarities(rows, queries, 10), expected, atol=1e-6)


def test_as_many_neighbours_as_rows() -> None:
    found = exact_similarities(ROWS, QUERY, len(ROWS))[0]
    np.testing.assert_allclose(found, [1, 1 / 1.01**0.5, 0.5**0.5, 0, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([0, 1], 1.0),
        ([1, 0], 1.0),
        ([0, 2], 0.5),
        ([4, 3], 0.0),
        ([0], 0.5),
        ([], 0.0),
        ([0, 0], 0.5),
        ([4, 3, 0, 1], 0.0),
    ],
    ids=["all", "any order", "one wrong", "none", "too few", "nothing", "one twice", "more than asked for"],
)
def test_recall_is_the_share_of_the_nearest_that_was_found(found: list[int], expected: float) -> None:
    assert recall([found], ROWS, QUERY, exact_similarities(ROWS, QUERY, 2)) == expected


def test_recall_is_the_mean_over_queries() -> None:
    queries = unit([1, 0], [-1, 0.01])
    exact = exact_similarities(ROWS, queries, 1)
    assert recall([[0], [0]], ROWS, queries, exact) == 0.5


def test_of_equally_near_rows_any_will_do() -> None:
    rows = unit([1, 0], [0, 1], [0, 2], [0, -1])
    exact = exact_similarities(rows, QUERY, 2)
    assert recall([[0, 1]], rows, QUERY, exact) == recall([[0, 2]], rows, QUERY, exact) == 1.0


def test_last_digits_do_not_decide() -> None:
    exact = exact_similarities(ROWS, QUERY, 2)
    assert recall([[0, 1]], ROWS, QUERY, exact + np.float32(3e-7)) == 1.0
