"""The accelerator's dial: a region is taken away and brought back, and never the last one."""

import json
from typing import Any

import boto3
import msgspec
import pytest
from botocore.stub import ANY, Stubber

from anfl import aws
from anfl.accelerator import API_REGION, Dial, NowhereElseError, Settings, build_dial
from tests.unit.caretakers.test_handlers import handler_of

ACCELERATOR = "arn:aws:globalaccelerator::123456789012:accelerator/a"
LISTENER = f"{ACCELERATOR}/listener/l"
SETTINGS = Settings(region="us-west-1", accelerator=ACCELERATOR, listener=LISTENER)


class Accelerator:
    """Endpoint groups by region, two a page, and whether the edges know."""

    def __init__(self, **dials: float | None) -> None:
        self.dials = {name.replace("_", "-"): dial for name, dial in dials.items()}
        self.status = "DEPLOYED"
        self.updates: list[tuple[str, float]] = []

    def list_endpoint_groups(self, **parameters: Any) -> Any:
        assert parameters["ListenerArn"] == LISTENER
        start = int(parameters.get("NextToken", 0))
        groups = [
            {
                "EndpointGroupArn": f"{LISTENER}/endpoint-group/{region}",
                "EndpointGroupRegion": region,
                **({} if dial is None else {"TrafficDialPercentage": dial}),
            }
            for region, dial in self.dials.items()
        ]
        following = {"NextToken": str(start + 2)} if start + 2 < len(groups) else {}
        return {"EndpointGroups": groups[start : start + 2], **following}

    def update_endpoint_group(self, *, EndpointGroupArn: str, TrafficDialPercentage: float) -> Any:  # noqa: N803
        region = EndpointGroupArn.rsplit("/", 1)[1]
        self.updates.append((region, TrafficDialPercentage))
        self.dials[region] = TrafficDialPercentage
        self.status = "IN_PROGRESS"

    def describe_accelerator(self, *, AcceleratorArn: str) -> Any:  # noqa: N803
        assert AcceleratorArn == ACCELERATOR
        return {"Accelerator": {"Status": self.status}}


def test_a_region_is_drained_once_however_often_it_is_asked_for() -> None:
    accelerator = Accelerator(eu_west_1=100, us_east_1=100, us_west_1=100)
    dial = Dial(SETTINGS, accelerator)
    first = dial.turn(0)
    assert (first.registered, first.percentage, first.deployed) == (True, 0, False)
    accelerator.status = "DEPLOYED"
    assert dial.turn(0).deployed
    assert accelerator.updates == [("us-west-1", 0)]


def test_a_region_is_brought_back() -> None:
    accelerator = Accelerator(eu_west_1=100, us_east_1=100, us_west_1=0)
    Dial(SETTINGS, accelerator).turn(100)
    assert accelerator.dials["us-west-1"] == 100


def test_a_dial_that_nobody_ever_turned_stands_at_all() -> None:
    accelerator = Accelerator(us_west_1=None, us_east_1=None)
    assert Dial(SETTINGS, accelerator).turn(100).percentage == 100
    assert accelerator.updates == []


@pytest.mark.parametrize("others", [{}, {"us_east_1": 0, "eu_west_1": 0}])
def test_the_last_region_that_takes_traffic_is_not_drained(others: dict[str, float]) -> None:
    accelerator = Accelerator(us_west_1=100, **others)
    with pytest.raises(NowhereElseError, match="us-west-1 cannot be drained"):
        Dial(SETTINGS, accelerator).turn(0)
    assert accelerator.updates == []


def test_a_region_that_is_not_behind_the_accelerator_needs_no_draining() -> None:
    turned = Dial(SETTINGS, Accelerator(us_east_1=100)).turn(0)
    assert (turned.registered, turned.percentage, turned.deployed) == (False, None, True)


def test_calls_are_those_of_the_api_and_leave_endpoints_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against botocore's model of the service; the client that a workflow's region gets is one of us-west-2."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_REGION", "eu-west-1"),
        ("WATCHED_REGION", "us-west-1"),
        ("ACCELERATOR_ARN", ACCELERATOR),
        ("LISTENER_ARN", LISTENER),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("globalaccelerator", region_name=API_REGION)
    groups = [
        {"EndpointGroupArn": f"{LISTENER}/endpoint-group/{region}", "EndpointGroupRegion": region}
        for region in ("us-west-1", "us-east-1")
    ]
    asked: list[str] = []

    class Session:
        def client(self, name: str, *, region_name: str, **_: Any) -> Any:
            asked.append(f"{name} in {region_name}")
            return client

    monkeypatch.setattr(aws, "session", Session)
    with Stubber(client) as stubber:
        stubber.add_response(
            "list_endpoint_groups", {"EndpointGroups": groups}, {"ListenerArn": LISTENER, "MaxResults": ANY}
        )
        stubber.add_response(
            "update_endpoint_group",
            {"EndpointGroup": groups[0]},
            {"EndpointGroupArn": groups[0]["EndpointGroupArn"], "TrafficDialPercentage": 0.0},
        )
        stubber.add_response(
            "describe_accelerator", {"Accelerator": {"Status": "IN_PROGRESS"}}, {"AcceleratorArn": ACCELERATOR}
        )
        answer = handler_of("accelerator_dial").handler({"percentage": 0}, None)
        stubber.assert_no_pending_responses()
    assert json.loads(json.dumps(answer)) == {
        "region": "us-west-1",
        "registered": True,
        "percentage": 0.0,
        "deployed": False,
    }
    assert asked == ["globalaccelerator in us-west-2"]


@pytest.mark.parametrize("event", [{}, {"percentage": -1}, {"percentage": 101}, {"percentage": 0, "region": "x"}])
def test_what_is_no_request_is_refused_before_anything_is_asked(event: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        handler_of("accelerator_dial").handler(event, None)


def test_a_dial_is_built_without_asking_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    aws.session.cache_clear()
    assert isinstance(build_dial(SETTINGS), Dial)
    aws.session.cache_clear()
