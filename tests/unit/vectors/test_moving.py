"""Moves from one engine to another, seen by those who read and write meanwhile."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from anfl.problems import Problem
from anfl.vectors.hnsw import HnswEngine
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from anfl.vectors.moving import copying, steps, verifying
from anfl.vectors.moving.access import PAUSE_SECONDS
from anfl.vectors.moving.records import Filling, Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.moving.turns import TURN_SECONDS
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import (
    CollectionPatch,
    Count,
    DeleteRows,
    Fetch,
    NewRow,
    Packed,
    PatchRow,
    PatchRows,
    Query,
    Rows,
    Scroll,
    Upsert,
)
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.moves import OTHER, Nodes, Unfollowed, move, rows_of

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2, fields={"year": FieldType.NUMBER})
MOVE = Move(engine=OTHER)
LATE = 1e12
"""An expiry far away."""


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.status, caught.value.code


def filling_of(store: VectorStore) -> Filling:
    filling = store.describe("demo", "words-other").filling
    assert filling is not None
    return filling


@pytest.fixture(params=[HnswEngine, Unfollowed], ids=["followed", "unfollowed"], name="kind")
def _kind(request: pytest.FixtureRequest) -> type[HnswEngine]:
    """Whether the engine that a collection comes from tells what was written."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(name="nodes")
