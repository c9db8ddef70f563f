"""Commits by several writers on one log, with faults, against a model of what was acknowledged."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from anfl.problems import Problem
from anfl.vectors import writer as writer_module
from anfl.vectors.changes import Change, Draft, prepare, resolve
from anfl.vectors.engine import rows as rows_module
from anfl.vectors.model import Position
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert, Written
from anfl.vectors.writer import Writer, _Ticket
from tests.unit.vectors.builders import collection, delete, expect_outage, replica, upsert, writer
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

IDS = st.sampled_from(list("abcdef"))
Rows = dict[str, tuple[list[float], dict[str, Any]]]


def content(of: Writer) -> Rows:
    """Everything that a replica holds."""

    def read(state: Any) -> Rows:
        return {
            row_id: (row.values.tolist(), dict(row.metadata))
            for row_id in state.rows.ids()
            if (row := state.rows.get(row_id)) is not None
        }

    return of._replica.view(read)


class FaultyNodes(RuleBasedStateMachine):
    """Three nodes write by turns. A write that fails with 503 may or may not have happened; it is repeated with its
    request id, as callers are told to, until it is acknowledged. Then the rows must be what a dictionary holds."""

    @initialize(seed=st.integers(0, 10_000))
    def start(self, seed: int) -> None:
        self.store = SimulatedStore(seed=seed, faults=0.3)
        self.nodes = [self.node() for _ in range(3)]
        self.model: Rows = {}
        self.number = 0

    def node(self) -> Writer:
        while True:
            try:
                return writer(self.store)
            except Problem as problem:
                expect_outage(problem)

    def commit(self, node: int, change: Upsert | PatchRows | DeleteRows) -> Written:
        for attempt in range(200):
            try:
                return self.nodes[(node + attempt) % 3].write(change)
            except Problem as problem:
                expect_outage(problem)
        raise AssertionError("no node ever answered")

    def next_id(self) -> str:
        self.number += 1
        return f"request{self.number}"

    @rule(node=st.integers(0, 2), ids=st.lists(IDS, unique=True, min_size=1, max_size=4), x=st.integers(0, 9))
    def upsert(self, node: int, ids: list[str], x: int) -> None:
        change = Upsert(
            vectors=[NewRow(id=row_id, values=[x, 1.0], metadata={"x": x}) for row_id in ids],
            request_id=self.next_id(),
        )
        assert self.commit(node, change).upserted == len(ids)
        self.model |= {row_id: ([float(x), 1.0], {"x": x}) for row_id in ids}

    @rule(node=st.integers(0, 2), row_id=IDS, y=st.one_of(st.none(), st.integers(0, 9)))
    def patch(self, node: int, row_id: str, y: int | None) -> None:
        change = PatchRows(vectors=[PatchRow(id=row_id, metadata={"y": y})], request_id=self.next_id())
        assert self.commit(node, change).patched == (row_id in self.model)
        if row_id in self.model:
            values, metadata = self.model[row_id]
            merged = {name: value for name, value in {**metadata, "y": y}.items() if value is not None}
            self.model[row_id] = (values, merged)

    @rule(node=st.integers(0, 2), ids=st.lists(IDS, unique=True, min_size=1, max_size=3))
    def delete(self, node: int, ids: list[str]) -> None:
        assert self.commit(node, delete(*ids, request_id=self.next_id())).deleted == len(set(ids) & set(self.model))
        for row_id in ids:
            self.model.pop(row_id, None)

    @rule(node=st.integers(0, 2), x=st.integers(0, 9))
    def delete_by_filter(self, node: int, x: int) -> None:
        change = DeleteRows(filter={"x": {"$lt": x}}, request_id=self.next_id())
        doomed = [row_id for row_id, (_, metadata) in self.model.items() if metadata["x"] < x]
        assert self.commit(node, change).deleted == len(doomed)
        for row_id in doomed:
            del self.model[row_id]

    @rule(node=st.integers(0, 2))
    def crash(self, node: int) -> None:
        self.nodes[node] = self.node()

    @invariant()
    def everything_acknowledged_is_there(self) -> None:
        if not hasattr(self, "store"):
            return
        faults, self.store.faults = self.store.faults, 0
        assert content(self.node()) == self.model
        self.store.faults = faults

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.store.settle()
        for node in [*self.nodes, self.node()]:
            node._replica.level_with(node._replica.now() + 1)
            assert content(node) == self.model


def test_faulty_nodes_lose_nothing_and_apply_nothing_twice() -> None:
    run_state_machine_as_test(FaultyNodes, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


def test_threads_on_two_nodes_lose_nothing() -> None:
    store = SimulatedStore(seed=3, faults=0.1)
    nodes = [writer(store), writer(store)]
    acknowledged: list[str] = []

    def work(thread: int) -> None:
        for number in range(30):
            row_id = f"{thread}-{number}"
            change = upsert((row_id, (thread, number)), request_id=row_id)
            while True:
                try:
                    nodes[(thread + number) % 2].write(change)
                except Problem as problem:
                    expect_outage(problem)
                else:
                    acknowledged.append(row_id)
                    break

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.settle()
    assert set(content(writer(store))) == set(acknowledged) == {f"{t}-{n}" for t in range(8) for n in range(30)}


def together(node: Writer, changes: list[Change]) -> list[Written]:
    """The answers to changes that wait for one turn."""
    node._turn.acquire()
    written: list[Written] = []
    threads = [threading.Thread(target=lambda each=each: written.append(node.write(each))) for each in changes]
    for thread in threads:
        thread.start()
    while len(node._queue) < len(changes):
        threading.Event().wait(0.001)
    node._turn.release()
    for thread in threads:
        thread.join()
    return written


def test_who_waits_together_commits_together() -> None:
    store = SimulatedStore()
    written = together(writer(store), [upsert((str(n), (n, n))) for n in range(6)])
    assert store.puts == 1
    assert {answer.sequence for answer in written} == {"1.1"}


def test_a_failed_condition_fails_alone() -> None:
    store = SimulatedStore()
    node = writer(store)
    node.write(upsert(("a", (1, 1))))
    with pytest.raises(Problem) as caught:
        node.write(upsert(("b", (1, 1)), ("a", (2, 2)), if_version=0))
    assert (caught.value.code, caught.value.field) == ("version_conflict", "vectors[1].if_version")
    assert content(node) == {"a": ([1.0, 1.0], {})}
    assert node.write(upsert(("a", (3, 3)), if_version=1)).sequence == "1.2"


def test_a_condition_is_judged_by_what_others_have_committed() -> None:
    store = SimulatedStore()
    one, two = writer(store), writer(store)
    one.write(upsert(("a", (1, 1))))
    one.write(upsert(("a", (2, 2))))
    assert two.write(upsert(("a", (3, 3)), if_version=2)).sequence == "1.3"
    with pytest.raises(Problem, match="version 3, not 2"):
        one.write(upsert(("a", (4, 4)), if_version=2))


def test_a_repeated_request_answers_as_before() -> None:
    store = SimulatedStore()
    node = writer(store)
    change = delete("a", request_id="r1")
    node.write(upsert(("a", (1, 1))))
    first = node.write(change)
    node.write(upsert(("a", (2, 2))))
    assert node.write(change) == first == Written(sequence="1.2", deleted=1)
    assert writer(store).write(change) == first
    assert "a" in content(node)


def test_a_request_id_of_another_request_is_refused() -> None:
    store = SimulatedStore()
    node = writer(store)
    node.write(upsert(("a", (1, 1)), request_id="r1"))
    with pytest.raises(Problem) as caught:
        node.write(upsert(("a", (2, 2)), request_id="r1"))
    assert (caught.value.status, caught.value.code) == (409, "request_id_reused")


@pytest.mark.parametrize("others", [0, 1])
def test_request_ids_are_forgotten_after_a_day(others: int) -> None:
    store, time = SimulatedStore(), SimulatedTime()
    node = Writer(replica(store, clock=time.clock()))
    node.write(upsert(("a", (1, 1)), request_id="r1"))
    time.advance(24 * 3600 + 1)
    for _ in range(others):
        node.write(upsert(("b", (1, 1))))
    assert node.write(upsert(("a", (2, 2)), request_id="r1")).sequence == f"1.{2 + others}"


def test_what_changes_nothing_is_not_logged_and_not_stale() -> None:
    store = SimulatedStore()
    one, two = writer(store), writer(store)
    one.write(upsert(("a", (1, 1))))
    assert two.write(delete("zzz")) == Written(sequence="1.1", deleted=0)
    assert store.puts == 1


def test_a_row_that_came_and_went_in_one_batch_leaves_a_position_that_exists() -> None:
    store = SimulatedStore()
    node = writer(store)
    changes = (upsert(("a", (1, 1))), delete("a"))
    outcomes = node._commit([_Ticket(prepare(change, collection()), collection()) for change in changes])
    assert [outcome.sequence for outcome in outcomes if isinstance(outcome, Written)] == ["1.1", "1.1"]
    assert node._replica.view(lambda state: state.position) == Position(1, 1)


@pytest.mark.parametrize("limit", ["MOST_UNMERGED", "MOST_UNMERGED_BYTES"])
def test_who_writes_faster_than_graphs_are_built_is_to_slow_down(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    node = replica(SimulatedStore())
    alone, one_of_many = Writer(node), Writer(node, waits_for_builder=True)
    one_of_many.write(upsert(("a", (1, 1))))
    monkeypatch.setattr(rows_module, limit, 0)
    with pytest.raises(Problem) as caught:
        one_of_many.write(upsert(("b", (1, 1))))
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "builder_behind", 2)
    alone.write(upsert(("c", (1, 1))))
    assert set(content(alone)) == {"a", "c"}


def test_too_much_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "WAITING_BYTES", 10)
    node = writer(SimulatedStore())
    node._turn.acquire()
    waiting = threading.Thread(target=node.write, args=(upsert(("a", (1, 1))),))
    waiting.start()
    while not node._queue:
        threading.Event().wait(0.001)
    with pytest.raises(Problem) as caught:
        node.write(upsert(("b", (1, 1))))
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    node._turn.release()
    waiting.join()
    assert set(content(node)) == {"a"}


def test_a_large_group_becomes_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BATCH_BYTES", 30)
    store = SimulatedStore()
    node = writer(store)
    node._turn.acquire()
    threads = [threading.Thread(target=node.write, args=(upsert((str(n), (n, n))),)) for n in range(5)]
    for thread in threads:
        thread.start()
    while len(node._queue) < 5:
        threading.Event().wait(0.001)
    node._turn.release()
    for thread in threads:
        thread.join()
    assert store.puts > 1
    assert len(content(node)) == 5


@pytest.mark.parametrize(
    ("change", "batches"),
    [
        (lambda name: PatchRows(vectors=[PatchRow(id=name, metadata={"n": 1})]), 3),
        (lambda name: DeleteRows(filter={"name": name[0]}), 2),
    ],
    ids=["patches", "deletions"],
)
def test_a_batch_is_as_large_as_what_is_logged_and_not_as_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[str], Change], batches: int
) -> None:
    store = SimulatedStore()
    node = writer(store)
    names = [str(n) * 400 for n in range(5)]
    for name in names:
        node.write(upsert((name, (1, 1)), metadata={"name": name[0], "text": "x" * 600}))
    before = store.puts
    monkeypatch.setattr(writer_module, "BATCH_BYTES", 1_600)
    written = together(node, [change(name) for name in names])
    assert store.puts - before == batches
    assert [each.patched or each.deleted for each in written] == [1] * 5
    assert {each.sequence for each in written} == {f"1.{6 + number}" for number in range(batches)}
    assert all(metadata["n"] == 1 for _, metadata in content(node).values())


def test_expired_rows_are_gone_for_writers_too() -> None:
    store, time = SimulatedStore(), SimulatedTime()
    node = Writer(replica(store, clock=time.clock()))
    node.write(upsert(("a", (1, 1)), expires_at=time.seconds + 10))
    time.advance(11)
    assert node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"x": 1})])).patched == 0
    assert node.write(delete("a")).deleted == 0
    assert node.write(upsert(("a", (1, 1)), if_version=0)).upserted == 1


def test_what_has_expired_when_it_comes_is_gone_for_those_who_wait_with_it() -> None:
    """They are of one moment; no order of them would find the row."""
    time = SimulatedTime()
    copy = replica(SimulatedStore(), clock=time.clock())
    draft = copy.view(lambda state: Draft(state=state, now=state.now()))
    changes: list[tuple[Change, int]] = [
        (upsert(("a", (1, 1)), expires_at=time.seconds), 1),
        (PatchRows(vectors=[PatchRow(id="a", metadata={"x": 1})]), 0),
        (delete("a"), 0),
        (DeleteRows(filter={"x": {"$exists": False}}), 0),
        (upsert(("a", (2, 2)), if_version=0), 1),
        (upsert(("a", (3, 3)), if_version=1), 1),
    ]
    assert [resolve(draft, prepare(change, copy.collection)) for change, _ in changes] == [n for _, n in changes]


def test_a_patch_changes_only_what_it_names() -> None:
    node = writer(SimulatedStore())
    node.write(upsert(("a", (1, 1)), metadata={"null": None, "list": [None], "gone": 1}))
    node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"gone": None, "absent": None, "new": 2})]))
    assert content(node)["a"][1] == {"null": None, "list": [None], "new": 2}


def test_a_name_that_filters_cannot_say_is_shown_and_can_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was stored before such names were refused."""
    node = writer(SimulatedStore())
    with monkeypatch.context() as before:
        before.setattr("anfl.vectors.changes.check_names", lambda *_, **__: None)
        node.write(upsert(("a", (1, 1)), metadata={"$x": 1, "$y": 2}))
    node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"n": 1})]))
    assert content(node)["a"][1] == {"$x": 1, "$y": 2, "n": 1}
    node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"$x": None})]))
    assert content(node)["a"][1] == {"$y": 2, "n": 1}
    with pytest.raises(Problem) as caught:
        node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"$y": 3})]))
    assert (caught.value.status, caught.value.field) == (400, "vectors[0].metadata.$y")


def test_patches_do_not_add_up_beyond_the_limit() -> None:
    node = writer(SimulatedStore())
    node.write(upsert(("a", (1, 1)), ("b", (1, 1)), metadata={"text": "x" * 30_000}))
    grown = PatchRow(id="b", metadata={"more": "y" * 30_000})
    with pytest.raises(Problem) as caught:
        node.write(PatchRows(vectors=[PatchRow(id="a", metadata={"n": 1}), grown]))
    assert (caught.value.status, caught.value.field) == (413, "vectors[1].metadata")
    assert [set(metadata) for _, metadata in content(node).values()] == [{"text"}, {"text"}]
