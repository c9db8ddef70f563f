"""Step scaling: one measure, or several."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from aws_cdk import Stack
from aws_cdk import aws_ecs as ecs
from constructs.metrics import Metric
from constructs.step_scaling import Measure, Step, StepScaling

from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]
LOAD = Measure(metric=Metric(namespace="N", name="Load", statistic="Average"))
QUEUE = Measure(
    metric=Metric(namespace="N", name="Queue", statistic="Maximum", dimensions={"Q": "q"}), idle_when_missing=True
)


@pytest.mark.parametrize(
    ("measures", "expression"),
    [
        pytest.param({"load": LOAD}, "MAX([load])", marks=pytest.mark.defaults(of=StepScaling)),
        pytest.param(
            {"load": LOAD, "queue": QUEUE}, "MAX([load, FILL(queue,0)])", marks=pytest.mark.everything(of=StepScaling)
        ),
    ],
)
def test_steps_of_more_than_one_task_and_several_measures(
    inspect_construct: Inspect, measures: Mapping[str, Measure], expression: str
) -> None:
    template = inspect_construct(
        lambda stack: StepScaling(
            stack,
            "S",
            name="n",
            cluster_name="c",
            service=ecs.CfnService(stack, "Service", cluster="c"),
            service_name="s",
            min_tasks=2,
            max_tasks=9,
            measures=measures,
            up=Step(threshold=60, tasks=3, cooldown=timedelta(minutes=1)),
            down=Step(threshold=10, tasks=-2, cooldown=timedelta(minutes=2)),
        )
    )
    target = template.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == ("service/c/s", 2, 9)
    up = template.only("AWS::ApplicationAutoScaling::ScalingPolicy", PolicyName="n-scale-up")
    down = template.only("AWS::ApplicationAutoScaling::ScalingPolicy", PolicyName="n-scale-down")
    for policy, tasks, cooldown in ((up, 3, 60), (down, -2, 120)):
        configuration = policy["StepScalingPolicyConfiguration"]
        assert configuration["Cooldown"] == cooldown
        assert configuration["StepAdjustments"][0]["ScalingAdjustment"] == tasks
    for alarm in template.properties("AWS::CloudWatch::Alarm"):
        value, *operands = alarm["Metrics"]
        assert value["Expression"] == expression
        assert [operand["Id"] for operand in operands] == list(measures)
