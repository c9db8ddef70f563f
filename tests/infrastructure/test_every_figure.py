"""Changing a figure of architecture.yaml changes the templates, and nothing else needs editing.

Every leaf has another value here that is allowed on its own, or a reason why there is none. All of them are changed at
once (the regions in an assembly of their own, because every other figure depends on them); `stacks.conformance`, which
other tests hold to find any disagreement, then says what the templates make of old and new figures.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.figures.verdicts import Status, figures_in, judge
from stacks.settings import ROOT, SettingsError, load
from tests.infrastructure.conftest import Assembly, synthesize

REGIONS: Mapping[str, object] = {"network.global.regions": ["us-west-1", "us-east-1"]}
OTHERS: Mapping[str, object] = {
    "network.global.route53.zones": ["example.org", "vectors.example.org"],
    "network.vpc.cidr": "10.0.0.0/18",
    "network.vpc.subnets.public": ["10.0.21.0/24", "10.0.22.0/24"],
    "network.vpc.subnets.private": ["10.0.30.0/24", "10.0.31.0/24"],
    "compute.ecs.clusters[vector-processing].instance_type": "c6i.4xlarge",
    "compute.ecs.clusters[vector-processing].min_size": 4,
    "compute.ecs.clusters[vector-processing].max_size": 12,
    "compute.ecs.clusters[model-registry].instance_type": "m6i.xlarge",
    "compute.ecs.clusters[model-registry].min_size": 5,
    "compute.ecs.clusters[model-registry].max_size": 9,
    "compute.lambda.functions[vector-processing].memory": 1536,
    "compute.lambda.functions[vector-processing].timeout": 333,
    "compute.lambda.functions[model-validation].memory": 3008,
    "compute.lambda.functions[model-validation].timeout": 444,
    "encryption.at_rest.key_rotation": "120 days",
    "alerts.critical[service_down].threshold": 2,
    "alerts.critical[service_down].duration": "7m",
    "alerts.critical[high_error_rate].threshold": "7.5%",
    "alerts.critical[high_error_rate].duration": "16m",
    "alerts.warning[high_latency].threshold": "3s",
    "alerts.warning[high_latency].duration": "11m",
    "alerts.warning[resource_usage].threshold": "85%",
    "alerts.warning[resource_usage].duration": "31m",
    "scaling.vector_processing.metrics": ["queue_depth"],
    "scaling.vector_processing.thresholds.scale_up": "70%",
    "scaling.vector_processing.thresholds.scale_down": "20%",
    "scaling.vector_processing.cooldown.scale_up": 240,
    "scaling.vector_processing.cooldown.scale_down": 660,
    "backup.databases.retention": "21d",
    "backup.vectors.frequency": "daily",
    "backup.vectors.retention": "9d",
    "backup.configuration.frequency": "hourly",
    "backup.configuration.retention": "120d",
    "recovery.rto": "5h",
    "recovery.rpo": "2h",
    "recovery.steps": ["validate_backup", "verify_data", "restore_infrastructure", "update_dns"],
}
NAME = "code stands behind the name: a service, a function, a measure"
KIND = "AWS Backup decides by what is backed up: tables always whole, buckets always by what changed"
FIXED: Mapping[str, tuple[object, str]] = {
    "compute.ecs.clusters[vector-processing].name": ("search", NAME),
    "compute.ecs.clusters[model-registry].name": ("models", NAME),
    "compute.lambda.functions[vector-processing].name": ("search", NAME),
    "compute.lambda.functions[model-validation].name": ("inspection", NAME),
    "alerts.critical[service_down].name": ("down", NAME),
    "alerts.critical[high_error_rate].name": ("errors", NAME),
    "alerts.warning[high_latency].name": ("slow", NAME),
    "alerts.warning[resource_usage].name": ("busy", NAME),
    "encryption.at_rest.method": ("none", "every store is encrypted by KMS; the keys' policies are written for it"),
    "encryption.in_transit.method": ("TLS 1.2", "clients of ours demand 1.3, and the policies of S3 refuse less"),
    "encryption.in_transit.certificate": ("IAM", "certificates that nobody need renew"),
    "encryption.application.method": ("AWS Encryption SDK", "sealed data names keys of Vault's"),
    "encryption.application.key_type": ("ChaCha20-Poly1305", "sealed data has the format of this cipher"),
    "backup.databases.frequency": ("hourly", "ElastiCache takes one snapshot a day"),
    "backup.databases.type": ("incremental", KIND),
    "backup.vectors.type": ("full", KIND),
    "backup.configuration.type": ("incremental", KIND),
}
"""A value that is refused, and why the architecture's is the only one."""
FOLLOWS_THE_DOMAIN = "encryption.in_transit.certificate"
"""Realised by certificates for names below the last zone."""

Change = Callable[[Mapping[str, object]], Path]


