"""What every alarm says for itself, whatever it watches."""

from collections.abc import Mapping
from typing import Any

from stacks.figures.inspection import Inspection
from stacks.figures.templates import Resource


def show_actions(look: Inspection, alarm: Resource, *, agrees: bool) -> None:
    """What the alarm sets off, and that it does so at all."""
    actions = alarm.get("AlarmActions")
    look.note(alarm, "AlarmActions", actions, agrees=bool(actions) and agrees)
    look.show(alarm, "ActionsEnabled", lambda value: value in (None, True))


def measured(alarm: Resource) -> list[str]:
    """Namespace and name of each metric of a metric-math alarm, in its order."""
    metrics = [query["MetricStat"]["Metric"] for query in operands(alarm)]
    return [f"{metric['Namespace']} {metric['MetricName']}" for metric in metrics]


def operands(alarm: Resource) -> list[Mapping[str, Any]]:
    """The queries of a metric-math alarm that read a metric."""
    return [query for query in alarm.get("Metrics") or [] if "MetricStat" in query]


def expression(alarm: Resource) -> str:
    """What the alarm compares with its threshold: the one of its queries that is for that."""
    returned = [query for query in alarm.get("Metrics") or [] if query.get("ReturnData", True)]
    return ", ".join(str(query.get("Expression", query["Id"])) for query in returned)
