"""Rules ask for what services really show, and Prometheus itself finds that they ring when they should."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from anfl.auth.principal import Principal
from anfl.http.service import build, json_response
from anfl.problems import Problem
from stacks.alert_rules import rule_groups
from stacks.settings import ROOT, load

COLLECTOR = yaml.safe_load((ROOT / "monitoring" / "collector.yaml").read_text())
OF_THE_TARGET = {"job", "instance"}
"""Labels that every series has."""
OF_AN_ALERT = {"alertname", "severity", "service", "resource"}
_WORDS = {"sum", "avg", "count", "rate", "by", "on", "and", "or", "vector", "last_over_time", "histogram_quantile"}


def expressions() -> list[str]:
    groups = yaml.safe_load(rule_groups(load("prod").alerts))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def shown() -> dict[str, set[str]]:
    """Labels of each series in the workspace: a service's own, and what its collector adds."""

    class Nobody:
        def cached(self, token: str) -> Principal | None:  # noqa: ARG002
            return None

        def verify(self, token: str) -> Principal:
            raise Problem(401, "token_invalid", token)

    async def ask() -> str:
        async def live(_request: object) -> Any:
            return json_response({})

        service = build({}, public={("GET", "/v1/openapi.json"): live}, verifier=Nobody(), max_body=1)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://s") as client:
            await client.get("/v1/openapi.json")
            return (await client.get("/metrics")).text

    (scrape,) = COLLECTOR["receivers"]["prometheus"]["config"]["scrape_configs"]
    added = OF_THE_TARGET | {label for target in scrape["static_configs"] for label in target["labels"]}
    found: dict[str, set[str]] = {"up": set(added)}
    for family in text_string_to_metric_families(asyncio.run(ask())):
        for sample in family.samples:
            found.setdefault(sample.name, set(added)).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_of_a_rule_is_one_that_services_show(
    expression: str, shown: dict[str, set[str]]
) -> None:
    bare = re.sub(r"\b(by|on) \([^)]*\)|\{[^}]*\}|\[[^]]*\]", " ", expression)
    names = set(re.findall(r"\b[a-z_]{2,}\b", bare)) - _WORDS
    assert names
    assert names <= shown.keys()
    labels = {label for part in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)\s*=", part)}
    labels |= {label for part in re.findall(r"\bby \(([^)]*)\)", expression) for label in part.split(", ")}
    for name in names:
        assert labels <= shown[name]


def test_a_collector_asks_under_the_name_by_which_rules_know_a_service() -> None:
    (scrape,) = COLLECTOR["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert scrape["job_name"] == scrape["static_configs"][0]["labels"]["service"] == "${service}"
    jobs = {job for expression in expressions() for job in re.findall(r'job="([^"]+)"', expression)}
    assert jobs == {"vector-store", "model-registry"}


def test_tasks_are_told_apart_though_each_is_asked_at_its_own_loopback() -> None:
    pipeline = COLLECTOR["service"]["pipelines"]["metrics"]["processors"]
    assert pipeline.index("resourcedetection") < pipeline.index("resource")
    assert COLLECTOR["processors"]["resource"]["attributes"] == [
        {"key": "service.instance.id", "from_attribute": "aws.ecs.task.arn", "action": "upsert"}
    ]


def test_the_collector_uses_what_it_declares_and_declares_what_it_uses() -> None:
    pipelines = COLLECTOR["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert COLLECTOR[kind].keys() == {name for pipeline in pipelines for name in pipeline[kind]}
    assert set(COLLECTOR["extensions"]) == set(COLLECTOR["service"]["extensions"])


TASK = 'service="vector-store",job="vector-store",instance="a"'
OTHER = 'service="vector-store",job="vector-store",instance="b"'
REQUESTS = "anfl_requests_total{" + TASK + ',route="/v1/collections",method="GET",status='
SECONDS = "anfl_request_seconds_bucket{" + TASK + ',route="/v1/collections",method="GET",le='


def _case(name: str, minutes: int, series: dict[str, str], **labels: str) -> Any:
    return pytest.param(name, minutes, series, {"service": "vector-store", **labels}, id=f"{name}-{minutes}")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is not installed")
@pytest.mark.parametrize(
    ("name", "minutes", "series", "labels"),
    [
        _case("service_down", 5, {f"up{{{TASK}}}": "1x20 0x20"}, severity="critical"),
        _case("service_down", 5, {f"up{{{TASK}}}": "1x20 stale"}, severity="critical"),
        _case(
            "high_error_rate",
            15,
            {f'{REQUESTS}"2xx"}}': "0+94x60", f'{REQUESTS}"5xx"}}': "0x20 0+6x40"},
            severity="critical",
        ),
        _case(
            "high_latency",
            10,
            {
                f'{SECONDS}"1.0"}}': "0+100x20 2000+90x40",
                f'{SECONDS}"2.5"}}': "0+100x60",
                f'{SECONDS}"+Inf"}}': "0+100x60",
            },
            severity="warning",
        ),
        _case(
            "resource_usage",
            30,
            {
                f"anfl_cpu_seconds_total{{{TASK}}}": "0+60x20 1200+420x60",
                f"anfl_cpu_seconds_total{{{OTHER}}}": "0+60x20 1200+400x60",
                f"anfl_cpu_cores{{{TASK}}}": "8x90",
                f"anfl_cpu_cores{{{OTHER}}}": "8x90",
            },
            severity="warning",
            resource="processor",
        ),
        _case(
            "resource_usage",
            30,
            {f"anfl_memory_bytes{{{TASK}}}": "70x20 81x60", f"anfl_memory_limit_bytes{{{TASK}}}": "100x90"},
            severity="warning",
            resource="memory",
        ),
    ],
)
def test_an_alert_rings_when_its_time_has_passed_and_not_before(
    tmp_path: Path, name: str, minutes: int, series: dict[str, str], labels: dict[str, str]
) -> None:
    """All is well for twenty minutes, and then it is not; a rate needs its five minutes to show it."""
    document = yaml.safe_load(rule_groups(load("prod").alerts))
    for rule in document["groups"][0]["rules"]:
        del rule["annotations"]  # prose, which the tool would compare as well
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    rings = {"alertname": name, "exp_alerts": [{"exp_labels": labels}]}
    case = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "alert_rule_test": [
            {"alertname": name, "exp_alerts": [], "eval_time": f"{20 + minutes - 1}m"},
            {**rings, "eval_time": f"{20 + minutes + 7}m"},
        ],
    }
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(tests))
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
