"""What realises ``alerts``."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from stacks.architecture import Alert, AlertName
from stacks.figures.alarms import measured, operands, show_actions
from stacks.figures.inspection import Inspection, Rules, begins, equals
from stacks.figures.templates import Resource, joined

_METRICS: Mapping[str, set[str]] = {
    AlertName.SERVICE_DOWN: {"AWS/ApplicationELB HealthyHostCount"},
    AlertName.HIGH_ERROR_RATE: {"AWS/ApiGateway 5XXError", "AWS/ApiGateway Count"},
    AlertName.HIGH_LATENCY: {"AWS/ApiGateway Latency"},
    AlertName.RESOURCE_USAGE: {"AWS/ECS CPUUtilization", "AWS/ECS MemoryUtilization"},
}
"""What CloudWatch's alarm of each name watches."""


def _alarms(look: Inspection) -> Iterator[Resource]:
    name = look.name(look.figure.member)
    return look.in_every_region("monitoring", "AWS::CloudWatch::Alarm", AlarmName=name)


def _alert(look: Inspection) -> Alert:
    return look.settings.alerts.alert(AlertName(look.figure.member))


@lru_cache
def _yaml(text: str) -> Any:  # noqa: ANN401 - any YAML
    """Read a document once: each figure asks the same ones."""
    return yaml.safe_load(text)


def _rules(look: Inspection) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """The same alert in each region's Prometheus."""
    for namespace in look.in_every_region("telemetry", "AWS::APS::RuleGroupsNamespace"):
        groups = _yaml(namespace.get("Data"))["groups"]
        found = [rule for group in groups for rule in group["rules"] if rule["alert"] == look.figure.member]
        if not found:
            look.miss(namespace.stack, f"rule {look.figure.member} of {namespace.id}")
        for rule in found:
            yield namespace, rule


def _name(look: Inspection) -> None:
    """Both alarms of that name: what they watch, how grave it is, and whom they tell."""
    severity = look.figure.path.split(".")[1].partition("[")[0]
    topic = look.name("alerts", severity)
    for alarm in _alarms(look):
        look.show(alarm, "AlarmName", equals(look.name(look.figure.member)))
        look.show(alarm, "AlarmDescription", begins(f"{severity}: "))
        metrics = sorted(set(measured(alarm)))
        look.note(alarm, "Metrics", ", ".join(metrics), agrees=metrics == sorted(_METRICS[look.figure.member]))
        told = [found.get("TopicName") for found in look.templates.targets(alarm, "AlarmActions")]
        show_actions(look, alarm, agrees=told == [topic])
    for namespace, rule in _rules(look):
        found = rule["labels"].get("severity")
        look.note(namespace, f"rule {rule['alert']}: severity", found, agrees=found == severity)
    for workspace in look.in_every_region("telemetry", "AWS::APS::Workspace"):
        topics = look.in_stack(workspace.stack, "AWS::SNS::Topic", TopicName=topic)
        receivers = _receivers(workspace, severity)
        agrees = receivers == [found.id for found in topics]
        look.note(workspace, f"AlertManagerDefinition: {severity}", ", ".join(receivers), agrees=agrees)


def _receivers(workspace: Resource, severity: str) -> list[str]:
    """Topics to which Alertmanager sends alerts of a severity, by their logical ids."""
    definition = workspace.get("AlertManagerDefinition")
    if definition is None:
        return []
    document = _yaml(_yaml(joined(definition))["alertmanager_config"])
    route = document["route"]
    chosen = [one["receiver"] for one in route["routes"] if one["match"] == {"severity": severity}]
    name = (chosen or [route["receiver"]])[0]
    return [
        config["topic_arn"]
        for receiver in document["receivers"]
        if receiver["name"] == name
        for config in receiver["sns_configs"]
    ]


def _threshold(look: Inspection) -> None:
    limit = _alert(look).threshold.value
    below = look.figure.member == AlertName.SERVICE_DOWN  # of the others too much is what is feared
    for alarm in _alarms(look):
        value = alarm.get("Threshold")
        look.note(alarm, "Threshold", value, agrees=value == limit)
        look.show(alarm, "ComparisonOperator", equals("LessThanThreshold" if below else "GreaterThanThreshold"))
    for namespace, rule in _rules(look):
        # The last comparison of the expression that is followed by a number alone.
        ((sign, found),) = re.findall(r"([<>]) ([0-9.]+)(?:$| and )", rule["expr"])
        agrees = float(found) == limit and sign == ("<" if below else ">")
        look.note(namespace, f"rule {rule['alert']}: threshold", f"{sign} {found}", agrees=agrees)


def _duration(look: Inspection) -> None:
    """Every period of the duration must be over the threshold."""
    seconds = _alert(look).duration.total_seconds()
    for alarm in _alarms(look):
        periods = {query["MetricStat"]["Period"] for query in operands(alarm)}
        for path in ("EvaluationPeriods", "DatapointsToAlarm"):
            count = alarm.get(path)
            look.note(
                alarm,
                f"{path} × Period",
                f"{count} × {', '.join(map(str, sorted(periods)))} s",
                agrees=len(periods) == 1 and isinstance(count, int) and count * min(periods) == seconds,
            )
    for namespace, rule in _rules(look):
        found = str(rule.get("for"))
        look.note(namespace, f"rule {rule['alert']}: for", found, agrees=found == f"{seconds // 60:g}m")


RULES: Rules = {
    f"alerts.{severity}[].{leaf}": rule
    for severity in ("critical", "warning")
    for leaf, rule in (("name", _name), ("threshold", _threshold), ("duration", _duration))
}