def _nodes(tmp_path: Path, kind: type[HnswEngine], monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Pages have seven rows."""
    monkeypatch.setattr(steps, "PAGE_ROWS", 7)
    monkeypatch.setattr(copying, "FETCHED_ROWS", 3)
    monkeypatch.setattr(copying, "SAMPLES", 5)
    return Nodes(tmp_path, kind=kind)


@pytest.fixture(name="node")
def _node(nodes: Nodes) -> VectorStore:
    """One with forty-one rows."""
    store = nodes.begin()
    store.create("demo", WORDS)
    store.set_alias("demo", "w", "words")
    rows = [NewRow(id=f"r{number:02}", values=[number, 1], metadata={"year": number}) for number in range(40)]
    late = NewRow(id="late", values=[-0.0, 1e-42], expires_at=LATE)
    store.write("demo", "w", Upsert(vectors=[*rows, late]))
    return store


@pytest.fixture(name="other")
def _other(nodes: Nodes, node: VectorStore) -> VectorStore:
    """Another one, which knew of everything before it is moved."""
    other = nodes.begin()
    assert rows_of(other, "w") == rows_of(node, "w")
    return other


def test_an_alias_leads_to_the_same_rows_on_the_other_engine(node: VectorStore) -> None:
    before = rows_of(node, "w")
    moved = move(node, "w", MOVE)
    assert (moved.collection, moved.to, moved.stage) == ("words", "words-other", Stage.DONE)
    assert node.describe("demo", "w").settings == CollectionSettings(
        name="words-other", dimension=2, metric=Metric.L2, fields=WORDS.fields, engine=OTHER
    )
    assert rows_of(node, "w") == before
    assert before["late"].expires_at == LATE
    assert node.move("demo", "w", MOVE).stage is Stage.DONE


def test_what_is_written_at_any_stage_arrives(nodes: Nodes, node: VectorStore, other: VectorStore) -> None:
    seen: set[Stage] = set()
    expected = rows_of(node, "w")
    for number in range(200):
        moved = node.move("demo", "w", MOVE)
        seen.add(moved.stage)
        if moved.stage is Stage.DONE:
            break
        if moved.stage in (Stage.COPYING, Stage.FOLLOWING):
            other.write("demo", "w", upsert((f"new{number}", (number, 2))))
            other.write("demo", "w", upsert(("r05", (number, 3)), metadata={"year": number}))
            other.write("demo", "w", PatchRows(vectors=[PatchRow(id="r06", metadata={"year": None, "n": number})]))
            other.write("demo", "w", DeleteRows(ids=[f"r{number + 10:02}"]))
            expected = rows_of(other, "w")
        nodes.world.sleep(moved.wait)
    assert seen >= {Stage.COPYING, Stage.FOLLOWING, Stage.PAUSED, Stage.SWITCHING, Stage.DONE}
    assert rows_of(other, "w") == rows_of(node, "words-other") == expected


def test_it_tells_how_much_that_was_written_meanwhile_is_not_copied_yet(
    node: VectorStore, kind: type[HnswEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    move(node, "w", MOVE, until=Stage.FOLLOWING)
    for number in range(9):
        node.write("demo", "w", upsert((f"r{number:02}", (number, 9))))
    monkeypatch.setattr(steps, "FEW", 3)
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)
    told = []
    while (moved := node.move("demo", "w", MOVE)).stage is Stage.FOLLOWING:
        told.append(moved.behind)
    assert told == ([6, 3] if kind is HnswEngine else [])
    assert (moved.stage, moved.behind) == (Stage.PAUSED, 0)


def test_writers_who_are_faster_than_they_are_copied_are_paused_by_turns_until_the_move_ends(
    nodes: Nodes, node: VectorStore, other: VectorStore, kind: type[HnswEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    move(node, "w", MOVE, until=Stage.FOLLOWING)
    for number in range(30):
        other.write("demo", "w", upsert((f"before{number}", (number, 1))))
    acknowledged = set(rows_of(node, "w"))
    monkeypatch.setattr(steps, "FEW", 1)
    monkeypatch.setattr(steps, "STEP_SECONDS", 0.0)
    paused: list[float] = []
    for number in range(200):
        try:
            for row_id in (f"{number}-{written}" for written in range(4)):
                other.write("demo", "w", upsert((row_id, (number, 1))))
                acknowledged.add(row_id)
            paused.append(0.0)
        except Problem as problem:
            if problem.code != Refusal.WRITES_PAUSED:
                raise
            paused[-1] = paused[-1] or nodes.world.seconds
            if kind is HnswEngine:  # what does not tell its changes is read as a whole
                assert nodes.world.seconds - paused[-1] <= steps.MOST_PAUSED_SECONDS + 2
        moved = node.move("demo", "w", MOVE)
        if moved.stage is Stage.DONE:
            break
        nodes.world.sleep(moved.wait or 1.0)
    assert moved.stage is Stage.DONE
    assert set(rows_of(node, "words-other")) == acknowledged
    assert sum(map(bool, paused)) > (kind is HnswEngine), "once was enough, which shows nothing"


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (1, 1.0), (0.0, -0.0), ([0], [False])], ids=["boolean", "decimal", "zero", "list"]
)
def test_what_python_takes_for_equal_is_copied_as_well(
    node: VectorStore, other: VectorStore, before: Any, after: Any
) -> None:
    node.write("demo", "w", upsert(("typed", (5, 5)), metadata={"flag": before}))
    move(node, "w", MOVE, until=Stage.FOLLOWING)
    other.write("demo", "w", upsert(("typed", (5, 5)), metadata={"flag": after}))
    move(node, "w", MOVE)
    assert repr((rows_of(other, "w")["typed"].metadata or {})["flag"]) == repr(after)


def test_writers_wait_and_then_find_the_other_engine(node: VectorStore, other: VectorStore) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    node.move("demo", "w", MOVE)
    change = upsert(("x", (1, 1)), request_id="x")
    for store in (node, other):
        assert code_of(partial(store.write, "demo", "w", change)) == (503, "writes_paused")
    assert code_of(partial(other.write, "demo", "words-other", change)) == (409, "collection_filling")
    move(node, "w", MOVE)
    other.write("demo", "w", change)
    assert "x" in rows_of(node, "w")
    assert "x" not in rows_of(node, "words")
    assert code_of(partial(other.write, "demo", "words", change)) == (409, "collection_moved")


def test_who_looked_an_alias_up_before_it_was_switched_writes_to_where_it_leads(
    node: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, find = other.describe("demo", "w"), other.names.find
    move(node, "w", MOVE)
    looks = iter([before])
    monkeypatch.setattr(other.names, "find", lambda *asked: next(looks, None) or find(*asked))
    other.write("demo", "w", upsert(("x", (1, 1))))
    assert "x" in rows_of(node, "words-other")


def test_a_request_that_was_carried_out_before_is_not_carried_out_again(node: VectorStore, other: VectorStore) -> None:
    first = upsert(("x", (1, 1)), request_id="first")
    node.write("demo", "w", first)
    other.write("demo", "w", upsert(("x", (2, 2)), request_id="second"))
    move(node, "w", MOVE, until=Stage.FOLLOWING)
    third = upsert(("y", (3, 3)), request_id="third")
    node.write("demo", "w", third)
    node.write("demo", "w", DeleteRows(ids=["y"]))
    move(node, "w", MOVE)
    assert other.write("demo", "w", first).upserted == 1
    assert other.write("demo", "w", third).upserted == 1
    found = rows_of(node, "w")
    assert found["x"].values == [2, 2]
    assert "y" not in found
    assert code_of(partial(other.write, "demo", "w", upsert(("z", (1, 1)), request_id="first"))) == (
        409,
        "request_id_reused",
    )


def test_a_writer_that_does_not_know_of_the_pause_loses_its_slot(node: VectorStore, other: VectorStore) -> None:
    """Suspended with what the catalogue said before, for however long."""
    stale = other.describe("demo", "words")
    move(node, "w", MOVE)
    engine = other._engines.of(stale)
    assert code_of(lambda: engine.write(stale, upsert(("x", (1, 1))))) == (409, "collection_moved")


def test_who_fills_it_too_late_is_refused(node: VectorStore, other: VectorStore) -> None:
    """A step that was begun, and goes on after another process has taken over and finished."""
    node.move("demo", "w", MOVE)
    stale, known = other.describe("demo", "words-other"), filling_of(other).round
    move(node, "w", MOVE)
    engine = other._engines.of(stale)
    change = DeleteRows(ids=["r01"])
    assert code_of(lambda: engine.write(stale, change, filling=known)) == (409, "move_busy")
    assert "r01" in rows_of(node, "w")


def test_a_step_that_was_not_ended_is_waited_for_and_then_taken_over(
    nodes: Nodes, node: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise SystemExit

    node.move("demo", "w", MOVE)
    before = filling_of(other)
    with monkeypatch.context() as patch:
        for stage in ("copy", "follow"):
            patch.setattr(f"anfl.vectors.moving.steps.Steps.{stage}", dies)
        with pytest.raises(SystemExit):
            node.move("demo", "w", MOVE)
    assert code_of(partial(other.move, "demo", "w", MOVE)) == (409, "move_busy")
    nodes.world.sleep(TURN_SECONDS)
    other.move("demo", "w", MOVE)
    assert filling_of(other).round == before.round + 1
    move(other, "w", MOVE)


def test_writers_end_a_pause_that_nobody_carries_on(nodes: Nodes, node: VectorStore, other: VectorStore) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    change = upsert(("x", (1, 1)))
    assert code_of(partial(other.write, "demo", "w", change)) == (503, "writes_paused")
    nodes.world.sleep(PAUSE_SECONDS + 1)
    other.write("demo", "w", change)
    moving = node.describe("demo", "words").moving
    assert moving is not None
    assert moving.stage is Stage.FOLLOWING
    move(node, "w", MOVE)
    assert "x" in rows_of(node, "w")


@pytest.mark.parametrize("stage", [Stage.COPYING, Stage.FOLLOWING, Stage.PAUSED])
def test_until_it_is_switched_it_can_be_undone(node: VectorStore, other: VectorStore, stage: Stage) -> None:
    before = node.describe("demo", "words")
    move(node, "w", MOVE, until=stage)
    assert code_of(partial(node.update, "demo", "words", CollectionPatch(fields={}))) == (409, "collection_moving")
    assert code_of(partial(node.delete, "demo", "words")) == (409, "collection_moving")
    after = other.undo_move("demo", "w")
    assert (after.moving, after.settings) == (None, before.settings)
    assert code_of(partial(node.describe, "demo", "words-other")) == (404, "collection_not_found")
    other.write("demo", "w", upsert(("x", (1, 1))))
    assert other.undo_move("demo", "w") == other.describe("demo", "words")
    move(node, "w", MOVE)
    assert "x" in rows_of(other, "w")


def test_afterwards_it_can_be_moved_back_but_not_undone(node: VectorStore) -> None:
    move(node, "w", MOVE)
    assert code_of(partial(node.undo_move, "demo", "w")) == (409, "move_switched")
    node.write("demo", "w", upsert(("x", (1, 1))))
    before = rows_of(node, "w")
    assert move(node, "w", Move(engine="hnsw", to="back")).to == "back"
    assert rows_of(node, "w") == before
    node.delete("demo", "words")
    node.delete("demo", "words-other")
    assert rows_of(node, "w") == before


def test_the_old_one_takes_writes_again_once_the_new_one_is_deleted(node: VectorStore) -> None:
    move(node, "w", MOVE)
    node.delete("demo", "words-other")
    node.undo_move("demo", "words")
    node.write("demo", "words", upsert(("x", (1, 1))))


def test_what_cannot_be_moved_is_said_before_anything_is_done(node: VectorStore) -> None:
    assert code_of(partial(node.move, "demo", "words", MOVE)) == (409, "alias_needed")
    assert code_of(partial(node.move, "demo", "w", Move(engine="none"))) == (400, "invalid_request")
    assert code_of(partial(node.move, "demo", "absent", MOVE)) == (404, "collection_not_found")
    assert node.move("demo", "w", Move(engine="hnsw")).collection is None
    node.create("demo", CollectionSettings(name="taken", dimension=2))
    assert code_of(partial(node.move, "demo", "w", Move(engine=OTHER, to="taken"))) == (409, "collection_exists")
    same = CollectionSettings(name="same", dimension=2, metric=Metric.L2, fields=WORDS.fields, engine=OTHER)
    node.create("demo", same)
    assert code_of(partial(node.move, "demo", "w", Move(engine=OTHER, to="same"))) == (409, "collection_exists")
    assert code_of(partial(node.move, "demo", "w", Move(engine=OTHER, to="w"))) == (409, "alias_exists")
    assert node.describe("demo", "w").moving is None
    node.move("demo", "w", Move(engine=OTHER, to="new"))
    assert code_of(partial(node.move, "demo", "w", Move(engine=OTHER, to="else"))) == (
        409,
        "collection_moving",
    )
    node.delete("demo", "new")
    assert code_of(partial(node.move, "demo", "w", MOVE)) == (409, "move_target_lost")
    node.undo_move("demo", "w")


def test_what_is_declared_while_a_move_begins_is_not_left_behind(
    node: VectorStore, other: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, create = node._management.check, node._management.create
    declared = CollectionPatch(fields={**WORDS.fields, "word": FieldType.STRING})

    def before_it_is_noted(*given: Any) -> Any:
        monkeypatch.undo()
        other.update("demo", "words", declared)
        return check(*given)

    def afterwards(*given: Any, **named: Any) -> Any:
        monkeypatch.undo()
        more = CollectionPatch(fields={**WORDS.fields, "more": FieldType.STRING})
        assert code_of(partial(other.update, "demo", "words", more)) == (409, "collection_moving")
        return create(*given, **named)

    monkeypatch.setattr(node._management, "check", before_it_is_noted)
    assert code_of(partial(node.move, "demo", "w", MOVE)) == (409, "collection_changed")
    monkeypatch.setattr(node._management, "create", afterwards)
    move(node, "w", MOVE)
    assert other.describe("demo", "w").settings.fields.keys() == {"year", "word"}


def test_a_collection_that_is_deleted_while_it_is_looked_at_is_not_switched_to(
    node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else writers would wait until somebody undoes it."""

    def deleted(*_: Any, **__: Any) -> bool:
        node.delete("demo", "words-other")
        return True

    monkeypatch.setattr(steps, "verify", deleted)
    with pytest.raises(Problem) as caught:
        move(node, "w", MOVE)
    assert (caught.value.status, caught.value.code) == (409, "move_target_lost")
    node.write("demo", "w", upsert(("x", (1, 1))))
    monkeypatch.undo()
    node.undo_move("demo", "w")
    move(node, "w", MOVE)
    assert "x" in rows_of(node, "w")


def test_every_alias_goes_along(node: VectorStore, other: VectorStore) -> None:
    node.set_alias("demo", "second", "words")
    move(node, "w", MOVE)
    assert {node.describe("demo", name).name for name in ("w", "second")} == {"words-other"}
    assert other.count("demo", "second", Count(consistency="strong")).count == 41
    assert other.fetch("demo", "w", Fetch(ids=["r01"], consistency="strong")).vectors[0].metadata == {"year": 1}


def test_a_copy_that_does_not_answer_as_it_should_is_not_switched_to(
    node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying.Copier, "_write", lambda *_: None)
    with pytest.raises(Problem) as caught:
        move(node, "w", MOVE)
    assert (caught.value.status, caught.value.code) == (409, "move_unverified")
    assert node.describe("demo", "w").name == "words"
    node.write("demo", "w", upsert(("x", (1, 1))))
    monkeypatch.undo()
    move(node, "w", MOVE)
    assert "x" in rows_of(node, "w")


@pytest.mark.parametrize("wrong", ["distance", "missing", "too near"])
def test_searches_that_differ_are_noticed(node: VectorStore, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = verifying._search

    def search(target: copying.Side, values: object) -> object:
        matches = list(real(target, values))
        if wrong == "missing":
            return matches[:5]
        if wrong == "distance":
            metric, query = target.collection.settings.metric, msgspec.convert(values, Packed).unpacked()
            beyond = [2 * verifying._tolerance(metric, query, m.distance) for m in matches]
            return [type(m)(id=m.id, distance=m.distance + b) for m, b in zip(matches, beyond, strict=True)]
        return [type(matches[0])(id="r99", distance=0.0), *matches]

    monkeypatch.setattr(verifying, "_search", search)
    with pytest.raises(Problem) as caught:
        move(node, "w", MOVE)
    assert caught.value.code == "move_unverified"


@pytest.mark.parametrize("metric", Metric)
def test_distances_of_float32_are_those_that_they_are_of(
    nodes: Nodes, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a short row to long ones, too."""
    store = nodes.begin()
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=metric))
    store.set_alias("demo", "w", "words")
    lengths = [1.0, *(10_000.0 + number / 7 for number in range(12))]
    store.write("demo", "w", upsert(*((f"r{n:02}", (length, 100.3 * n or 0.7)) for n, length in enumerate(lengths))))
    real = verifying._search

    def search(target: copying.Side, values: object) -> object:
        return [type(m)(id=m.id, distance=float(np.float32(m.distance))) for m in real(target, values)]

    monkeypatch.setattr(verifying, "_search", search)
    assert move(store, "w", MOVE).stage is Stage.DONE


def test_what_is_copied_is_compared_again_and_not_copied_again(
    node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index lags, and a table does not answer."""
    outcomes: list[bool | None] = [None, False]

    def verify(*given: Any, real: Any = verifying.verify, **named: Any) -> bool:
        outcome = outcomes.pop(0) if outcomes else real(*given, **named)
        if outcome is None:
            raise Problem(503, Refusal.STORAGE_UNAVAILABLE, "It is away.")
        return bool(outcome)

    monkeypatch.setattr(steps, "verify", verify)
    move(node, "w", MOVE, until=Stage.PAUSED)
    with pytest.raises(Problem):
        move(node, "w", MOVE)
    with monkeypatch.context() as copied:
        copied.setattr(copying.Side, "page", lambda *_: pytest.fail("it is looked at again"))
        moved = move(node, "w", MOVE)
    assert (moved.looked, outcomes) == (41, [])


@pytest.mark.parametrize("wrong", [False, True], ids=["as it should be", "another distance"])
def test_a_large_collection_of_an_engine_without_it_in_memory_is_not_read_once_more(
    node: VectorStore, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would take longer than a step may, and so be begun again and again."""
    monkeypatch.setattr(verifying, "MOST_READ", 40)
    monkeypatch.setattr(node._engines._engines["hnsw"], "on_nodes", False)
    monkeypatch.setattr(node._engines._engines["hnsw"], "exact", lambda *_: pytest.fail("it is read"))
    if wrong:
        monkeypatch.setattr(copying, "values_of", lambda _row: np.array([7.0, 7.0], dtype=np.float32))
        with pytest.raises(Problem, match="move_unverified"):
            move(node, "w", MOVE)
    else:
        move(node, "w", MOVE)


def test_a_move_goes_at_the_pace_of_a_table_that_is_slow_and_faster_again_afterwards(
    nodes: Nodes, node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a quarter of a second a row, and gives up after five."""
    monkeypatch.setattr(steps, "PAGE_ROWS", 40)
    limits: list[int] = []
    refused = 0

    def scroll(engine: HnswEngine, collection: Collection, request: Scroll, *, read: Any = HnswEngine.scroll) -> Rows:
        limits.append(request.limit)
        nodes.world.sleep(min(request.limit / 4, 5))
        if request.limit > 20:
            raise Problem(503, Refusal.STORAGE_UNAVAILABLE, "It is slow.")
        found: Rows = read(engine, collection, request)
        return found

    with monkeypatch.context() as slow:
        slow.setattr(HnswEngine, "scroll", scroll)
        for _ in range(20):
            try:
                moved = node.move("demo", "w", MOVE)
            except Problem:
                refused += 1
                continue
            if moved.passes:
                break
    assert (refused, limits[0], limits[-1]) == (1, 40, 10)
    move(node, "w", MOVE)
    moving = node.describe("demo", "words").moving
    assert moving is not None
    assert moving.slowdown == 0


def test_a_step_that_fails_is_gone_on_with_from_where_it_was(
    node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def scroll(engine: HnswEngine, collection: Collection, request: Scroll, *, read: Any = HnswEngine.scroll) -> Rows:
        seen.append(request.cursor)
        if len(seen) == 5:  # of the third page
            raise Problem(503, Refusal.STORAGE_UNAVAILABLE, "It is away.")
        found: Rows = read(engine, collection, request)
        return found

    monkeypatch.setattr(HnswEngine, "scroll", scroll)
    assert code_of(partial(node.move, "demo", "w", MOVE)) == (503, "storage_unavailable")
    node.move("demo", "w", MOVE)
    assert seen[5] == seen[4]


def test_a_move_is_carried_on_where_it_was_begun_and_undone_anywhere(nodes: Nodes, node: VectorStore) -> None:
    """A turn that is taken in one region is not seen in another at once."""
    here = nodes.catalogue.region
    move(node, "w", MOVE, until=Stage.FOLLOWING)
    nodes.catalogue.region = "eu-west-1"
    assert code_of(partial(node.move, "demo", "w", MOVE)) == (409, "collection_moving")
    assert node.undo_move("demo", "w").moving is None
    nodes.catalogue.region = here
    move(node, "w", MOVE)
    nodes.catalogue.region = "eu-west-1"
    assert node.move("demo", "w", MOVE).stage is Stage.DONE
    nodes.catalogue.region = here
    move(node, "w", Move(engine="hnsw", to="back"))


@pytest.mark.parametrize("read", ["query", "fetch", "count", "scroll"])
def test_who_wrote_to_the_new_one_sees_it_on_nodes_that_know_only_the_old_one(
    node: VectorStore, other: VectorStore, read: str
) -> None:
    """Its position is of what the alias stands for by now."""
    move(node, "w", MOVE)
    assert other.names.peek("demo", "w") is not None
    position = node.write("demo", "w", upsert(("x", (50, 1)))).sequence
    requests: dict[str, Any] = {
        "query": Query(vector=[50.0, 1.0], k=1, min_sequence=position),
        "fetch": Fetch(ids=["x"], min_sequence=position),
        "count": Count(min_sequence=position),
        "scroll": Scroll(limit=1_000, min_sequence=position),
    }
    assert other.at_once("demo", "w", requests["fetch"]) is None
    answer = getattr(other, read)("demo", "w", requests[read])
    assert answer.sequence == position


def test_a_cursor_of_the_new_one_goes_on_on_nodes_that_know_only_the_old_one(
    node: VectorStore, other: VectorStore
) -> None:
    before = other.scroll("demo", "w", Scroll(limit=1))
    move(node, "w", MOVE)
    page = node.scroll("demo", "w", Scroll(limit=1))
    assert other.scroll("demo", "w", Scroll(limit=1, cursor=page.cursor)).vectors[0].id == "r00"
    assert code_of(partial(other.scroll, "demo", "w", Scroll(limit=1, cursor=before.cursor))) == (409, "history_lost")


def test_reads_go_on_all_the_while(nodes: Nodes, node: VectorStore, other: VectorStore) -> None:
    query = Query(vector=[5.0, 1.0], k=3)
    while True:
        moved = node.move("demo", "w", MOVE)
        for store in (node, other):
            answer = store.query("demo", "w", query)
            assert [match.id for match in answer.matches] == ["r05", "r04", "r06"]  # type: ignore[union-attr]
        if moved.stage is Stage.DONE:
            return
        nodes.world.sleep(moved.wait)
