"""Search over segments against a scan of a dictionary, while rows change and segments are built and taken over."""

import shutil
import sys
import threading
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from anfl.problems import Problem
from anfl.vectors.engine import plan, selection, tiers
from anfl.vectors.engine import rows as engine
from anfl.vectors.engine.compaction import compact
from anfl.vectors.engine.rows import RowStore
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import IndexSettings, Metadata, Metric
from tests.unit.vectors.test_filters import FILTERS, METADATA

if TYPE_CHECKING:
    from anfl.vectors.engine.images import Image

IDS = st.sampled_from([f"row{number}" for number in range(30)])
NUMBERS = st.integers(-20, 20)
BEFORE, AFTER = 1.0, 9.0
"""Moments around the only expiry there is."""


def store(metric: Metric = Metric.L2, dimension: int = 2) -> RowStore:
    return RowStore(dimension=dimension, metric=metric, index=IndexSettings(ef_search=200))


def fill(rows: RowStore, values: "np.ndarray[Any, Any]", *, ids: str = "{:04}", version: int = 1) -> None:
    with rows.batch(version) as batch:
        count = len(values)
        batch.upsert([ids.format(number) for number in range(count)], values, [{}] * count, [None] * count)


def build(rows: RowStore, folder: Path, *, quiet: bool = False) -> None:
    while rows.is_due(quiet=quiet):
        assert rows.install(compact(rows.image(), folder, threads=1, quiet=quiet))


def nearest(rows: RowStore, query: Any, k: int, **options: Any) -> list[tuple[float, str]]:
    found = rows.view.search(np.array([query], dtype=np.float32), k, **({"now": 0.0} | options))
    return [(hit.distance, hit.id) for hit in found[0]]


