"""Whoever is woken finds what to do: each alarm and rule has its place in docs/monitoring_architecture.md."""

import re

from stacks.architecture import AlertName
from stacks.settings import ROOT, load
from tests.infrastructure.conftest import Assembly

PAGE = ROOT / "docs" / "monitoring_architecture.md"
NOBODY_IS_TOLD = re.compile(r"-scale-(up|down)$")


def runbooks() -> set[str]:
    """What the page has a section for."""
    titles = re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name for title in titles for name in title.split(", ")}


def test_every_alarm_that_rings_has_a_runbook(prod: Assembly) -> None:
    regions = "|".join(load().regions)
    names = {
        re.sub(rf"^anfl-prod-|-({regions})$", "", alarm["AlarmName"])
        for stack in prod
        for alarm in (r["Properties"] for r in stack.resources("AWS::CloudWatch::Alarm").values())
        if not NOBODY_IS_TOLD.search(alarm["AlarmName"])
    }
    assert len(names) >= 4
    assert names <= runbooks()


def test_every_rule_points_at_its_runbook(prod: Assembly) -> None:
    for stack in prod.regional("telemetry").values():
        for namespace in stack.properties("AWS::APS::RuleGroupsNamespace"):
            links = set(re.findall(r"runbook: docs/monitoring_architecture\.md#(\w+)", namespace["Data"]))
            assert links == {name.value for name in AlertName}
            assert links <= runbooks()
