"""What realises ``scaling``."""

import re
from collections.abc import Iterator, Sequence

from stacks.figures.alarms import expression, measured, operands, show_actions
from stacks.figures.inspection import Inspection, Rule, Rules, equals
from stacks.figures.templates import Resource

_POLICY = "StepScalingPolicyConfiguration"
_METRICS = {"cpu_utilization": "AWS/ECS CPUUtilization", "queue_depth": "ANFL BacklogPercent"}
"""The metric behind each word of the architecture."""


def _policies(look: Inspection, sign: int) -> Iterator[Resource]:
    """The policies of one direction, of whatever scales the tasks of the vector service."""
    service = f"service/{look.name('vector-processing')}/{look.name('vector-store')}"
    for target in look.in_every_region("service", "AWS::ApplicationAutoScaling::ScalableTarget", ResourceId=service):
        policies = look.templates.referring(target, "ScalingTargetId", "AWS::ApplicationAutoScaling::ScalingPolicy")
        found = [p for p in policies if sign * (p.get(f"{_POLICY}.StepAdjustments.0.ScalingAdjustment") or 0) > 0]
        if not found:
            look.miss(target.stack, f"AWS::ApplicationAutoScaling::ScalingPolicy of {target.id}")
        yield from found


def _alarms(look: Inspection, sign: int) -> Iterator[Resource]:
    """The alarms that set off those policies."""
    for policy in _policies(look, sign):
        found = look.templates.referring(policy, "AlarmActions", "AWS::CloudWatch::Alarm")
        if not found:
            look.miss(policy.stack, f"AWS::CloudWatch::Alarm of {policy.id}")
        yield from found


def _metrics(look: Inspection) -> None:
    """The higher of all metrics is what counts, in both directions."""
    wanted = [_METRICS[str(name)] for name in look.figure.value] if isinstance(look.figure.value, list) else []
    for sign in (1, -1):
        for alarm in _alarms(look, sign):
            names, made = measured(alarm), expression(alarm)
            agrees = names == wanted and _is_highest(made, of=[query["Id"] for query in operands(alarm)])
            look.note(alarm, "Metrics", f"{made} of {', '.join(names)}", agrees=agrees)
            show_actions(look, alarm, agrees=True)


def _is_highest(made: str, *, of: Sequence[str]) -> bool:
    """Whether an expression is the highest of these metrics, and of nothing else."""
    members = re.fullmatch(r"MAX\(\[(.*)\]\)", made)
    return members is not None and re.findall(r"\b[a-z_0-9]*[a-z_]\b", members[1]) == list(of)


def _threshold(sign: int) -> Rule:
    comparison = "GreaterThanOrEqualToThreshold" if sign > 0 else "LessThanOrEqualToThreshold"

    def rule(look: Inspection) -> None:
        thresholds = look.settings.scaling.vector_processing.thresholds
        wanted = thresholds.scale_up if sign > 0 else thresholds.scale_down
        for alarm in _alarms(look, sign):
            value = alarm.get("Threshold")
            look.note(alarm, "Threshold", value, agrees=value == wanted)
            look.show(alarm, "ComparisonOperator", equals(comparison))

    return rule


def _cooldown(sign: int) -> Rule:
    def rule(look: Inspection) -> None:
        cooldown = look.settings.scaling.vector_processing.cooldown
        wanted = cooldown.scale_up if sign > 0 else cooldown.scale_down
        for policy in _policies(look, sign):
            look.show(policy, f"{_POLICY}.Cooldown", equals(int(wanted.total_seconds())))

    return rule


RULES: Rules = {
    "scaling.vector_processing.metrics": _metrics,
    "scaling.vector_processing.thresholds.scale_up": _threshold(1),
    "scaling.vector_processing.thresholds.scale_down": _threshold(-1),
    "scaling.vector_processing.cooldown.scale_up": _cooldown(1),
    "scaling.vector_processing.cooldown.scale_down": _cooldown(-1),
}