class AgainstADictionary(RuleBasedStateMachine):
    """Small thresholds bring every path into reach: fresh rows, graphs, extended and merged segments, old images."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="anfl-test-"))
        self.rows = store()
        self.model: dict[str, tuple[np.ndarray[Any, Any], dict[str, Any], float | None, int]] = {}
        self.version = 0
        self.image: Image | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(
        ids=st.lists(IDS, unique=True, min_size=1, max_size=8),
        x=NUMBERS,
        y=NUMBERS,
        expires=st.sampled_from([None, None, 5.0]),
        metadata=METADATA,
    )
    def upsert(self, ids: list[str], x: int, y: int, expires: float | None, metadata: dict[str, Any]) -> None:
        self.version += 1
        values = np.array([[x + offset, y] for offset in range(len(ids))], dtype=np.float32)
        with self.rows.batch(self.version) as batch:
            batch.upsert(ids, values, [metadata for _ in ids], [expires] * len(ids))
        for row_id, vector in zip(ids, values, strict=True):
            self.model[row_id] = (vector, metadata, expires, self.version)

    @rule(ids=st.lists(IDS, unique=True, max_size=4), metadata=METADATA)
    def patch(self, ids: list[str], metadata: dict[str, Any]) -> None:
        ids = [row_id for row_id in ids if row_id in self.model]
        if ids:
            self.version += 1
            with self.rows.batch(self.version) as batch:
                batch.patch([(row_id, metadata) for row_id in ids])
            for row_id in ids:
                vector, _, expires, _ = self.model[row_id]
                self.model[row_id] = (vector, metadata, expires, self.version)

    @rule(ids=st.lists(IDS, unique=True, max_size=4), then=st.none() | IDS)
    def delete(self, ids: list[str], then: str | None) -> None:
        """One batch may delete, and a next one bring the same id back."""
        self.version += 1
        with self.rows.batch(self.version) as batch:
            batch.delete(ids)
        for row_id in ids:
            self.model.pop(row_id, None)
        if then is not None:
            self.upsert([then], 0, 0, None, {})

    @rule()
    def a_batch_that_fails_changes_nothing(self) -> None:
        def fail() -> None:
            with self.rows.batch(self.version + 1) as batch:
                batch.upsert(["row0"], np.zeros((1, 2), dtype=np.float32), [{}], [None])
                batch.delete(["row1"])
                batch.patch([("nobody", {})])

        with pytest.raises(KeyError, match="nobody"):
            fail()

    @rule()
    def take_an_image(self) -> None:
        self.image = self.rows.image()

    @rule(quiet=st.booleans())
    def compact_it(self, quiet: bool) -> None:
        if self.image is not None:
            self.image = compact(self.image, self.folder, threads=1, quiet=quiet)

    @rule()
    def install_it(self) -> None:
        if self.image is not None:
            self.rows.install(self.image)

    @rule()
    def build_what_is_due(self) -> None:
        build(self.rows, self.folder)

    @rule()
    def forget_and_load(self) -> None:
        self.rows = RowStore.from_image(self.rows.image(), verify=True)

    @rule()
    def leave_out_what_has_expired(self) -> None:
        self.rows = RowStore.from_image(self.rows.image(now=AFTER))
        self.model = {row_id: row for row_id, row in self.model.items() if row[2] is None}
        self.image = None

    @rule(
        x=NUMBERS,
        y=NUMBERS,
        k=st.integers(1, 12),
        now=st.sampled_from([BEFORE, AFTER]),
        document=st.none() | FILTERS,
        graphs=st.booleans(),
    )
    def search(self, x: int, y: int, k: int, now: float, document: dict[str, Any] | None, graphs: bool) -> None:
        wanted = None if document is None else compile_filter(document)
        alive = {
            row_id: vector
            for row_id, (vector, metadata, expires, _) in self.model.items()
            if (expires is None or expires > now) and (wanted is None or wanted(metadata))
        }
        query = np.array([x, y], dtype=np.float32)
        expected = sorted(
            (float(np.linalg.norm(vector.astype(np.float64) - query)), row_id) for row_id, vector in alive.items()
        )
        with pytest.MonkeyPatch.context() as patch:
            if graphs:
                patch.setattr(plan, "GRAPH_COST", 0.0)
            found = nearest(self.rows, query, k, wanted=wanted, now=now)
        # A graph may choose among rows that are equally far; distances must agree in any case.
        assert [round(distance, 4) for distance, _ in found] == [round(distance, 4) for distance, _ in expected[:k]]
        if not graphs:
            assert [row_id for _, row_id in found] == [row_id for _, row_id in expected[:k]]
        view = self.rows.view
        assert sorted(view.matching(wanted, now=now)) == sorted(alive)
        assert view.count_matching(wanted, now=now) == len(alive)
        page = view.page(wanted, now=now, after="row2", limit=3)
        assert [row.id for row in page] == [row_id for row_id in sorted(alive) if row_id > "row2"][:3]

    @invariant()
    def agree(self) -> None:
        assert len(self.rows) == len(self.model)
        assert sorted(self.rows.ids()) == sorted(self.model)
        for row_id, (vector, metadata, expires, version) in self.model.items():
            row = self.rows.get(row_id)
            assert row is not None
            assert row.values.tolist() == vector.tolist()
            assert (row.id, row.metadata, row.expires_at, row.version) == (row_id, metadata, expires, version)
        assert self.rows.get("nobody") is None


@pytest.fixture(name="small")
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GRAPH_FROM": 6, "FRESH_ROWS": 12, "SEGMENTS": 2, "GAIN": 8, "QUIET_GAIN": 16}.items():
        monkeypatch.setattr(tiers, name, value)
    monkeypatch.setattr(engine, "DEAD_ROWS", 3)


@pytest.mark.usefixtures("small")
def test_against_a_dictionary() -> None:
    run_state_machine_as_test(
        AgainstADictionary, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


@pytest.mark.parametrize("metric", list(Metric))
def test_graphs_find_nearly_what_a_scan_finds(metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where rows came in three steps, each of which extends the graph of the one before."""
    monkeypatch.setattr(plan, "GRAPH_COST", 0.0)
    generator = np.random.default_rng(7)
    values = generator.normal(size=(4_500, 32)).astype(np.float32)
    rows = RowStore(dimension=32, metric=metric, index=IndexSettings())
    for step in range(3):
        fill(rows, values[1_500 * step : 1_500 * (step + 1)], ids=f"{step}-{{:04}}", version=step + 1)
        build(rows, tmp_path)
    assert rows.unmerged == 0
    assert [segment.size for segment in rows.segments] == [4_500]
    assert rows.segments[0].has_graph
    hits = 0
    for query in generator.normal(size=(50, 32)).astype(np.float32):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "GRAPH_COST", 1e9)
            exact = nearest(rows, query, 10)
        found = nearest(rows, query, 10)
        hits += len({row for _, row in exact} & {row for _, row in found})
        assert found[0][0] >= exact[0][0]
    assert hits / 500 >= 0.95


