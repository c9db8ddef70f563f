"""Moves, and those who write or undo in another region: what both note at the same time does not meet."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.moving import steps
from anfl.vectors.moving.access import FAR_SECONDS, PAUSE_SECONDS
from anfl.vectors.moving.copying import Copier, Looked
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.store import VectorStore
from tests.unit.vectors.builders import upsert
from tests.unit.vectors.moves import OTHER, Nodes, Unfollowed, move, rows_of

MOVE = Move(engine=OTHER)
HERE, FAR = "us-west-1", "eu-west-1"


@pytest.fixture(name="nodes")
def _nodes(tmp_path: Path) -> Nodes:
    """Of an engine that takes writes in every region."""
    return Nodes(tmp_path, kind=Unfollowed)


@pytest.fixture(name="node")
def _node(nodes: Nodes) -> VectorStore:
    store = nodes.begin()
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.set_alias("demo", "w", "words")
    store.write("demo", "w", upsert(("a", (0, 1)), ("b", (1, 1))))
    return store


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.code


def moving_of(store: VectorStore) -> Moving:
    moving = store.catalogue.find("demo", "words").moving
    assert moving is not None
    return moving


def test_writers_elsewhere_end_a_pause_later_than_those_where_it_is_carried_out(
    nodes: Nodes, node: VectorStore
) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    nodes.world.sleep(PAUSE_SECONDS + 1)
    change = upsert(("x", (1, 1)))
    nodes.catalogue.region = FAR
    assert code_of(partial(node.write, "demo", "w", change)) == "writes_paused"
    nodes.world.sleep(FAR_SECONDS)
    node.write("demo", "w", change)
    nodes.catalogue.region = HERE
    move(node, "w", MOVE)
    assert rows_of(node, "w").keys() == {"a", "b", "x"}


def test_a_pause_that_others_may_have_ended_is_not_gone_on_with(nodes: Nodes, node: VectorStore) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    before = node.catalogue.find("demo", "words")
    nodes.world.sleep(PAUSE_SECONDS + 1)
    assert node.move("demo", "w", MOVE).stage is Stage.PAUSED
    after = node.catalogue.find("demo", "words")
    assert after.revision == before.revision + 2  # the writers went on, and wait again
    assert moving_of(node).settled_at == 0


def test_nor_does_a_step_switch_that_has_taken_longer(
    nodes: Nodes, node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(*_: object, **__: object) -> bool:
        nodes.world.sleep(PAUSE_SECONDS + 1)
        return True

    move(node, "w", MOVE, until=Stage.PAUSED)
    with monkeypatch.context() as slow:
        slow.setattr(steps, "verify", verify)
        for _ in range(9):
            moved = node.move("demo", "w", MOVE)
            assert moved.stage in (Stage.PAUSED, Stage.FOLLOWING)
            nodes.world.sleep(moved.wait)
    move(node, "w", MOVE)


def test_what_was_written_elsewhere_before_the_pause_is_waited_for_though_clocks_differ(
    nodes: Nodes, node: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = nodes.begin()
    clock = ahead.storage.clock
    early = dataclasses.replace(clock, wall=lambda: clock.wall() + 300)
    move(node, "w", MOVE, until=Stage.PAUSED)
    paused = nodes.world.seconds
    looked: list[float] = []
    page = Copier.page

    def seen(copier: Copier, after: str, limit: int) -> Looked:
        looked.append(nodes.world.seconds)
        return page(copier, after, limit)

    monkeypatch.setattr(Copier, "page", seen)
    node.move("demo", "w", MOVE)
    with mock.patch.object(ahead._mover, "_steps", steps.Steps(early)):
        ahead.move("demo", "w", MOVE)
    assert looked[0] >= paused + Unfollowed.late


@contextmanager
def arriving(far: VectorStore, change: Callable[[], object]) -> Iterator[None]:
    """While it is waited there, what was noted where the move is carried out comes, and is the later one."""
    clock = far.storage.clock

    def waited(seconds: float) -> None:
        clock.sleep(seconds)
        change()

    with mock.patch.object(far._mover._undoing, "_clock", dataclasses.replace(clock, sleep=waited)):
        yield


def noted(store: VectorStore, name: str, change: Callable[[Collection], Collection]) -> None:
    """Let this stand in the catalogue, whatever stands there."""
    store.catalogue.change("demo", name, change)


def staged(stage: Stage) -> Callable[[Collection], Collection]:
    def change(found: Collection) -> Collection:
        assert found.moving is not None
        return msgspec.structs.replace(found, moving=msgspec.structs.replace(found.moving, stage=stage))

    return change


def opened(found: Collection) -> Collection:
    assert found.filling is not None
    return msgspec.structs.replace(found, filling=msgspec.structs.replace(found.filling, ready=True))


@pytest.fixture(name="far")
def _far(nodes: Nodes, node: VectorStore) -> Iterator[VectorStore]:
    """A node in another region, of a collection that is about to be switched."""
    far = nodes.begin()
    move(node, "w", MOVE, until=Stage.PAUSED)
    nodes.catalogue.region = FAR
    yield far
    nodes.catalogue.region = HERE


def test_who_undoes_elsewhere_deletes_nothing_that_was_switched_meanwhile(
    nodes: Nodes, node: VectorStore, far: VectorStore
) -> None:
    with arriving(far, lambda: noted(node, "words", staged(Stage.SWITCHING))):
        assert code_of(partial(far.undo_move, "demo", "w")) == "move_busy"
    nodes.catalogue.region = HERE
    move(node, "w", MOVE)
    assert rows_of(node, "w").keys() == {"a", "b"}


def test_nor_what_was_opened_to_everybody_though_nothing_else_of_it_came(
    nodes: Nodes, node: VectorStore, far: VectorStore
) -> None:
    with arriving(far, lambda: noted(node, "words-other", opened)):
        assert code_of(partial(far.undo_move, "demo", "w")) == "move_busy"
    assert code_of(partial(far.undo_move, "demo", "w")) == "move_switched"
    nodes.catalogue.region = HERE
    move(node, "w", MOVE)
    assert rows_of(node, "w").keys() == {"a", "b"}


def test_else_it_is_undone_there(far: VectorStore) -> None:
    assert far.undo_move("demo", "w").moving is None
    assert code_of(partial(far.describe, "demo", "words-other")) == "collection_not_found"


def test_while_it_is_undone_elsewhere_nobody_writes(nodes: Nodes, node: VectorStore, far: VectorStore) -> None:
    """Perhaps it is switched at that very moment, and what is written then is not copied."""
    change = upsert(("x", (1, 1)))

    def tried() -> None:
        assert code_of(partial(far.write, "demo", "w", change)) == "writes_paused"
        assert code_of(partial(node.write, "demo", "w", change)) == "writes_paused"

    with arriving(far, tried):
        far.undo_move("demo", "w")
    far.write("demo", "w", change)
    nodes.catalogue.region = HERE
    assert rows_of(node, "w").keys() == {"a", "b", "x"}


class Killed(BaseException):
    """So ends whoever undoes."""


def undone_half(far: VectorStore, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Nobody ends what was begun to be undone."""

    def kill() -> None:
        meanwhile()
        raise Killed

    with arriving(far, kill), pytest.raises(Killed):
        far.undo_move("demo", "w")


