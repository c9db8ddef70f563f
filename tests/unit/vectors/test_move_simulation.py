"""The short form of the simulator of moves, and proof that it notices what it is there to notice."""

import dataclasses
from collections.abc import Sequence
from typing import Any
from unittest import mock

import msgspec
import pytest

from anfl.vectors.dynamodb import deletions
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.items import StoredItem
from anfl.vectors.dynamodb.requests import Requests
from anfl.vectors.dynamodb.rounds import Rounds
from anfl.vectors.engines import Changes
from anfl.vectors.hnsw import HnswEngine
from anfl.vectors.model import Collection
from anfl.vectors.moving import pauses, steps, turns, undoing
from anfl.vectors.moving.beginning import Beginnings
from anfl.vectors.moving.copying import Copier
from anfl.vectors.moving.finding import target_of
from anfl.vectors.moving.pauses import Pauses
from anfl.vectors.moving.records import Moving
from anfl.vectors.moving.steps import Steps
from anfl.vectors.moving.turns import Turns
from anfl.vectors.moving.undoing import Undoing
from tests.fault.oracle import DivergenceError
from tests.fault.simulation.moving import MoveRound, play
from tests.fault.simulation.world import StalledError, Weather

ROUNDS = 40


def test_nothing_acknowledged_is_lost_or_comes_twice() -> None:
    assert play(range(ROUNDS)) > 10 * ROUNDS


def _without_deletions(
    engine: HnswEngine, collection: Collection, since: str | None, *, most: int, changes: Any = HnswEngine.changes
) -> Changes | None:
    found: Changes | None = changes(engine, collection, since, most=most)
    if found is None or since is None:
        return found
    there = {row_id for row_id in found.ids if engine.opened.get(collection).replica.shown.row(row_id) is not None}
    return dataclasses.replace(found, ids=[row_id for row_id in found.ids if row_id in there])


def _whatever_is_noted(self: Turns, source: Collection, _before: Moving, after: Moving) -> Collection:
    return self._catalogue.change(
        source.tenant,
        source.name,
        lambda found: msgspec.structs.replace(found, moving=after, revision=found.revision + 1),
    )


def _only_for_the_filled(engine: HnswEngine, collection: Collection, *, fence: Any = HnswEngine.fence) -> float:
    return fence(engine, collection) if collection.moving is None else 0.0


def _demanded_of_nobody(_rounds: Rounds, _collection: Collection) -> None:
    """No number is noted in the table: ordinary writers are waited for, as long as that takes usually."""


def _only_for_the_opened(rounds: Rounds, collection: Collection, *, begin: Any = Rounds.begin) -> None:
    if collection.filling is not None and (collection.filling.ready or collection.filling.round == 1):
        begin(rounds, collection)


CALM = Weather()
OUTAGES = Weather(outages=0.2)
SUSPENSIONS = Weather(suspensions=0.03)
SELDOM = Weather(suspensions=0.005)
"""So that a move from ``dynamodb``, of hundreds of calls a step, can end while one writer sleeps."""


