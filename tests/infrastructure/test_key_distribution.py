"""Who draws wrapping keys, who imports them, and that nobody else comes by one."""

import json

import pytest

from anfl.crypto.agent import LEASE_SECONDS
from anfl.resources import METRICS_NAMESPACE, PENDING_METRIC
from stacks.settings import load
from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.policies import statements
from tests.infrastructure.test_functions import actions, allowed

REGIONS = ("us-west-1", "us-east-1", "eu-west-1")
BOUND = {"StringEquals": {"kms:EncryptionContext:anfl-purpose": "wrapping-key"}}


def leader(assembly: Assembly) -> Template:
    (found,) = (stack for stack in assembly if stack.name.endswith("global-key-leader"))
    return found


def of_function(stack: Template) -> list[Properties]:
    (role,) = (name for name in stack.resources("AWS::IAM::Role") if name.startswith("FunctionRole"))
    return allowed(stack, role)


def with_the_wrapping_key(stack: Template) -> Properties:
    """All that it may do with it."""
    (found,) = (s for s in of_function(stack) if "WrappingKey" in json.dumps(s["Resource"]))
    return found


def test_who_draws_cannot_open_and_who_opens_cannot_draw(assembly: Assembly) -> None:
    for stacks, action in (
        ([leader(assembly)], "kms:GenerateDataKeyWithoutPlaintext"),
        (assembly.regional("key-agent").values(), "kms:Decrypt"),
    ):
        for stack in stacks:
            keyed = with_the_wrapping_key(stack)
            assert actions(keyed) == [action]
            assert keyed["Condition"] == BOUND
            assert "WrappingKey" in json.dumps(keyed["Resource"])


def test_no_other_identity_is_let_near_the_key_of_the_wrapping_keys(assembly: Assembly) -> None:
    """By its ARN; what names keys by wildcards holds itself to an alias or a service (`test_policies`)."""
    near = {
        (stack.name, found.actions)
        for stack in assembly
        for found in statements(stack)
        if found.type == "AWS::IAM::Policy" and any("WrappingKey" in resource for resource in found.resources)
    }
    agents = {(stack.name, ("kms:Decrypt",)) for stack in assembly.regional("key-agent").values()}
    assert near == {(leader(assembly).name, ("kms:GenerateDataKeyWithoutPlaintext",)), *agents}


def test_the_leader_stands_in_the_home_region_and_needs_no_network_and_no_vault(prod: Assembly) -> None:
    stack = leader(prod)
    assert prod.region_of(stack.name) == "us-east-1"
    function = stack.only("AWS::Lambda::Function")
    assert "VpcConfig" not in function
    assert function["Environment"]["Variables"].keys() == {
        "ANFL_ENVIRONMENT",
        "AUTH_TABLE",
        "ROTATION_SECONDS",
        "WRAPPING_KEY_ARN",
    }
    assert function["Environment"]["Variables"]["ROTATION_SECONDS"] == str(90 * 86_400)
    assert "anfl-prod-global-data" in prod.dependencies(stack.name)


@pytest.mark.parametrize("region", REGIONS)
def test_an_agent_stands_in_every_region_beside_its_vault(prod: Assembly, region: str) -> None:
    stack = prod[f"anfl-prod-{region}-key-agent"]
    function = stack.only("AWS::Lambda::Function")
    assert function["VpcConfig"]["SubnetIds"]
    variables = function["Environment"]["Variables"]
    assert variables["VAULT_ADDR"] == f"https://vault.{region}.lib.aeonova.com:8200"
    assert variables["TRANSIT_KEY_TYPE"] == "aes256-gcm96"
    assert "anfl-prod-global-data" in prod.dependencies(stack.name)
    assert "anfl-prod-global-key-leader" in prod.dependencies(stack.name), "so that a region can be the first one"
    assert f"anfl-prod-{region}-vault" in prod.dependencies(stack.name)


def test_a_region_imports_before_anything_there_seals_and_after_vault_lets_it_in(prod: Assembly) -> None:
    for stack in prod.regional("key-agent").values():
        (run,) = stack.resources("Custom::WrappingKey").values()
        assert "VaultRole" in run["DependsOn"]
        (function,) = stack.resources("AWS::Lambda::Function").values()
        assert any(name.startswith("FunctionRoleDefaultPolicy") for name in function["DependsOn"])


def test_a_run_that_waits_for_another_ones_lease_has_the_time(assembly: Assembly) -> None:
    for stack in assembly.regional("key-agent").values():
        assert stack.only("AWS::Lambda::Function")["Timeout"] > LEASE_SECONDS + 60


def test_without_a_vault_of_ours_its_schedule_alone_drives_an_agent(dev: Assembly) -> None:
    for stack in dev.regional("key-agent").values():
        assert not stack.resources("Custom::WrappingKey")


def test_both_are_called_every_few_minutes(assembly: Assembly) -> None:
    for stack in (leader(assembly), *assembly.regional("key-agent").values()):
        rule = stack.only("AWS::Events::Rule")
        assert rule["ScheduleExpression"] == "rate(5 minutes)"
        assert json.loads(rule["Targets"][0]["Input"]) == {"operation": "run"}


def test_who_is_on_call_hears_of_a_version_that_is_stuck_and_of_runs_that_fail(assembly: Assembly) -> None:
    for stack in (leader(assembly), *assembly.regional("key-agent").values()):
        alarms = {alarm["AlarmName"]: alarm for alarm in stack.properties("AWS::CloudWatch::Alarm")}
        for alarm in alarms.values():
            assert "alerts-warning" in json.dumps(alarm["AlarmActions"])
        (failing,) = (alarm for name, alarm in alarms.items() if name.endswith("_failing"))
        assert (failing["TreatMissingData"], failing["Threshold"]) == ("breaching", 1)
        assert failing["ComparisonOperator"] == "LessThanThreshold"
        function = stack.only("AWS::Lambda::Function")["FunctionName"]
        measured = [query["MetricStat"]["Metric"] for query in failing["Metrics"] if "MetricStat" in query]
        assert {metric["MetricName"] for metric in measured} == {"Invocations", "Errors"}
        assert all(metric["Dimensions"] == [{"Name": "FunctionName", "Value": function}] for metric in measured)
    (pending,) = (
        alarm
        for alarm in leader(assembly).properties("AWS::CloudWatch::Alarm")
        if alarm["AlarmName"].endswith("wrapping_key_pending")
    )
    assert (pending["ComparisonOperator"], pending["Threshold"]) == ("GreaterThanThreshold", 24)
    (metric,) = (query["MetricStat"]["Metric"] for query in pending["Metrics"] if "MetricStat" in query)
    assert (metric["Namespace"], metric["MetricName"]) == (METRICS_NAMESPACE, PENDING_METRIC)


def test_rotation_follows_the_architecture() -> None:
    assert load().encryption.at_rest.key_rotation.days == 90