def test_ties_go_to_the_smaller_id() -> None:
    rows = store()
    with rows.batch(1) as batch:
        batch.upsert(["c", "a", "b"], np.zeros((3, 2), dtype=np.float32), [{}] * 3, [None] * 3)
    assert nearest(rows, [0, 0], 2) == [(0.0, "a"), (0.0, "b")]


def test_ties_among_many_more_rows_than_wanted_go_to_the_smallest_ids() -> None:
    rows = store(Metric.COSINE)
    fill(rows, np.repeat(np.array([[1, 1], [2, 1]], dtype=np.float32), 300, axis=0)[::-1])
    assert [row_id for _, row_id in nearest(rows, [4, 4], 3)] == ["0300", "0301", "0302"]


def test_the_row_asked_around_is_left_out() -> None:
    rows = store()
    fill(rows, np.array([[0, 0], [3, 4]], dtype=np.float32))
    assert nearest(rows, [0, 0], 2, skip="0000") == [(5.0, "0001")]


def test_several_queries_are_answered_as_one_by_one() -> None:
    rows = store()
    fill(rows, np.random.default_rng(3).normal(size=(200, 2)).astype(np.float32))
    queries = np.random.default_rng(4).normal(size=(7, 2)).astype(np.float32)
    together = rows.view.search(queries, 5, now=0.0)
    assert [[(hit.distance, hit.id) for hit in hits] for hits in together] == [nearest(rows, q, 5) for q in queries]


def test_a_graph_that_reaches_too_few_rows_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among clusters far from each other it may lead nowhere; all rows are compared then."""
    monkeypatch.setattr(plan, "GRAPH_COST", 0.0)
    generator = np.random.default_rng(0)
    centres = np.repeat(generator.normal(size=(30, 4)) * 100, 100, axis=0)
    values = (centres + generator.normal(size=(3_000, 4)) * 1e-3).astype(np.float32)
    rows = RowStore(dimension=4, metric=Metric.L2, index=IndexSettings(m=2, ef_construction=4))
    fill(rows, values)
    build(rows, tmp_path)
    for query in values[::100]:
        assert len(nearest(rows, query, 150, ef=1)) == 150


def test_rows_replaced_again_and_again_take_no_more_memory() -> None:
    rows = store()
    for version in range(1, 3_000):
        with rows.batch(version) as batch:
            batch.upsert(["a", "b"], np.full((2, 2), version, dtype=np.float32), [{}] * 2, [None] * 2)
    assert rows.view.fresh.rows.size <= engine.DEAD_ROWS + 4
    assert nearest(rows, [2_999, 2_999], 9) == [(0.0, "a"), (0.0, "b")]
    assert [row.version for row in map(rows.get, "ab") if row is not None] == [2_999, 2_999]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"tags": [f"{n}-{tag}" for tag in range(1_000)]},
        lambda n: {f"field{number}": float(n) for number in range(1_000)},
        lambda n: {"text": f"{n}" * 20_000},
    ],
)
def test_large_metadata_counts_as_the_memory_it_takes(make: Any) -> None:
    """A collection that takes gigabytes is not kept for one of a few megabytes."""
    rows, count = store(), 50
    metadata = [make(n) for n in range(count)]
    with rows.batch(1) as batch:
        batch.upsert([f"{n}" for n in range(count)], np.ones((count, 2), dtype=np.float32), metadata, [None] * count)
    held = sum(map(_held, metadata))
    assert held / 3 < rows.private_bytes < 3 * held


@pytest.mark.usefixtures("small")
def test_a_few_large_rows_go_into_a_segment_before_many_have_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = store()
    fill(rows, np.ones((40, 2), dtype=np.float32))
    build(rows, tmp_path)
    fill(rows, np.ones((tiers.GRAPH_FROM, 2), dtype=np.float32), ids="large{}", version=2)
    assert not rows.is_due()
    monkeypatch.setattr(engine, "HEAVY_BYTES", rows.unmerged_bytes - 1)
    assert rows.is_due()
    assert rows.install(compact(rows.image(), tmp_path, threads=1, heavy=rows.is_heavy))
    assert (rows.unmerged, rows.is_due()) == (0, False)


def test_rows_weigh_the_same_however_they_came() -> None:
    """Where a worker took them for heavier than the builder, it would ask for a new image again and again."""
    rows = store()
    for number in range(150):
        fill(rows, np.ones((1, 2), dtype=np.float32), ids=f"{number}-{{}}", version=number + 1)
    assert rows.unmerged_bytes == RowStore.from_image(rows.image()).unmerged_bytes


def test_a_filter_that_takes_long_is_evaluated_request_by_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of conditions on long lists held a thread for minutes."""
    rows, count = store(), 1_000
    metadata: list[Metadata] = [{"tags": [f"{number}", "a"]} for number in range(count)]
    with rows.batch(1) as batch:
        batch.upsert([f"{n}" for n in range(count)], np.ones((count, 2), dtype=np.float32), metadata, [None] * count)
    wanted = compile_filter({"tags": {"$contains_all": ["a", "999"]}})
    monkeypatch.setattr(selection, "MOST_SECONDS", -1.0)
    refused: list[Problem] = []
    found = None
    while found is None and len(refused) < count:
        try:
            found = rows.view.count_matching(wanted, now=0)
        except Problem as problem:
            refused.append(problem)
    assert found == 1
    assert len(refused) == count // 100 - 1
    assert {(each.status, each.code, each.field) for each in refused} == {(429, "filter_too_slow", "filter")}


