"""Where the vectors come from, and which files are refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.embeddings import clustered, load
from tests.benchmarks.errors import BenchmarkError

RANDOM = np.random.default_rng(3)


def test_rows_queries_and_a_ground_truth_are_told_apart(tmp_path: Path) -> None:
    np.save(tmp_path / "glosses_f16.npy", RANDOM.standard_normal((40, 6)).astype(np.float16))
    np.save(tmp_path / "queries_f16.npy", RANDOM.standard_normal((4, 6)).astype(np.float16))
    np.save(tmp_path / "ground_truth.npy", np.zeros((99, 10), dtype=np.int32))
    found = load(tmp_path)
    assert (found.rows.shape, found.queries.shape) == ((40, 6), (4, 6))
    assert found.source == f"{tmp_path}: glosses_f16.npy, queries of queries_f16.npy"
    assert found.rows.dtype == found.queries.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-6)


def test_without_queries_some_rows_become_queries_and_leave_the_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", RANDOM.standard_normal((40, 6)).astype(np.float32))
    found = load(tmp_path)
    assert (len(found.rows), len(found.queries)) == (36, 4)
    assert len(np.unique(np.concatenate([found.rows, found.queries]), axis=0)) == 40


def test_without_a_sample_vectors_are_random_and_say_so_and_repeat(tmp_path: Path) -> None:
    found = load(None, sample=tmp_path / "none")
    assert found.source.startswith("random vectors")
    assert np.array_equal(clustered(20, 4).rows, clustered(20, 4).rows)


def test_the_repository_ships_a_sample() -> None:
    found = load(None)
    assert found.source.startswith("the repository's sample")
    assert found.rows.shape == (1800, 384)


def test_rows_without_a_direction_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((20, 4), dtype=np.float32))
    with pytest.raises(BenchmarkError, match=r"rows\.npy holds rows that have no direction"):
        load(tmp_path)


def test_queries_of_another_dimension_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((20, 4), dtype=np.float32))
    np.save(tmp_path / "queries.npy", np.ones((2, 5), dtype=np.float32))
    with pytest.raises(BenchmarkError, match=r"queries\.npy has 5 dimensions, rows\.npy has 4"):
        load(tmp_path)


def test_a_folder_without_embeddings_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "ground_truth.npy", np.zeros((9, 10), dtype=np.int32))
    with pytest.raises(BenchmarkError, match=r"holds no \.npy file"):
        load(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(BenchmarkError, match=r"rows\.npy is no readable NumPy array"):
        load(tmp_path)
