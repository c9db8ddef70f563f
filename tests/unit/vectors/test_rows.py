"""Search over segments against a scan of a dictionary, while rows change and graphs are built and merged."""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from anfl.vectors.engine import rows as engine
from anfl.vectors.engine import segment as segment_module
from anfl.vectors.engine.rows import RowStore, Work
from anfl.vectors.model import IndexSettings, Metric

IDS = st.sampled_from([f"row{number}" for number in range(30)])
NUMBERS = st.integers(-20, 20)


def store(metric: Metric = Metric.L2, dimension: int = 2) -> RowStore:
    return RowStore(dimension=dimension, metric=metric, index=IndexSettings(ef_search=200))


class AgainstADictionary(RuleBasedStateMachine):
    """Small thresholds bring every path into reach: fresh rows, closed segments, graphs, merges."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = store()
        self.model: dict[str, tuple[np.ndarray[Any, Any], dict[str, Any], float | None, int]] = {}
        self.version = 0
        self.work: Work | None = None

    @rule(
        ids=st.lists(IDS, unique=True, min_size=1, max_size=8),
        x=NUMBERS,
        y=NUMBERS,
        expires=st.sampled_from([None, 5.0]),
    )
    def upsert(self, ids: list[str], x: int, y: int, expires: float | None) -> None:
        self.version += 1
        values = np.array([[x + offset, y] for offset in range(len(ids))], dtype=np.float32)
        self.rows.upsert(ids, values, [{"x": x} for _ in ids], [expires] * len(ids), self.version)
        for row_id, vector in zip(ids, values, strict=True):
            self.model[row_id] = (vector, {"x": x}, expires, self.version)

    @rule(row_id=IDS, x=NUMBERS)
    def patch(self, row_id: str, x: int) -> None:
        if row_id in self.model:
            self.version += 1
            vector, _, expires, _ = self.model[row_id]
            self.rows.patch(row_id, {"x": x}, self.version)
            self.model[row_id] = (vector, {"x": x}, expires, self.version)

    @rule(ids=st.lists(IDS, unique=True, max_size=4))
    def delete(self, ids: list[str]) -> None:
        self.rows.delete(ids)
        for row_id in ids:
            self.model.pop(row_id, None)

    @rule()
    def give_out_work(self) -> None:
        if self.work is None:
            self.work = self.rows.pending()

    @rule()
    def finish_work(self) -> None:
        if self.work is not None:
            self.rows.install(self.rows.carry_out(self.work, threads=1))
            self.work = None

    @rule(
        x=NUMBERS,
        y=NUMBERS,
        k=st.integers(1, 12),
        now=st.sampled_from([1.0, 9.0]),
        wanted=st.one_of(st.none(), NUMBERS),
    )
    def search(self, x: int, y: int, k: int, now: float, wanted: int | None) -> None:
        query = np.array([x, y], dtype=np.float32)
        matches = None if wanted is None else (lambda metadata: metadata["x"] > wanted)
        expected = sorted(
            (float(np.linalg.norm(vector - query)), row_id)
            for row_id, (vector, metadata, expires, _) in self.model.items()
            if (expires is None or expires > now) and (matches is None or matches(metadata))
        )[:k]
        found = self.rows.search(query, k, ef=None, matches=matches, now=now)
        # A graph may choose among rows that are equally far; distances must agree in any case.
        assert [round(distance, 4) for distance, _ in found] == [round(distance, 4) for distance, _ in expected]
        if matches is not None:
            assert [row_id for _, row_id in found] == [row_id for _, row_id in expected]

    @invariant()
    def agree(self) -> None:
        assert len(self.rows) == len(self.model)
        assert set(self.rows.ids()) == set(self.model)
        for row_id, (vector, metadata, expires, version) in self.model.items():
            row = self.rows.get(row_id)
            assert row is not None
            assert row.values.tolist() == vector.tolist()
            assert (row.metadata, row.expires_at, row.version) == (metadata, expires, version)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRAPH_FROM", 6)
    monkeypatch.setattr(engine, "FRESH_ROWS", 12)
    monkeypatch.setattr(engine, "SEGMENTS", 2)
    monkeypatch.setattr(engine, "DEAD_ROWS", 3)


def test_against_a_dictionary() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(AgainstADictionary, settings=settings(max_examples=60, stateful_step_count=40))


@pytest.mark.parametrize("metric", list(Metric))
def test_graphs_find_nearly_what_a_scan_finds(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRAPH_FROM", 1_000)
    generator = np.random.default_rng(7)
    values = generator.normal(size=(3_000, 32)).astype(np.float32)
    rows = store(metric, 32)
    rows.upsert([f"{n:04}" for n in range(3_000)], values, [{}] * 3_000, [None] * 3_000, 1)
    while (work := rows.pending()) is not None:
        rows.install(rows.carry_out(work, threads=1))
    assert rows.unmerged == 0
    hits = 0
    for query in generator.normal(size=(50, 32)).astype(np.float32):
        exact = rows.search(query, 10, ef=None, matches=lambda _: True, now=0)
        hits += len(
            {row for _, row in exact} & {row for _, row in rows.search(query, 10, ef=None, matches=None, now=0)}
        )
    assert hits / 500 >= 0.95


def test_ties_go_to_the_smaller_id() -> None:
    rows = store()
    rows.upsert(["c", "a", "b"], np.zeros((3, 2), dtype=np.float32), [{}] * 3, [None] * 3, 1)
    assert rows.search(np.zeros(2, dtype=np.float32), 2, ef=None, matches=None, now=0) == [(0.0, "a"), (0.0, "b")]


def test_the_row_asked_around_is_left_out() -> None:
    rows = store()
    rows.upsert(["a", "b"], np.array([[0, 0], [3, 4]], dtype=np.float32), [{}] * 2, [None] * 2, 1)
    assert rows.search(np.zeros(2, dtype=np.float32), 2, ef=None, matches=None, now=0, skip="a") == [(5.0, "b")]


def test_a_graph_that_reaches_too_few_rows_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """hnswlib raises where it finds fewer than k, for example among clusters far from each other."""
    monkeypatch.setattr(engine, "GRAPH_FROM", 1_000)
    generator = np.random.default_rng(0)
    centres = np.repeat(generator.normal(size=(30, 4)) * 100, 100, axis=0)
    values = (centres + generator.normal(size=(3_000, 4)) * 1e-3).astype(np.float32)
    rows = RowStore(dimension=4, metric=Metric.L2, index=IndexSettings(m=2, ef_construction=4))
    rows.upsert([f"{n:04}" for n in range(3_000)], values, [{}] * 3_000, [None] * 3_000, 1)
    while (work := rows.pending()) is not None:
        rows.install(rows.carry_out(work, threads=1))
    for query in values[::100]:
        assert len(rows.search(query, 150, ef=1, matches=None, now=0)) == 150


def test_rows_replaced_again_and_again_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRAPH_FROM", 1_000)
    rows = store()
    for version in range(1, 3_000):
        rows.upsert(["a", "b"], np.full((2, 2), version, dtype=np.float32), [{}] * 2, [None] * 2, version)
        rows.pending()
    assert sum(segment.size for segment in rows._segments()) <= 2 * (engine.DEAD_ROWS + 2)
    assert [(match, rows.get(match[1]).version) for match in search_all(rows)] == [  # type: ignore[union-attr]
        ((0.0, "a"), 2_999),
        ((0.0, "b"), 2_999),
    ]


def search_all(rows: RowStore) -> list[tuple[float, str]]:
    return rows.search(np.full(2, 2_999, dtype=np.float32), 9, ef=None, matches=None, now=0)


def test_a_segment_of_which_most_is_dead_is_written_again() -> None:
    rows = store()
    rows.upsert([f"r{n:02}" for n in range(12)], np.ones((12, 2), dtype=np.float32), [{}] * 12, [None] * 12, 1)
    while (work := rows.pending()) is not None:
        rows.install(rows.carry_out(work, threads=1))
    rows.delete([f"r{n:02}" for n in range(9)])
    while (work := rows.pending()) is not None:
        rows.install(rows.carry_out(work, threads=1))
    assert [segment.size for segment in rows._segments()] == [3, 0]


def test_a_scan_works_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "BLOCK_NUMBERS", 8)
    rows = store()
    values = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    rows.upsert([f"{n:02}" for n in range(50)], values, [{"n": n} for n in range(50)], [None] * 50, 1)
    for matches in (None, lambda metadata: metadata["n"] % 3 == 0, lambda metadata: metadata["n"] != 7):
        wanted = [n for n in range(50) if matches is None or matches({"n": n})]
        expected = sorted((float(np.linalg.norm(values[n] - values[0])), f"{n:02}") for n in wanted)
        found = rows.search(values[0], 50, ef=None, matches=matches, now=0)
        assert [row_id for _, row_id in found] == [row_id for _, row_id in expected]