def _held(metadata: dict[str, Any]) -> int:
    members = [*metadata.values(), *(item for each in metadata.values() if isinstance(each, list) for item in each)]
    return sys.getsizeof(metadata) + sum(map(sys.getsizeof, members))


@pytest.mark.usefixtures("small")
def test_a_segment_of_which_much_is_dead_is_written_again(tmp_path: Path) -> None:
    rows = store()
    fill(rows, np.ones((12, 2), dtype=np.float32))
    build(rows, tmp_path)
    with rows.batch(2) as batch:
        batch.delete([f"{number:04}" for number in range(4)])
    build(rows, tmp_path)
    assert [segment.size for segment in rows.segments] == [8]
    with rows.batch(3) as batch:
        batch.delete([f"{number:04}" for number in range(12)])
    assert rows.segments == []


@pytest.mark.usefixtures("small")
def test_an_image_that_is_too_old_or_too_new_is_refused(tmp_path: Path) -> None:
    rows = store()
    fill(rows, np.ones((12, 2), dtype=np.float32), version=1)
    old = rows.image()
    fill(rows, np.zeros((12, 2), dtype=np.float32), version=2)
    new = rows.image()
    assert rows.install(compact(new, tmp_path, threads=1))
    assert not rows.install(old)
    assert not RowStore.from_image(old).install(new)
    assert nearest(rows, [1, 1], 1)[0][0] > 1


@pytest.mark.usefixtures("small")
def test_readers_see_whole_batches_while_images_are_installed(tmp_path: Path) -> None:
    """Every batch moves all rows to one place: a reader that finds two places has seen half of one."""
    rows = store()
    ids = [f"{number:02}" for number in range(20)]
    with rows.batch(1) as batch:
        batch.upsert(ids, np.ones((20, 2), dtype=np.float32), [{"v": 1}] * 20, [None] * 20)
    done = threading.Event()
    faults: list[object] = []
    wanted = compile_filter({"v": {"$gt": 0}})

    def read() -> None:
        while not done.is_set():
            view = rows.view
            versions = {found.version for row_id in ids if (found := view.get(row_id)) is not None}
            hits = view.search(np.zeros((1, 2), dtype=np.float32), 50, now=0.0, wanted=wanted)[0]
            if len(versions) != 1 or len(hits) != 20 or len({hit.distance for hit in hits}) != 1:
                faults.append((versions, hits))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(2, 60):
        with rows.batch(version) as batch:
            values = np.full((20, 2), version, dtype=np.float32)
            batch.upsert(ids, values, [{"v": version}] * 20, [None] * 20)
        build(rows, tmp_path)
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert rows.segments
