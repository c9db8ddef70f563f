"""Whoever carries out or undoes a move may be suspended anywhere, for however long, and do no harm afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from unittest import mock

from anfl.problems import Problem
from anfl.vectors.changes import Change
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.moving.access import PAUSE_SECONDS
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.moving.turns import TURN_SECONDS
from anfl.vectors.requests import Written
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.moves import OTHER, Nodes, move, rows_of

MOVE = Move(engine=OTHER)
BACK = Move(engine="hnsw", to="back")
BEFORE = {"a", "b"}
Prepared = Callable[[Nodes, VectorStore], object]


def begun(folder: Path) -> tuple[Nodes, VectorStore, VectorStore]:
    """Two nodes with a collection that an alias stands for."""
    nodes = Nodes(folder)
    slow, quick = nodes.begin(), nodes.begin()
    slow.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    slow.set_alias("demo", "w", "words")
    slow.write("demo", "w", upsert(("a", (0, 1)), ("b", (1, 1))))
    return nodes, slow, quick


@contextmanager
def suspended(nodes: Nodes, place: int, meanwhile: Callable[[], object]) -> Iterator[list[int]]:
    """Let something happen at the call of the catalogue's table with this number; yields which were there."""
    calls: list[int] = []

    def pause() -> None:
        calls.append(len(calls))
        if len(calls) - 1 == place:
            try:
                meanwhile()
            except Problem as problem:
                raise AssertionError(f"{place}: {problem}") from problem

    with mock.patch.object(nodes.world, "pause", pause):
        yield calls


@contextmanager
def before_writing(slow: VectorStore, meanwhile: Callable[[], object]) -> Iterator[None]:
    """Let something happen before ``slow`` writes what it copies, for the first time."""
    engine = slow._engines._engines[OTHER]
    write, written = engine.write, list[Change]()

    def late(collection: Collection, change: Change, *, filling: int | None = None) -> Written:
        if not written:
            written.append(change)
            meanwhile()
        return write(collection, change, filling=filling)

    with mock.patch.object(engine, "write", late):
        yield


def carry_on(quick: VectorStore, stage: Stage) -> None:
    """Until then, or as far as it goes."""
    with suppress(Problem, AssertionError):
        move(quick, "w", MOVE, until=stage)


def moved_anew(nodes: Nodes, quick: VectorStore) -> None:
    """What was begun is undone, and the move is made once more; then somebody writes."""
    with suppress(Problem):  # it has come too far
        quick.undo_move("demo", "w")
    nodes.world.sleep(TURN_SECONDS + 1)
    move(quick, "w", MOVE)
    quick.write("demo", "w", upsert(("new", (2, 1))))


def moved_back(nodes: Nodes, quick: VectorStore) -> None:
    """The move is ended, and another one made; then somebody writes."""
    nodes.world.sleep(TURN_SECONDS + 1)
    move(quick, "w", MOVE)
    move(quick, "w", BACK)
    quick.write("demo", "w", upsert(("new", (2, 1))))


def begun_anew(nodes: Nodes, quick: VectorStore) -> None:
    """What was copied is deleted by hand; the next move comes half way."""
    quick.delete("demo", "words-other")
    quick.undo_move("demo", "words")
    nodes.world.sleep(TURN_SECONDS + 1)
    quick.set_alias("demo", "w", "words")
    move(quick, "w", MOVE, until=Stage.FOLLOWING)
    quick.write("demo", "w", upsert(("new", (2, 1))))


def anywhere(
    folder: Path, prepare: Prepared, slowly: Callable[[VectorStore], object], meanwhile: Prepared, *, least: int
) -> Iterator[tuple[int, VectorStore]]:
    """Let what goes ``slowly`` be suspended at each of its calls of the table in turn; yields each, and the quick node.

    :param prepare: brings the move to where that begins.
    :param least: calls that there have to be.
    """
    for place in count():
        nodes, slow, quick = begun(folder / str(place))
        prepare(nodes, quick)
        with suspended(nodes, place, lambda: meanwhile(nodes, quick)) as calls:  # noqa: B023
            slowly(slow)
        if place >= len(calls):
            break
        yield place, quick
    assert place > least


