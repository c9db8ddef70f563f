"""Copies and trials of backups, workflows and their states: the least, and everything."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest
from aws_cdk import Stack
from aws_cdk import aws_logs as logs
from constructs.backup_plan import BackupPlan
from constructs.restore_test import RestoreTest
from constructs.statements import Statement
from constructs.states import call, invoke, require, sequence, together, until
from constructs.workflow import Workflow

from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]


@pytest.mark.everything(of=BackupPlan)
def test_a_backup_plan_with_copies_that_are_kept_as_long(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: BackupPlan(
            stack,
            "P",
            name="p",
            vault_name="v",
            role_arn="arn:role",
            frequency="daily",
            retention=timedelta(days=3),
            resource_arns=["arn:one"],
            copy_to="arn:vault",
            hour=7,
        )
    )
    (rule,) = template.only("AWS::Backup::BackupPlan")["BackupPlan"]["BackupPlanRule"]
    assert rule["ScheduleExpression"] == "cron(0 7 * * ? *)"
    assert rule["Lifecycle"] == {"DeleteAfterDays": 3}
    assert rule["CopyActions"] == [{"DestinationBackupVaultArn": "arn:vault", "Lifecycle": {"DeleteAfterDays": 3}}]


def _restores(stack: Stack, resource_arns: Mapping[str, Sequence[str]]) -> RestoreTest:
    return RestoreTest(
        stack,
        "R",
        name="a-name",
        vault_arn="arn:vault",
        role_arn="arn:role",
        schedule="cron(0 1 * * ? *)",
        selection_days=2,
        keep_hours=5,
        resource_arns=resource_arns,
    )


@pytest.mark.defaults(of=RestoreTest)
def test_a_restore_test_tries_the_newest_backup_of_one_vault(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: _restores(stack, {"S3": ["arn:b"]}))
    assert template.only("AWS::Backup::RestoreTestingPlan")["RecoveryPointSelection"] == {
        "Algorithm": "LATEST_WITHIN_WINDOW",
        "IncludeVaults": ["arn:vault"],
        "RecoveryPointTypes": ["SNAPSHOT"],
        "SelectionWindowDays": 2,
    }
    assert template.only("AWS::Backup::RestoreTestingSelection")["ProtectedResourceArns"] == ["arn:b"]


@pytest.mark.everything(of=RestoreTest)
def test_a_restore_test_of_two_kinds(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: _restores(stack, {"S3": ["arn:b"], "DynamoDB": ["arn:t", "arn:u"]}))
    plan = template.only("AWS::Backup::RestoreTestingPlan")
    assert plan["RestoreTestingPlanName"] == "a_name"
    assert plan["ScheduleExpression"] == "cron(0 1 * * ? *)"
    selections = template.resources("AWS::Backup::RestoreTestingSelection")
    assert {s["Properties"]["ProtectedResourceType"] for s in selections.values()} == {"S3", "DynamoDB"}
    for selection in selections.values():
        assert selection["DependsOn"], "it names its plan by text"
        assert selection["Properties"]["ValidationWindowHours"] == 5


@pytest.mark.defaults(of=Workflow)
def test_a_workflow_that_calls_nothing_may_log_and_trace_alone(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: Workflow(
            stack,
            "W",
            name="w",
            definition=sequence({"end": {"Type": "Succeed"}}),
            statements=[],
            log_group=logs.LogGroup(stack, "Logs"),
        )
    )
    statements = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert {statement["Sid"] for statement in statements} == {"DeliverLogs", "Trace"}
    (machine,) = template.resources("AWS::StepFunctions::StateMachine").values()
    assert any("Policy" in name for name in machine["DependsOn"]), "AWS checks the rights when it makes the machine"


@pytest.mark.everything(of=Workflow)
def test_a_workflow_logs_without_data_and_may_do_what_it_is_granted(inspect_construct: Inspect) -> None:
    machine = sequence({"end": {"Type": "Succeed"}})
    template = inspect_construct(
        lambda stack: Workflow(
            stack,
            "W",
            name="w",
            definition=machine,
            statements=[Statement(sid="Own", actions=["s3:ListBucket"], resources=["arn:aws:s3:::b"])],
            log_group=logs.LogGroup(stack, "Logs"),
            role_name="r",
        )
    )
    assert template.only("AWS::IAM::Role")["RoleName"] == "r"
    found = template.only("AWS::StepFunctions::StateMachine")
    assert json.loads(found["DefinitionString"]) == machine
    assert found["LoggingConfiguration"]["Level"] == "ALL"
    assert found["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert found["TracingConfiguration"] == {"Enabled": True}
    statements = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert {statement["Sid"] for statement in statements} == {"DeliverLogs", "Trace", "Own"}


def test_a_sequence_links_what_links_itself_to_nothing() -> None:
    one, two = call("s3", "listBuckets", {}), call("s3", "headBucket", {"Bucket": "b"}, select={"a.$": "$.A"})
    assert one["ResultSelector"] == {}
    assert two["ResultSelector"] == {"a.$": "$.A"}
    machine = sequence(
        {"one": one, "two": {**two, "Next": "one"}, "three": together([sequence({"x": one})], keep="$.k")}
    )
    states = machine["States"]
    assert machine["StartAt"] == "one"
    assert (states["one"]["Next"], states["two"]["Next"], states["three"]["End"]) == ("two", "one", True)
    assert states["three"]["Branches"][0]["States"]["x"]["End"] is True


def test_conditions_go_on_fail_or_wait() -> None:
    condition = {"Variable": "$.a", "IsPresent": True}
    states = sequence(require(condition, then="good", error="E", cause="c"))["States"]
    assert states["is good"]["Choices"] == [{**condition, "Next": "good"}]
    assert states[states["is good"]["Default"]] == {"Type": "Fail", "Error": "E", "Cause": "c"}
    assert states["good"] == {"Type": "Succeed"}
    more = sequence(require(condition, then="good", error="E", cause="c", state=call("s3", "listBuckets", {})))[
        "States"
    ]
    assert more["good"]["End"] is True
    loop = sequence(until(condition, call("s3", "listBuckets", {}), then="done", seconds=9))["States"]
    wait = loop[loop["is done"]["Default"]]
    assert (wait["Type"], wait["Seconds"]) == ("Wait", 9)
    assert loop[wait["Next"]]["Next"] == "is done"


def test_a_function_is_called_by_its_name_and_its_answer_kept() -> None:
    state = invoke("a-function", {"percentage": 0}, keep="$.dial")
    assert state["Resource"] == "arn:aws:states:::lambda:invoke"
    assert state["Parameters"] == {"FunctionName": "a-function", "Payload": {"percentage": 0}}
    assert (state["ResultPath"], state["ResultSelector"]) == ("$.dial", {"answer.$": "$.Payload"})
    assert state["Retry"] == call("s3", "x", {})["Retry"]
