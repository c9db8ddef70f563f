"""The functions' requests and answers, and rounds of all of them."""

import json
from typing import Any

import msgspec
import pytest

from anfl import custom_resource
from anfl.crypto.agent import patiently
from anfl.crypto.errors import BusyError
from anfl.crypto.operation import Operation, answer
from anfl.crypto.rounds import Rounds
from anfl.crypto.wrapping_versions import State
from anfl.resources import BEHIND_METRIC, PENDING_METRIC, Caretaker
from tests.unit.key_distribution.regions import HOME, REGIONS, ROTATION, World


def asked(world: World, event: dict[str, Any]) -> Any:
    def act(operation: Operation) -> State:
        if operation is Operation.STATUS:
            return world.state()
        return world.leader().rotate() if operation is Operation.ROTATE else world.leader().run()

    told = answer(event, environment="test", act=act, physical_id="wrapping-key")
    return json.loads(json.dumps(told))


def test_an_answer_tells_how_things_stand_and_no_key() -> None:
    world = World()
    world.agent(HOME).run()
    world.settle()
    told = asked(world, {"operation": "rotate"})

    assert told["active"] == 1
    assert told["pending"]["version"] == 2
    assert [one["version"] for one in told["versions"]] == [1, 2]
    assert [(one["region"], one["held"], one["problem"]) for one in told["regions"]] == [(HOME, 1, None)]
    for version in world.state().versions.values():
        assert repr(version.material) not in repr(told)


def test_looking_changes_nothing() -> None:
    world = World()
    assert asked(world, {"operation": "status"})["versions"] == []
    assert asked(world, {})["versions"], "a schedule asks for a run"


@pytest.mark.parametrize("event", [{"operation": "delete"}, {"operation": "run", "force": True}, {"rotate": 1}])
def test_what_there_is_not_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        asked(World(), event)


@pytest.mark.parametrize(("request_type", "versions"), [("Create", [1]), ("Update", [1]), ("Delete", [])])
def test_a_deployment_runs_it_and_the_end_of_a_stack_does_not(
    monkeypatch: pytest.MonkeyPatch, request_type: str, versions: list[int]
) -> None:
    world = World()
    told: list[str] = []

    def respond(event: Any, act: Any, *, physical_id: str) -> None:
        act(event)
        told.append(physical_id)

    monkeypatch.setattr(custom_resource, "answer", respond)

    assert asked(world, {"RequestType": request_type, "ResponseURL": "http://127.0.0.1:9"}) is None
    assert list(world.state().versions) == versions
    assert told == ["wrapping-key"]


def test_what_is_stuck_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    for region in (HOME, "eu-west-1"):
        world.agent(region).run()
    world.table.deliver_all()
    world.leader().run()
    world.agent(HOME).run()
    begun = world.state().versions[1].drawn_at
    asked(world, {"operation": "status"})
    line = json.loads(capsys.readouterr().out)

    assert line[BEHIND_METRIC] == 1
    assert line[PENDING_METRIC] > 0, begun
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Environment"]]


class Functions:
    """Those of a world, called by name."""

    def __init__(self, world: World, *, away: str | None = None) -> None:
        self.world = world
        self.away = away

    def __call__(self, region: str, function: Caretaker, event: dict[str, str]) -> dict[str, Any]:
        self.world.table.deliver_all()
        if function is Caretaker.KEY_AGENT:
            if region == self.away:
                raise ConnectionError("no way there")
            state = self.world.agent(region).run()
            self.world.table.deliver_all()
            return {"active": state.active}
        assert region == HOME
        told: dict[str, Any] = asked(self.world, event)
        return told


def test_a_round_brings_a_version_to_everybody() -> None:
    rounds = Rounds(Functions(World()), home=HOME, regions=REGIONS, pause=lambda _seconds: None)

    assert rounds.go()["active"] == 1
    assert rounds.go()["active"] == 1
    told = rounds.go(rotate=True)
    assert (told["active"], told["pending"]) == (2, None)
    assert rounds.status()["active"] == 2


def test_a_round_goes_on_where_a_region_is_away_and_tells_of_it() -> None:
    world = World()
    Rounds(Functions(world), home=HOME, regions=REGIONS, pause=lambda _seconds: None).go()
    heard: dict[str, Exception | None] = {}
    rounds = Rounds(Functions(world, away="us-west-1"), home=HOME, regions=REGIONS, pause=lambda _seconds: None)

    told = rounds.go(rotate=True, told=heard.__setitem__)

    assert (told["active"], told["pending"]["version"]) == (1, 2)
    assert {region for region, problem in heard.items() if problem} == {"us-west-1"}
    assert heard.keys() == set(REGIONS)
    world.pass_time(ROTATION)


def test_a_run_waits_for_the_lease_of_another_as_long_as_there_is_time() -> None:
    world = World()
    busy = [BusyError("one"), BusyError("two")]

    def run() -> State:
        if busy:
            raise busy.pop()
        return world.state()

    assert patiently(run, seconds=300, pause=lambda _seconds: None) == world.state()
    busy.append(BusyError("no time left"))
    with pytest.raises(BusyError):
        patiently(run, seconds=30, pause=lambda _seconds: None)