def until(stage: Stage) -> Prepared:
    return lambda _, quick: move(quick, "w", MOVE, until=stage)


def undo(slow: VectorStore) -> None:
    with suppress(Problem):
        slow.undo_move("demo", "w")


def switch(slow: VectorStore) -> None:
    with suppress(Problem):
        slow.move("demo", "w", MOVE)


def write(slow: VectorStore) -> None:
    slow.write("demo", "w", upsert(("new", (2, 1))))


def overdue(nodes: Nodes, quick: VectorStore) -> None:
    move(quick, "w", MOVE, until=Stage.PAUSED)
    nodes.world.sleep(PAUSE_SECONDS + 1)


def test_whoever_undoes_a_move_does_no_harm_to_the_next_one(tmp_path: Path) -> None:
    for place, quick in anywhere(tmp_path, until(Stage.FOLLOWING), undo, moved_anew, least=10):
        assert rows_of(quick, "w").keys() == BEFORE | {"new"}, place
        moving = quick.describe("demo", "words").moving
        assert moving is not None, place
        assert moving.stage is Stage.DONE, place


def test_whoever_switches_late_takes_no_alias_from_the_next_move(tmp_path: Path) -> None:
    for place, quick in anywhere(tmp_path, until(Stage.SWITCHING), switch, moved_back, least=10):
        assert quick.describe("demo", "w").name == "back", place
        assert rows_of(quick, "w").keys() == BEFORE | {"new"}, place


def test_whoever_switches_late_does_not_switch_to_the_next_copy(tmp_path: Path) -> None:
    for place, quick in anywhere(tmp_path, until(Stage.SWITCHING), switch, begun_anew, least=10):
        assert quick.describe("demo", "w").name == "words", place
        assert rows_of(quick, "w").keys() == BEFORE | {"new"}, place


def test_whoever_ends_a_pause_late_writes_to_what_it_has_become(tmp_path: Path) -> None:
    for place, quick in anywhere(tmp_path, overdue, write, until(Stage.DONE), least=2):
        assert quick.describe("demo", "w").name == "words-other", place
        assert rows_of(quick, "w").keys() == BEFORE | {"new"}, place


def test_who_is_overtaken_before_it_knows_its_round_writes_over_nothing(tmp_path: Path) -> None:
    """It has a row in its hands then that has changed since it looked."""
    acknowledged = [0.0]

    def change(quick: VectorStore, number: float) -> None:
        with suppress(Problem):
            quick.write("demo", "w", upsert(("a", (number, 1))))
            acknowledged.append(number)

    def overtaken(nodes: Nodes, quick: VectorStore) -> None:
        nodes.world.sleep(TURN_SECONDS + 1)
        carry_on(quick, Stage.FOLLOWING)
        change(quick, 5)

    def again(quick: VectorStore) -> None:
        change(quick, 7)
        carry_on(quick, Stage.SWITCHING)

    for place in count():
        nodes, slow, quick = begun(tmp_path / str(place))
        acknowledged[1:] = []
        move(quick, "w", MOVE, until=Stage.COPYING)
        with (
            suspended(nodes, place, lambda: overtaken(nodes, quick)) as calls,  # noqa: B023
            before_writing(slow, lambda: again(quick)),  # noqa: B023
            suppress(Problem),
        ):
            slow.move("demo", "w", MOVE)
        if place >= len(calls):
            break
        nodes.world.sleep(TURN_SECONDS + 1)
        move(quick, "w", MOVE)
        assert rows_of(quick, "w")["a"].values == [acknowledged[-1], 1.0], place
    assert place > 10
