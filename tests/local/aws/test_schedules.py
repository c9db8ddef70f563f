"""Rules call functions as often as their rates say. A minute of a schedule lasts half a second here."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.aws.conftest import Aws

Eventually = Callable[[Callable[[], object]], None]
INPUT = {"Records": [{"body": json.dumps({"run": "given", "id": "a"}), "attributes": {"ApproximateReceiveCount": "1"}}]}


def _rule(function: str, rate: str, **properties: Any) -> dict[str, Any]:
    arn = f"arn:aws:lambda:us-west-1:123456789012:function:{function}"
    target = {"Id": "probe", "Arn": arn} | properties.pop("target", {})
    return {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": rate, "Targets": [target], **properties}}


@pytest.fixture
def rules(aws: Aws, function: str) -> Iterator[Aws]:
    """Four rules: with an event of its own, with EventBridge's, of an hour, and one that is switched off."""
    aws.create(
        "rules",
        {
            "Given": _rule(function, "rate(1 minute)", target={"Input": json.dumps(INPUT)}),
            "Plain": _rule(function, "rate(2 minutes)", Name="plain"),
            "Hourly": _rule(function, "rate(1 hour)", Name="hourly"),
            "Off": _rule(function, "rate(1 minute)", Name="off", State="DISABLED"),
        },
    )
    yield aws
    aws.client("cloudformation").delete_stack(StackName="rules")


def test_functions_are_called_again_and_again_until_the_rule_is_gone(rules: Aws, eventually: Eventually) -> None:
    eventually(lambda: rules.noted("given") == {"a#1"})
    eventually(lambda: len(rules.noted("plain")) >= 3)
    assert not rules.noted("hourly")
    assert not rules.noted("off")
    rules.client("cloudformation").delete_stack(StackName="rules")
    rules.client("events").put_rule(Name="after", ScheduleExpression="rate(1 minute)")
    arn = "arn:aws:lambda:us-west-1:123456789012:function:probe"
    rules.client("events").put_targets(Rule="after", Targets=[{"Id": "probe", "Arn": arn}])
    eventually(lambda: rules.noted("after"))
    known = rules.noted("plain")
    count = len(rules.noted("after"))
    eventually(lambda: len(rules.noted("after")) > count + 4)
    assert rules.noted("plain") == known
    rules.client("events").remove_targets(Rule="after", Ids=["probe"])
    rules.client("events").delete_rule(Name="after")
