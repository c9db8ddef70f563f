"""Preflight, estimate and their documentation against the real templates."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployment.estimate import report as estimate_report
from deployment.estimate.billing import BILLED, UNBILLED
from deployment.estimate.calculation import LAYERS, calculate
from deployment.estimate.prices import load
from deployment.instances import instance_groups
from deployment.preflight import quota_page
from deployment.preflight.account import Account, UnansweredError
from deployment.preflight.delegation import DnsError, PublicDns
from deployment.preflight.needs import QUOTAS
from deployment.preflight.plan import Scope, checks_for
from deployment.preflight.results import Outcome
from deployment.preflight.running import run
from deployment.rollout import Rollout, read, synthesize
from stacks.settings import ROOT
from tests.infrastructure.conftest import Assembly

REGIONS = ("us-west-1", "us-east-1", "eu-west-1")


@pytest.fixture(scope="module")
def rollout(prod: Assembly) -> Rollout:
    """All of prod."""
    return read(prod.folder)


def _silent() -> Account:
    def connect(service: str, _region: str) -> Any:
        raise UnansweredError(f"{service} is silent")

    return Account(connect)


class _SilentDns(PublicDns):
    def delegations(self, zone: str) -> Any:
        raise DnsError(f"nobody knows {zone}")

    def issuers(self, name: str) -> Any:
        raise DnsError(f"nobody knows {name}")


def _ids(rollout: Rollout, scope: Scope = Scope.DEPLOYMENT) -> list[str]:
    return [check.id for check in checks_for(scope, _silent(), rollout, _SilentDns())]


def test_images_and_vaults_package_are_looked_for_in_every_region(rollout: Rollout) -> None:
    names = ("anfl-collector", "anfl-model-registry", "anfl-vault", "anfl-vector-store", "vault")
    wanted = {f"image.{name}.{region}" for name in names for region in REGIONS}
    assert {check for check in _ids(rollout) if check.startswith("image.")} == wanted


def test_where_nothing_answers_no_check_passes_and_none_breaks(rollout: Rollout) -> None:
    results = run(checks_for(Scope.DEPLOYMENT, _silent(), rollout, _SilentDns()))
    assert len(results) > 100
    assert {result.outcome for result in results} == {Outcome.NOT_CHECKED}
    assert [result.found for result in results if "unexpected" in result.found] == []


def test_every_check_has_an_id_of_its_own(rollout: Rollout) -> None:
    assert [name for name, count in Counter(_ids(rollout)).items() if count > 1] == []


@pytest.mark.parametrize(
    "name",
    [
        "dns.aeonova.com",
        "dns.lib.aeonova.com",
        "role.AWSServiceRoleForECS",
        "role.AWSServiceRoleForAutoScaling",
        "role.AWSServiceRoleForElastiCache",
        "role.AWSServiceRoleForGlobalAccelerator",
        "people.identity-center",
        *(
            f"{check}.{region}"
            for region in REGIONS
            for check in (
                "quota.ec2.standard-vcpus",
                "quota.lambda.concurrency",
                "toolkit",
                "stacks",
                "backup.opt-in",
                "leftovers",
                "logs.resource-policies",
                "region.zones",
                "region.endpoints",
                "image.vault",
                "image.anfl-vector-store",
                "image.anfl-model-registry",
            )
        ),
    ],
)
def test_prod_is_checked_for(rollout: Rollout, name: str) -> None:
    assert name in _ids(rollout)


def test_dev_has_no_zones_and_no_vault_to_check(dev: Assembly) -> None:
    ids = _ids(read(dev.folder))
    assert [name for name in ids if name.startswith(("dns.", "image.vault", "people.", "quota.accelerators"))] == []
    assert "toolkit.us-west-1" in ids


def test_zones_alone_need_little(rollout: Rollout) -> None:
    assert rollout.dns_stack
    assert set(_ids(rollout.only(rollout.dns_stack), Scope.ACCOUNT)) == {
        "toolkit.us-east-1",
        "stacks.us-east-1",
        "quota.cloudformation.stacks.us-east-1",
        "quota.route53.zones",
    }


def test_a_region_alone_is_not_held_up_by_what_only_others_need(prod: Assembly) -> None:
    ids = _ids(read(prod.folder, regions=["us-west-1"]))
    assert "quota.ec2.standard-vcpus.us-west-1" in ids
    assert [name for name in ids if name.startswith("quota.ec2") and not name.endswith("us-west-1")] == []
    assert "toolkit.eu-west-1" in ids, "its replica of the keys stands there"


def test_tls_is_asked_of_every_public_name(rollout: Rollout) -> None:
    regional = {f"tls.{region}.api.lib.aeonova.com" for region in REGIONS}
    links = {f"tls.link.{region}" for region in REGIONS}
    shared = {"tls.api.lib.aeonova.com", "tls.ingest.lib.aeonova.com", "tls.lib.aeonova.com"}
    assert set(_ids(rollout, Scope.TLS)) == regional | links | shared


def test_processors_are_those_of_every_group_at_its_maximum(rollout: Rollout) -> None:
    (vcpus,) = (quota for quota in QUOTAS if quota.id == "ec2.standard-vcpus")
    clusters = rollout.settings.compute.ecs.clusters
    vault = rollout.settings.deployment.vault.cluster
    assert vault is not None
    assert [cluster.instance_type.name for cluster in clusters] == ["c5.2xlarge", "m5.2xlarge"]
    expected = 8 * sum(cluster.max_size for cluster in clusters) + 2 * vault.nodes
    assert {vcpus.need(rollout, region) for region in REGIONS} == {expected}


def test_templates_of_preflight_are_those_of_the_deployment(dev: Assembly, tmp_path: Path) -> None:
    synthesize("dev", tmp_path)
    assert read(tmp_path).resources == read(dev.folder).resources


# --- the estimate ---------------------------------------------------------------------------------------------------


def test_every_type_of_resource_is_billed_or_said_not_to_be(assembly: Assembly) -> None:
    unknown = {found.kind for found in read(assembly.folder).resources} - BILLED.keys() - UNBILLED.keys()
    assert unknown == set(), "deployment/estimate/billing.py must say what they cost"


def test_no_type_is_explained_that_no_template_has(prod: Assembly, dev: Assembly) -> None:
    present = {found.kind for assembly in (prod, dev) for found in read(assembly.folder).resources}
    assert (BILLED.keys() | UNBILLED.keys()) - present == set()
    assert BILLED.keys() & UNBILLED.keys() == set()


def test_every_price_and_every_assumption_is_used(prod: Assembly, dev: Assembly) -> None:
    source = (ROOT / "deployment" / "estimate" / "billing.py").read_text()
    table = load()
    used = {line.price for assembly in (prod, dev) for line in calculate(read(assembly.folder), table).lines}
    assert table.prices.keys() - used - {"dynamodb.reads"} == set()
    assert {name for name in table.usage if f'"{name}"' not in source} == set()


def test_every_billed_type_of_prod_has_a_line(rollout: Rollout) -> None:
    """A rule that yields nothing would hide what it is there for."""
    table = load()
    for kind in {found.kind for found in rollout.resources} & BILLED.keys():
        alone = replace(rollout, stacks=tuple({found.stack for found in rollout.of(kind)}))
        assert calculate(alone, table).lines, kind


def test_the_sums_are_those_of_the_lines(rollout: Rollout) -> None:
    estimate = calculate(rollout, load())
    assert set(estimate.regions) == set(REGIONS)
    by_layer = sum(estimate.of(layer=layer) for layer in LAYERS)
    by_region = sum(estimate.of(region=region) for region in REGIONS)
    assert by_layer == pytest.approx(estimate.monthly) == pytest.approx(by_region)
    assert estimate.at_most > estimate.monthly


def test_instances_follow_the_architecture(rollout: Rollout) -> None:
    table = load()
    estimate = calculate(rollout, table)
    least = sum(group.minimum for group in instance_groups(rollout) if group.instance_type == "c5.2xlarge")
    (first, *_) = rollout.settings.compute.ecs.clusters
    assert least == first.min_size * len(REGIONS)
    hours = sum(line.quantity for line in estimate.lines if line.price == "ec2.c5.2xlarge")
    assert hours == pytest.approx(least * table.hours_a_month)


# --- what is written down about them --------------------------------------------------------------------------------


def _agrees(path: Path, expected: str, *, update: bool) -> None:
    if update:
        path.write_text(expected, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == expected, (
        f"{path.name} is not what the templates say: make update-snapshots"
    )


def test_the_page_of_costs_is_what_the_templates_say(
    prod: Assembly, dev: Assembly, request: pytest.FixtureRequest
) -> None:
    estimates = [calculate(read(assembly.folder), load()) for assembly in (prod, dev)]
    update = bool(request.config.getoption("--update-snapshots"))
    _agrees(ROOT / "docs" / "cost.md", estimate_report.page(estimates), update=update)


def test_the_quotas_of_the_documentation_are_those_of_the_templates(
    rollout: Rollout, request: pytest.FixtureRequest
) -> None:
    path = ROOT / "docs" / "aws_architecture.md"
    expected = quota_page.replaced(path.read_text(encoding="utf-8"), quota_page.quota_table(rollout))
    _agrees(path, expected, update=bool(request.config.getoption("--update-snapshots")))


def test_processors_and_functions_are_quotas_to_raise(rollout: Rollout) -> None:
    raised = re.findall(r"\*\*raise\*\* (.+?) \(", quota_page.quota_table(rollout))
    assert raised == ["Running On-Demand Standard instances", "Concurrent executions"]
