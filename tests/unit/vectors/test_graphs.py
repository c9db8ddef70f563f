"""Graphs without values: nothing but the values is left out, and they come back where they were."""

from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pytest

from anfl.vectors.engine import bitmaps, graphs
from anfl.vectors.engine.native import Block, DamagedGraphError, sketch
from anfl.vectors.model import Metric, Values

ROWS = 9_000
"""More than one block of rows."""


@pytest.fixture(name="values", scope="module")
def _values() -> Values:
    return np.random.default_rng(3).normal(size=(ROWS, 8)).astype(np.float32)


@pytest.fixture(name="saved", scope="module")
def _saved(values: Values, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What hnswlib saves; rows stand in another order than their numbers."""
    index = hnswlib.Index(space="l2", dim=8)
    index.init_index(max_elements=ROWS, M=8, ef_construction=40, random_seed=1)
    numbers = np.random.default_rng(4).permutation(ROWS)
    index.add_items(values[numbers], numbers, num_threads=2)
    path = tmp_path_factory.mktemp("graph") / "saved"
    index.save_index(str(path))
    return path


def _same(values: Values) -> Values:
    return np.ascontiguousarray(values)


def test_what_was_left_out_comes_back_byte_by_byte(saved: Path, values: Values, tmp_path: Path) -> None:
    graphs.strip(saved, tmp_path / "graph")
    graphs.restore(tmp_path / "graph", values, tmp_path / "full", stored=_same)
    assert (tmp_path / "full").read_bytes() == saved.read_bytes()


def test_no_value_is_stored_twice(saved: Path, values: Values, tmp_path: Path) -> None:
    graphs.strip(saved, tmp_path / "graph")
    assert (tmp_path / "graph").stat().st_size == saved.stat().st_size - values.nbytes


def test_a_search_finds_what_hnswlib_would(saved: Path, values: Values, tmp_path: Path) -> None:
    graphs.strip(saved, tmp_path / "graph")
    graph: Any = np.memmap(tmp_path / "graph", dtype=np.uint8, mode="r")
    block = Block(Metric.L2, values, *sketch(values), graph=graph)
    found = block.search_graph(values[:200], 1, 64, None)
    wanted = block.scan(values[:200], 1, bitmaps.everything(ROWS))
    assert sum(one == other for one, other in zip(found, wanted, strict=True)) >= 198


def test_a_damaged_graph_is_refused_or_searched_without_harm(saved: Path, values: Values, tmp_path: Path) -> None:
    graphs.strip(saved, tmp_path / "graph")
    whole = np.fromfile(tmp_path / "graph", dtype=np.uint8)
    random = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        graph = whole.copy()
        place = random.integers(len(graph) // 4) * 4
        graph[place : place + 4] = random.integers(256, size=4)
        try:
            block = Block(Metric.L2, values, *sketch(values), graph=graph)
        except DamagedGraphError:
            refused += 1
            continue
        for answer in block.search_graph(values[:5], 3, 16, None, budget=ROWS):
            assert answer is None or all(0 <= row < ROWS for _, row in answer)
    assert refused > 200


def test_nothing_is_written_over(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "graph").write_bytes(b"somebody else's")
    with pytest.raises(FileExistsError):
        graphs.strip(saved, tmp_path / "graph")
