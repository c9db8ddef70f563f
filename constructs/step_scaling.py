"""Scaling of an ECS service, a task at a time, by the higher of several measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from constructs import Construct
from constructs.metrics import Metric, result

_PERIODS = 3
"""Minutes in a row beyond a threshold: one is noise, and the cooldown bounds the pace afterwards."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric in percent, and what counts where it is missing."""

    metric: Metric
    idle_when_missing: bool = False
    """A missing value is 0, such as that of a queue at rest; else there is no verdict without it."""

    def term(self, key: str) -> str:
        """Its place in an expression."""
        return f"FILL({key},0)" if self.idle_when_missing else key


@dataclass(frozen=True, kw_only=True)
class Step:
    """One direction: at which percentage, by how many tasks, and the pause after it."""

    threshold: float
    tasks: int
    """Negative: taken away, at or below the threshold; else added, at or above it."""
    cooldown: timedelta


class StepScaling(Construct):
    """One alarm with one policy for each direction: a policy has a single cooldown.

    Metric math is the only way to look at several metrics: scaling takes no composite alarms.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        cluster_name: str,
        service: ecs.CfnService,
        service_name: str,
        min_tasks: int,
        max_tasks: int,
        measures: Mapping[str, Measure],
        up: Step,
        down: Step,
    ) -> None:
        """:param name: of alarms and policies. :param measures: by the names that they have in expressions."""
        super().__init__(scope, id)
        self._name = name
        self._measures = measures
        self.target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=f"service/{cluster_name}/{service_name}",
            min_capacity=min_tasks,
            max_capacity=max_tasks,
        )
        self.target.add_resource_dependency(service)
        self.up = self._direction("Up", up)
        self.down = self._direction("Down", down)

    def _direction(self, label: str, step: Step) -> cloudwatch.CfnAlarm:
        grows = step.tasks > 0
        name = f"{self._name}-scale-{label.lower()}"
        policy = scaling.CfnScalingPolicy
        # The bounds of the one step count from the alarm's threshold: all that lies beyond it.
        adjustment = policy.StepAdjustmentProperty(
            scaling_adjustment=step.tasks,
            metric_interval_lower_bound=0 if grows else None,
            metric_interval_upper_bound=None if grows else 0,
        )
        made = policy(
            self,
            f"{label}Policy",
            policy_name=name,
            policy_type="StepScaling",
            scaling_target_id=self.target.ref,
            step_scaling_policy_configuration=policy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                cooldown=int(step.cooldown.total_seconds()),
                metric_aggregation_type="Average",
                step_adjustments=[adjustment],
            ),
        )
        terms = ", ".join(measure.term(key) for key, measure in self._measures.items())
        return cloudwatch.CfnAlarm(
            self,
            f"{label}Alarm",
            alarm_name=name,
            alarm_description=f"{'adds' if grows else 'takes away'} tasks; nobody needs to be told",
            metrics=[
                result("utilization", f"MAX([{terms}])"),
                *(measure.metric.query(key) for key, measure in self._measures.items()),
            ],
            comparison_operator=("GreaterThan" if grows else "LessThan") + "OrEqualToThreshold",
            threshold=step.threshold,
            evaluation_periods=_PERIODS,
            datapoints_to_alarm=_PERIODS,
            treat_missing_data="notBreaching",
            alarm_actions=[made.ref],
        )
