"""The recovery workflow, run by an interpreter of Amazon States Language against an AWS that answers as it is told."""

import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk

from tests.infrastructure.conftest import Assembly
from tests.infrastructure.test_recovery import STEPS, definition

REGION = "us-east-1"
NOT_BEFORE = "2026-11-01T00:00:00Z"


class Aws:
    """Notes each call and answers it; what it answers can be changed by the name of the call."""

    def __init__(self) -> None:
        self.closed = False
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "list_recovery_points_by_backup_vault": lambda _: {
                "RecoveryPoints": [
                    {"Status": "EXPIRED", "RecoveryPointArn": "arn:1"},
                    {"Status": "COMPLETED", "RecoveryPointArn": "arn:2"},
                ]
            },
            "register_scalable_target": lambda _: {},
            "update_service": lambda _: {},
            "describe_services": lambda _: {"Services": [{"RunningCount": 6}]},
            "describe_table": lambda _: {"Table": {"TableStatus": "ACTIVE"}},
            "scan": lambda _: {"ScannedCount": 1},
            "list_objects_v2": lambda _: {"KeyCount": 1},
            "put_parameter": lambda _: {},
            "invoke": lambda _: {"StatusCode": 200, "Payload": io.BytesIO(b'{"deployed": true}')},
            "describe_alarms": lambda _: {"MetricAlarms": [{"StateValue": "ALARM"}]},
        }

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        """A call of any service's client."""

        def call(**parameters: Any) -> dict[str, Any]:
            if self.closed:
                raise AssertionError("called after the test")
            self.calls.append((name, parameters))
            return self.answers[name](parameters)

        return call

    def count(self, name: str) -> int:
        """How often a call was made."""
        return [called for called, _ in self.calls].count(name)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    fake = Aws()
    for module in (state_task_service_aws_sdk, lambda_eval_utils):
        monkeypatch.setattr(module, "boto_client_for", lambda *_, **__: fake)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        yield fake
        fake.closed = True


@pytest.fixture
def recover(prod: Assembly, aws: Aws) -> Callable[[], dict[str, Any]]:
    """Run the workflow that recovers us-west-1, without its pauses; what came of it."""
    assert aws.calls == []
    text = json.dumps(definition(prod[f"anfl-prod-{REGION}-recovery"]))
    text = text.replace('"Seconds": 30', '"Seconds": 0').replace('"MaxAttempts": 5', '"MaxAttempts": 0')

    def run() -> dict[str, Any]:
        client = boto3.client("stepfunctions", region_name=REGION)
        role = "arn:aws:iam::123456789012:role/r"
        machine = client.create_state_machine(name="recover", definition=text, roleArn=role)
        started = client.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps({"not_before": NOT_BEFORE})
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            outcome = dict(client.describe_execution(executionArn=started["executionArn"]))
            if outcome["status"] != "RUNNING":
                return outcome
            time.sleep(0.05)
        raise AssertionError("the workflow does not end")

    return run


def test_all_four_steps_are_done_in_their_order(recover: Callable[[], dict[str, Any]], aws: Aws) -> None:
    outcome = recover()
    assert outcome["status"] == "SUCCEEDED", outcome.get("cause")
    assert list(json.loads(outcome["output"])) == ["not_before", *STEPS]
    order = [
        {"list_recovery_points_by_backup_vault"},
        {"register_scalable_target", "update_service", "describe_services"},
        {"describe_table", "scan", "list_objects_v2"},
        {"put_parameter", "describe_alarms", "invoke"},
    ]
    steps = [next(i for i, names in enumerate(order) if name in names) for name, _ in aws.calls]
    assert steps == sorted(steps)
    assert {name for name, _ in aws.calls} == {name for names in order for name in names}
    (drained,) = (parameters for name, parameters in aws.calls if name == "put_parameter")
    assert (drained["Name"], drained["Value"]) == ("/anfl/prod/drained/us-west-1", "true")


def test_a_resource_without_a_recent_complete_backup_ends_it_before_anything_is_changed(
    recover: Callable[[], dict[str, Any]], aws: Aws
) -> None:
    whole = aws.answers["list_recovery_points_by_backup_vault"]

    def one_missing(parameters: dict[str, Any]) -> dict[str, Any]:
        assert parameters["ByCreatedAfter"] == NOT_BEFORE
        if "vectors" in parameters["ByResourceArn"]:
            return {"RecoveryPoints": [{"Status": "PARTIAL", "RecoveryPointArn": "arn:1"}]}
        return whole(parameters)

    aws.answers["list_recovery_points_by_backup_vault"] = one_missing
    outcome = recover()
    assert (outcome["status"], outcome["error"]) == ("FAILED", "BackupMissing")
    assert "vectors" in outcome["cause"]
    assert {name for name, _ in aws.calls} == {"list_recovery_points_by_backup_vault"}


def test_services_are_waited_for(recover: Callable[[], dict[str, Any]], aws: Aws) -> None:
    running = {"anfl-prod-vector-store": iter([3, 5, 6]), "anfl-prod-model-registry": iter([2, 4])}

    def growing(parameters: dict[str, Any]) -> dict[str, Any]:
        (name,) = parameters.get("services") or parameters["Services"]
        return {"Services": [{"RunningCount": next(running[name])}]}

    aws.answers["describe_services"] = growing
    assert recover()["status"] == "SUCCEEDED"
    assert aws.count("describe_services") == 5


def test_a_replica_that_does_not_serve_ends_it_before_dns_is_changed(
    recover: Callable[[], dict[str, Any]], aws: Aws
) -> None:
    aws.answers["describe_table"] = lambda _: {"Table": {"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}}
    outcome = recover()
    assert (outcome["status"], outcome["error"]) == ("FAILED", "ReplicaMissing")
    assert aws.count("put_parameter") == 0


def test_it_ends_when_the_alarm_that_dns_follows_has_gone_off(recover: Callable[[], dict[str, Any]], aws: Aws) -> None:
    states = iter(["INSUFFICIENT_DATA", "OK", "ALARM"])
    aws.answers["describe_alarms"] = lambda _: {"MetricAlarms": [{"StateValue": next(states)}]}
    assert recover()["status"] == "SUCCEEDED"
    assert aws.count("describe_alarms") == 3


def test_it_ends_when_every_edge_of_the_accelerator_leads_elsewhere(
    recover: Callable[[], dict[str, Any]], aws: Aws
) -> None:
    deployed = iter([b"false", b"false", b"true"])
    aws.answers["invoke"] = lambda _: {
        "StatusCode": 200,
        "Payload": io.BytesIO(b'{"deployed": %s}' % next(deployed)),
    }
    assert recover()["status"] == "SUCCEEDED"
    assert aws.count("invoke") == 3
    called = {(p["FunctionName"], json.loads(p["Payload"])["percentage"]) for name, p in aws.calls if name == "invoke"}
    assert called == {("anfl-prod-accelerator-dial", 0)}


def test_a_dial_that_cannot_be_turned_fails_the_step(recover: Callable[[], dict[str, Any]], aws: Aws) -> None:
    aws.answers["invoke"] = lambda _: {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "Payload": io.BytesIO(b'{"errorType": "NowhereElseError", "errorMessage": "no other region"}'),
    }
    outcome = recover()
    assert outcome["status"] == "FAILED"
    assert outcome["error"] == "NowhereElseError"