@pytest.mark.parametrize(
    ("only", "owner", "name", "mistake", "seed"),
    [
        pytest.param(CALM, Copier, "remember", lambda *_: None, 1, id="request ids stay behind"),
        pytest.param(CALM, HnswEngine, "changes", _without_deletions, 22, id="deletions are not followed"),
        pytest.param(SUSPENSIONS, HnswEngine, "fence", _only_for_the_filled, 58, id="no fence in the log"),
        pytest.param(SELDOM, Rounds, "demand", _demanded_of_nobody, 70, id="no fence in the table"),
        pytest.param(CALM, Steps, "_has_caught_up", lambda *_: True, 1, id="the rest is not copied"),
        pytest.param(SUSPENSIONS, Turns, "_note", _whatever_is_noted, 58, id="who was overtaken goes on"),
        pytest.param(OUTAGES, Rounds, "begin", _only_for_the_opened, 0, id="no round is noted in the table"),
    ],
)
def test_the_simulator_notices_when(
    only: Weather, owner: Any, name: str, mistake: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``seed`` is one that is known to notice; others are tried in case that a change has moved it.

    The move itself does not look: it would notice some of these, and begin anew.
    """
    monkeypatch.setattr(steps, "verify", lambda *_, **__: True)
    monkeypatch.setattr(owner, name, mistake)
    _expect_notice(seed, only, far=False)


def _never(*_: object) -> bool:
    return False


def _at_once(self: Undoing, source: Collection) -> Collection | None:
    return target_of(self._catalogue, source)


def _known_at_once(engine: DynamoDbEngine, collection: Collection, *, fence: Any = DynamoDbEngine.fence) -> float:
    fence(engine, collection)
    return 0.0


def _without_waiting(self: Beginnings, source: Collection, *, make: Any = Beginnings.make) -> Collection:
    calm = dataclasses.replace(self._clock, sleep=lambda _seconds: None)
    with mock.patch.object(self, "_clock", calm):
        made: Collection = make(self, source)
    return made


@pytest.mark.parametrize(
    ("mistakes", "seed"),
    [
        pytest.param(
            [(pauses, "FAR_SECONDS", 0.0), (steps, "is_overdue", _never), (turns, "is_overdue", _never)],
            147,
            id="a pause is ended elsewhere at the moment of the switch",
        ),
        pytest.param([(Undoing, "_wait_for", _at_once)], 52, id="who undoes elsewhere deletes at once"),
        pytest.param([(undoing, "PAUSE_SECONDS", -1e9)], 177, id="while it is undone elsewhere others write there"),
        pytest.param(
            [(DynamoDbEngine, "fence", _known_at_once)], 15, id="a fence is taken to stand everywhere at once"
        ),
    ],
)
def test_the_simulator_notices_between_regions_when(
    mistakes: list[tuple[Any, str, Any]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above."""
    for owner, name, mistake in [(steps, "verify", lambda *_, **__: True), *mistakes]:
        monkeypatch.setattr(owner, name, mistake)
    _expect_notice(seed, CALM, far=True)


def test_it_notices_when_a_move_begins_though_another_region_may_have_begun_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Beginnings, "make", _without_waiting)
    _expect_notice(5, CALM, far=True, rival=True)


def test_it_notices_when_a_writer_elsewhere_is_told_that_the_new_collection_is_being_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pauses, "_is_at_home", lambda *_: True)
    _expect_notice(544, CALM, far=True)


def _told_once_begun(_self: Requests, _collection: Collection, known: Sequence[Any], _now: float) -> dict[str, int]:
    return {each.id: each.done.count for each in known}


def _whatever_stands_there(_row: StoredItem) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("only", "owner", "name", "mistake", "seed"),
    [
        pytest.param(OUTAGES, deletions, "unchanged", _whatever_stands_there, 2, id="rows go that match no more"),
        pytest.param(
            Weather(outages=0.2, crashes=0.003),
            Requests,
            "_counts",
            _told_once_begun,
            78,
            id="what was begun in parts is taken for carried out",
        ),
    ],
)
def test_the_simulator_notices_of_what_takes_several_transactions_when(
    only: Weather, owner: Any, name: str, mistake: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above."""
    monkeypatch.setattr(owner, name, mistake)
    _expect_notice(seed, only, far=False, varied=True)


def _expect_notice(seed: int, only: Weather, *, far: bool, rival: bool | None = None, varied: bool = False) -> None:
    for tried in (seed, *range(400)):
        if _notices(tried, only, far=far, rival=rival, varied=varied):
            return
    pytest.fail("400 rounds noticed nothing")


def _notices(seed: int, only: Weather, *, far: bool, rival: bool | None, varied: bool) -> bool:
    try:
        MoveRound(seed, only=dataclasses.replace(only), far=far, rival=rival, varied=varied).play()
    except (DivergenceError, StalledError):
        return True
    return False
