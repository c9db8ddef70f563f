"""Rules of Prometheus: figures come from the architecture alone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stacks.alert_rules import RULES, RuleError, alert_manager, rule_groups
from stacks.architecture import Severity
from stacks.settings import load
from stacks.units import Region

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """A copy of the rules with one text replaced by another."""

    def replace(file: str, old: str, new: str) -> Path:
        folder = tmp_path / "rules"
        shutil.copytree(RULES, folder)
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
        return folder

    return replace


def test_another_figure_in_the_architecture_changes_the_rule(tmp_path: Path) -> None:
    from stacks.settings import ROOT

    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    text = (ROOT / "architecture.yaml").read_text()
    old = "{name: high_latency,    threshold: 1s,  duration: 10m}"
    assert old in text
    (tmp_path / "architecture.yaml").write_text(text.replace(old, "{name: high_latency, threshold: 3s, duration: 20m}"))
    rules = yaml.safe_load(rule_groups(load("prod", root=tmp_path).alerts))["groups"][0]["rules"]
    (rule,) = (rule for rule in rules if rule["alert"] == "high_latency")
    assert rule["expr"].endswith("> 3")
    assert rule["for"] == "20m"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("alert: high_latency", "alert: high_lateness", "must have a rule for each of"),
        (
            "anfl_memory_limit_bytes) > ${threshold}",
            "anfl_memory_limit_bytes) > 80",
            "resource_usage: threshold and duration come from",
        ),
        ("alert: resource_usage", "alert: resource_usage\n        for: 1m", "threshold and duration come from"),
    ],
)
def test_a_file_with_figures_or_alerts_of_its_own_is_refused(edit: Edit, old: str, new: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        rule_groups(load("prod").alerts, edit("alerts.yaml", old, new))


def test_what_nobody_fills_in_is_refused(edit: Edit) -> None:
    folder = edit("alertmanager.yaml", "${warning_topic}", "${pager}")
    with pytest.raises(RuleError, match=r"nothing fills in \$\{pager\}"):
        alert_manager(Region.US_EAST_1, dict.fromkeys(Severity, "arn"), folder)