@pytest.fixture(scope="module")
def change(tmp_path_factory: pytest.TempPathFactory) -> Change:
    """A folder of settings whose architecture alone differs from the project's, in the given leaves."""

    def apply(changes: Mapping[str, object]) -> Path:
        root = tmp_path_factory.mktemp("settings")
        shutil.copytree(ROOT / "environments", root / "environments")
        tree = architecture()
        for path, value in changes.items():
            parent, last = parent_of(tree, path)
            assert parent[last] != value
            parent[last] = value
        (root / "architecture.yaml").write_text(yaml.safe_dump(tree))
        return root

    return apply


def architecture() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "architecture.yaml").read_text()))


def parent_of(tree: Any, path: str) -> tuple[dict[str, Any], str]:
    *parents, last = path.split(".")
    for part in parents:
        key, _, member = part.rstrip("]").partition("[")
        tree = next(item for item in tree[key] if item["name"] == member) if member else tree[key]
    return tree, last


@pytest.fixture(scope="module")
def settings(change: Change) -> Path:
    return change(OTHERS)


@pytest.fixture(scope="module")
def changed(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """prod with every figure but the regions changed."""
    return synthesize(tmp_path_factory.mktemp("changed"), "prod", root=settings)


def test_every_leaf_is_in_one_of_the_tables() -> None:
    tables = [*REGIONS, *OTHERS, *FIXED]
    assert sorted(tables) == sorted(figure.path for figure in figures_in(architecture()))


@pytest.mark.parametrize("figure", [*REGIONS, *OTHERS])
def test_a_figure_changes_alone(change: Change, figure: str) -> None:
    """No other file, and no other figure, has to follow it."""
    before, after = load("prod"), load("prod", root=change({figure: {**REGIONS, **OTHERS}[figure]}))
    assert before != after
    assert before.deployment == after.deployment


@pytest.mark.parametrize("figure", FIXED)
def test_a_figure_with_one_allowed_value_is_refused_any_other(change: Change, figure: str) -> None:
    value, _ = FIXED[figure]
    with pytest.raises(SettingsError) as refusal:
        load("prod", root=change({figure: value}))
    where = re.sub(r"\[[^]]*\]", "[N]", figure)
    assert [
        re.sub(r"\[\d+\]", "[N]", problem).startswith(f"architecture.yaml: {where}: {value!r} is not allowed: ")
        for problem in refusal.value.problems
    ] == [True]


def test_templates_say_the_new_figures_everywhere(changed: Assembly, settings: Path) -> None:
    assert [verdict for verdict in judge(changed.folder, root=settings) if verdict.status is not Status.REALISED] == []


def test_templates_say_no_old_figure_where_it_is_realised(changed: Assembly) -> None:
    disagreeing = {verdict.figure for verdict in judge(changed.folder) if verdict.status is Status.DISAGREES}
    assert disagreeing == {*OTHERS, FOLLOWS_THE_DOMAIN}


def test_templates_of_the_old_figures_do_not_pass_for_the_new(prod: Assembly, settings: Path) -> None:
    disagreeing = {v.figure for v in judge(prod.folder, root=settings) if v.status is Status.DISAGREES}
    assert disagreeing == {*OTHERS, FOLLOWS_THE_DOMAIN}


def test_fewer_regions_are_fewer_regions_everywhere(prod: Assembly, change: Change, tmp_path: Path) -> None:
    root = change(REGIONS)
    smaller = synthesize(tmp_path / "smaller", "prod", root=root)
    assert [verdict for verdict in judge(smaller.folder, root=root) if verdict.status is not Status.REALISED] == []
    text = {stack.name: (smaller.folder / f"{stack.name}.template.json").read_text() for stack in smaller}
    assert [name for name in text if "eu-west-1" in name] == []
    assert [name for name, template in text.items() if "eu-west-1" in template] == []
    assert any("eu-west-1" in stack.name for stack in prod)
    figures = {verdict.figure: verdict.status for verdict in judge(smaller.folder)}
    assert figures["network.global.regions"] is Status.DISAGREES


def old_names() -> Iterator[str]:
    """Old figures that could not stand in a template by chance: networks, types of instances, zones."""
    for path in OTHERS:
        if path.startswith("network.") or path.endswith(".instance_type"):
            parent, last = parent_of(architecture(), path)
            yield from [parent[last]] if isinstance(parent[last], str) else parent[last]


def test_no_template_repeats_an_old_name(prod: Assembly, changed: Assembly) -> None:
    def naming(assembly: Assembly, name: str) -> set[str]:
        return {s.name for s in assembly if name in (assembly.folder / f"{s.name}.template.json").read_text()}

    names = list(old_names())
    assert "10.0.1.0/24" in names
    for name in names:
        assert naming(prod, name)
        assert naming(changed, name) == set(), name
