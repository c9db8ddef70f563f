"""``monitoring/rules`` with the architecture's figures filled in: what a Prometheus workspace evaluates and sends."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from stacks.architecture import AlertName, Alerts, Severity
from stacks.settings import ROOT
from stacks.units import Region

RULES = ROOT / "monitoring" / "rules"


class RuleError(Exception):
    """A file of rules that does not fit the architecture's alerts."""


def rule_groups(alerts: Alerts, folder: Path = RULES) -> str:
    """The rule groups, as YAML: every alert of the architecture, and no other.

    :raises RuleError: the file lacks an alert or knows another one, or states a figure of its own.
    """
    document: dict[str, Any] = yaml.safe_load((folder / "alerts.yaml").read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    if {rule["alert"] for rule in rules} != {str(name) for name in AlertName}:
        raise RuleError(f"alerts.yaml must have a rule for each of: {', '.join(AlertName)}; and no other")
    for rule in rules:
        _fill(rule, alerts)
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _fill(rule: dict[str, Any], alerts: Alerts) -> None:
    alert = alerts.alert(AlertName(rule["alert"]))
    if "for" in rule or "${threshold}" not in rule["expr"]:
        raise RuleError(f"alerts.yaml: {rule['alert']}: threshold and duration come from architecture.yaml")
    rule["expr"] = Template(rule["expr"]).substitute(threshold=f"{alert.threshold.value:g}")
    rule["for"] = f"{int(alert.duration.total_seconds()) // 60}m"
    rule["labels"] = {**rule.get("labels", {}), "severity": str(alerts.severity(alert.name))}
    rule["annotations"] |= {"runbook": f"docs/monitoring_architecture.md#{alert.name}"}


def alert_manager(region: Region, topics: Mapping[Severity, str], folder: Path = RULES) -> str:
    """Alertmanager's definition: the topics of ``region`` by severity.

    :raises RuleError: the file names something that nobody fills in.
    """
    text = (folder / "alertmanager.yaml").read_text(encoding="utf-8")
    values = {f"{severity}_topic": arn for severity, arn in topics.items()}
    try:
        return Template(text).substitute(region=region, **values)
    except KeyError as error:
        raise RuleError(f"alertmanager.yaml: nothing fills in ${{{error.args[0]}}}") from error
