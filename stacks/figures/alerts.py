"""What realises ``alerts``."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from stacks.architecture import Alert, AlertName
from stacks.figures.inspection import Inspection, Rules, begins, equals
from stacks.figures.templates import Resource


def _alarms(look: Inspection) -> Iterator[Resource]:
    name = look.name(look.figure.member)
    return look.in_every_region("monitoring", "AWS::CloudWatch::Alarm", AlarmName=name)


def _alert(look: Inspection) -> Alert:
    return look.settings.alerts.alert(AlertName(look.figure.member))


def _rules(look: Inspection) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """The same alert in each region's Prometheus."""
    for namespace in look.in_every_region("telemetry", "AWS::APS::RuleGroupsNamespace"):
        groups = yaml.safe_load(namespace.get("Data"))["groups"]
        found = [rule for group in groups for rule in group["rules"] if rule["alert"] == look.figure.member]
        if not found:
            look.miss(namespace.stack, f"rule {look.figure.member} of {namespace.id}")
        for rule in found:
            yield namespace, rule


def _name(look: Inspection) -> None:
    severity = look.figure.path.split(".")[1].partition("[")[0]
    for alarm in _alarms(look):
        look.show(alarm, "AlarmName", equals(look.name(look.figure.member)))
        look.show(alarm, "AlarmDescription", begins(f"{severity}: "))
    for namespace, rule in _rules(look):
        found = rule["labels"].get("severity")
        look.note(namespace, f"rule {rule['alert']}: severity", found, agrees=found == severity)


def _threshold(look: Inspection) -> None:
    limit = _alert(look).threshold.value
    for alarm in _alarms(look):
        value = alarm.get("Threshold")
        look.note(alarm, "Threshold", value, agrees=value == limit)
    for namespace, rule in _rules(look):
        # The last comparison of the expression that is followed by a number alone.
        (found,) = re.findall(r"[<>] ([0-9.]+)(?:$| and )", rule["expr"])
        look.note(namespace, f"rule {rule['alert']}: threshold", found, agrees=float(found) == limit)


def _duration(look: Inspection) -> None:
    """Every period of the duration must be over the threshold."""
    seconds = _alert(look).duration.total_seconds()
    for alarm in _alarms(look):
        periods = {metric["MetricStat"]["Period"] for metric in alarm.get("Metrics") if "MetricStat" in metric}
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