def test_of_who_undoes_and_is_killed_writers_wait_for_no_longer_than_of_who_moves(
    nodes: Nodes, node: VectorStore, far: VectorStore
) -> None:
    undone_half(far)
    change = upsert(("x", (1, 1)))
    nodes.catalogue.region = HERE
    assert code_of(partial(node.write, "demo", "w", change)) == "writes_paused"
    nodes.world.sleep(PAUSE_SECONDS + 1)
    node.write("demo", "w", change)
    node.undo_move("demo", "w")
    assert rows_of(node, "w").keys() == {"a", "b", "x"}


def test_unless_it_was_switched_at_that_moment(nodes: Nodes, node: VectorStore, far: VectorStore) -> None:
    undone_half(far, lambda: noted(node, "words-other", opened))
    change = upsert(("x", (1, 1)))
    nodes.catalogue.region = HERE
    nodes.world.sleep(PAUSE_SECONDS + 1)
    assert code_of(partial(node.write, "demo", "w", change)) == "writes_paused"
    move(node, "w", MOVE)
    node.write("demo", "w", change)
    assert rows_of(node, "w").keys() == {"a", "b", "x"}


def test_what_has_a_log_is_moved_where_that_is_written(tmp_path: Path) -> None:
    """Elsewhere the log is there as far as S3 has copied it."""
    nodes = Nodes(tmp_path)
    store = nodes.begin()
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.set_alias("demo", "w", "words")
    nodes.catalogue.region = FAR
    assert code_of(partial(store.move, "demo", "w", MOVE)) == "written_elsewhere"
    nodes.catalogue.region = store.describe("demo", "words").home or ""
    move(store, "w", MOVE)


