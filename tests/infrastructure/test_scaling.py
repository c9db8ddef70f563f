"""Scaling of the vector service."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_functions import actions, allowed

UP, DOWN = "scale-up", "scale-down"


def alarm(stack: Template, direction: str) -> Properties:
    """The alarm of one direction."""
    return stack.only("AWS::CloudWatch::Alarm", AlarmName=f"anfl-{stack.name.split('-')[1]}-vector-store-{direction}")


def policy(stack: Template, direction: str) -> Properties:
    """The one policy that this alarm sets off."""
    (action,) = alarm(stack, direction)["AlarmActions"]
    resource: dict[str, Any] = stack.resources("AWS::ApplicationAutoScaling::ScalingPolicy")[action["Ref"]]
    return dict(resource["Properties"])


def test_tasks_number_from_the_least_to_the_most_instances_of_their_cluster(prod: Assembly) -> None:
    for stack in prod.regional("service").values():
        target = stack.only("AWS::ApplicationAutoScaling::ScalableTarget")
        assert target["ResourceId"] == "service/anfl-prod-vector-processing/anfl-prod-vector-store"
        assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 10)
        service = stack.only("AWS::ECS::Service", ServiceName="anfl-prod-vector-store")
        assert service["Cluster"]["Ref"].startswith("VectorProcessing")
        (resource,) = stack.resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
        (needed,) = resource["DependsOn"]
        assert stack.resources("AWS::ECS::Service")[needed]["Properties"] == service


@pytest.mark.parametrize(
    ("direction", "comparison", "threshold", "tasks", "cooldown"),
    [
        (UP, "GreaterThanOrEqualToThreshold", 75, 1, 300),
        (DOWN, "LessThanOrEqualToThreshold", 25, -1, 600),
    ],
)
def test_each_direction_has_an_alarm_and_a_policy_of_its_own(
    assembly: Assembly, direction: str, comparison: str, threshold: int, tasks: int, cooldown: int
) -> None:
    for stack in assembly.regional("service").values():
        found = alarm(stack, direction)
        assert (found["ComparisonOperator"], found["Threshold"]) == (comparison, threshold)
        assert found["TreatMissingData"] == "notBreaching"
        configuration = policy(stack, direction)["StepScalingPolicyConfiguration"]
        assert policy(stack, direction)["PolicyType"] == "StepScaling"
        assert configuration["AdjustmentType"] == "ChangeInCapacity"
        assert configuration["Cooldown"] == cooldown
        bound = "MetricIntervalLowerBound" if tasks > 0 else "MetricIntervalUpperBound"
        assert configuration["StepAdjustments"] == [{"ScalingAdjustment": tasks, bound: 0}]


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_the_higher_of_processor_and_backlog_decides_and_an_idle_queue_counts_as_empty(
    assembly: Assembly, direction: str
) -> None:
    for stack in assembly.regional("service").values():
        environment = stack.name.split("-")[1]
        value, *operands = alarm(stack, direction)["Metrics"]
        assert value["Expression"] == "MAX([cpu, FILL(backlog_pct,0)])"
        assert value["ReturnData"] is True
        cpu, backlog = (operand["MetricStat"]["Metric"] for operand in operands)
        assert [operand["Id"] for operand in operands] == ["cpu", "backlog_pct"]
        assert all(operand["MetricStat"]["Period"] == 60 for operand in operands)
        assert (cpu["Namespace"], cpu["MetricName"]) == ("AWS/ECS", "CPUUtilization")
        assert (backlog["Namespace"], backlog["MetricName"]) == ("ANFL", "BacklogPercent")
        assert backlog["Dimensions"] == [{"Name": "ServiceName", "Value": f"anfl-{environment}-vector-store"}]


def test_the_service_may_count_its_own_tasks_and_publish_in_one_namespace(prod: Assembly) -> None:
    for stack in prod.regional("service").values():
        task = stack.only("AWS::ECS::TaskDefinition", Family="anfl-prod-vector-store")
        granted = {
            action: statement
            for statement in allowed(stack, task["TaskRoleArn"]["Fn::GetAtt"][0])
            for action in actions(statement)
        }
        assert granted["cloudwatch:PutMetricData"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "ANFL"}}
        where = json.dumps(granted["ecs:DescribeServices"]["Resource"])
        assert re.search(r":service/anfl-prod-vector-processing/anfl-prod-vector-store\b", where)
        container, _ = task["ContainerDefinitions"]
        told = {variable["Name"]: variable["Value"] for variable in container["Environment"]}
        assert told["ECS_CLUSTER"] == "anfl-prod-vector-processing"
        assert told["ECS_SERVICE"] == "anfl-prod-vector-store"
        assert told["JOBS_PER_TASK"] == "10"