@pytest.mark.parametrize("seconds", [0, 3600])
def test_where_the_alias_leads_elsewhere_only_in_a_moment_writers_come_again(
    nodes: Nodes, node: VectorStore, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what the move has noted, that the old collection is closed came first, however long it took to switch."""
    monkeypatch.setattr(node._management, "pass_aliases", lambda *_: nodes.world.sleep(seconds))
    move(node, "w", MOVE)
    change = upsert(("x", (1, 1)))
    assert code_of(partial(node.write, "demo", "w", change)) == "collection_moved"
    nodes.catalogue.region = FAR
    assert code_of(partial(node.write, "demo", "w", change)) == "writes_paused"
    assert code_of(partial(node.write, "demo", "words", change)) == "collection_moved"
    nodes.world.sleep(PAUSE_SECONDS + FAR_SECONDS)
    assert code_of(partial(node.write, "demo", "w", change)) == "collection_moved"


def closed(found: Collection) -> Collection:
    assert found.filling is not None
    filling = msgspec.structs.replace(found.filling, ready=False)
    return msgspec.structs.replace(found, filling=filling, revision=found.revision + 1)


def test_so_they_do_where_it_leads_to_what_is_not_known_to_take_writes_yet(nodes: Nodes, node: VectorStore) -> None:
    """Of what the move has noted, that the new collection is open comes last."""
    move(node, "w", MOVE)
    noted(node, "words-other", closed)
    change = upsert(("x", (1, 1)))
    nodes.catalogue.region = FAR
    for name in ("w", "words-other"):  # whoever calls it by its own name has been told by the old one
        with pytest.raises(Problem) as refused:
            node.write("demo", name, change)
        assert (refused.value.status, refused.value.code, refused.value.retry_after) == (503, "writes_paused", 1)
    noted(node, "words-other", opened)
    assert node.write("demo", "w", change).upserted == 1


def test_who_calls_it_by_its_own_name_before_the_switch_does_not(nodes: Nodes, node: VectorStore) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    for nodes.catalogue.region in (HERE, FAR):
        assert code_of(partial(node.write, "demo", "words-other", upsert(("x", (1, 1))))) == "collection_filling"


def test_nor_does_who_has_let_an_alias_lead_there_where_it_is_filled(nodes: Nodes, node: VectorStore) -> None:
    move(node, "w", MOVE, until=Stage.PAUSED)
    node.set_alias("demo", "early", "words-other")
    change = upsert(("x", (1, 1)))
    assert code_of(partial(node.write, "demo", "early", change)) == "collection_filling"
    nodes.catalogue.region = FAR  # from where that cannot be told from an alias that was passed on
    assert code_of(partial(node.write, "demo", "early", change)) == "writes_paused"


def claimed_elsewhere(found: Collection) -> Collection:
    """As it is once another region has begun to move it, at the same time and later than this one."""
    moving = Moving(to="words-other", incarnation="f" * 32, making=OTHER, region=FAR)
    return msgspec.structs.replace(found, moving=moving)


@contextmanager
def beginning(store: VectorStore, change: Callable[[], object]) -> Iterator[None]:
    """While a move that begins waits for what others have noted, this comes."""
    clock = store.storage.clock

    def waited(seconds: float) -> None:
        clock.sleep(seconds)
        change()

    with mock.patch.object(store._mover._beginnings, "_clock", dataclasses.replace(clock, sleep=waited)):
        yield


def test_of_two_moves_that_begin_at_once_one_gives_way_before_anything_has_come_of_it(
    nodes: Nodes, node: VectorStore
) -> None:
    with beginning(node, lambda: noted(node, "words", claimed_elsewhere)):
        assert node.move("demo", "w", MOVE).stage is Stage.COPYING  # of the other one
    assert code_of(partial(node.describe, "demo", "words-other")) == "collection_not_found"
    with pytest.raises(Problem, match=FAR) as refused:
        node.move("demo", "w", MOVE)
    assert (refused.value.status, refused.value.code) == (409, "collection_moving")
    node.write("demo", "w", upsert(("x", (1, 1))))
    nodes.catalogue.region = FAR
    move(node, "w", MOVE)
    assert rows_of(node, "w").keys() == {"a", "b", "x"}


def test_what_has_a_log_has_no_rival_to_wait_for(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    store = nodes.begin()
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.set_alias("demo", "w", "words")
    before = nodes.world.seconds
    store.move("demo", "w", MOVE)
    assert nodes.world.seconds == before


def test_who_undoes_what_has_just_begun_waits_for_what_others_have_noted(nodes: Nodes, node: VectorStore) -> None:
    def kill() -> None:
        raise Killed

    with beginning(node, kill), pytest.raises(Killed):
        node.move("demo", "w", MOVE)
    with arriving(node, lambda: noted(node, "words", claimed_elsewhere)):
        assert code_of(partial(node.undo_move, "demo", "w")) == "move_busy"
    assert moving_of(node).region == FAR
    nodes.catalogue.region = FAR
    assert node.undo_move("demo", "w").moving is None


def test_a_killed_process_that_began_is_gone_on_from(node: VectorStore) -> None:
    def kill() -> None:
        raise Killed

    with beginning(node, kill), pytest.raises(Killed):
        node.move("demo", "w", MOVE)
    assert code_of(partial(node.move, "demo", "w", Move(engine="hnsw", to="words-other"))) == "collection_moving"
    move(node, "w", MOVE)
    assert rows_of(node, "w").keys() == {"a", "b"}
