"""Overlays, and which regions an environment spans."""

from pathlib import Path

import pytest

from stacks.settings import SettingsError, environments, load
from stacks.units import Region


def test_dev_is_one_small_region_without_names() -> None:
    dev = load("dev")
    assert dev.regions == (Region.US_WEST_1,)
    assert dev.primary_region is Region.US_WEST_1
    assert dev.network.global_.route53.zones == ()
    assert dev.domain is None
    assert dev.deployment.nat_gateways == 1
    assert not dev.deployment.global_accelerator
    assert {(cluster.min_size, cluster.max_size) for cluster in dev.compute.ecs.clusters} == {(1, 2)}


def test_dev_changes_no_figure_of_functions_alerts_or_backups() -> None:
    dev, prod = load("dev"), load("prod")
    assert dev.compute.lambda_ == prod.compute.lambda_
    assert dev.alerts == prod.alerts
    assert dev.backup == prod.backup
    assert dev.encryption == prod.encryption


def test_all_regions_of_the_architecture_on_request() -> None:
    assert load("dev", regions="all").regions == load("prod").regions


def test_some_regions_on_request() -> None:
    assert load("dev", regions="eu-west-1, us-east-1").regions == (Region.EU_WEST_1, Region.US_EAST_1)


def test_an_unknown_region_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(SettingsError) as caught:
        load("dev", regions="eu-north-1")
    assert caught.value.problems == (
        "-c regions=eu-north-1: eu-north-1: allowed: all, us-west-1, us-east-1, eu-west-1",
    )


def test_an_environment_that_keeps_data_loses_no_region_by_an_option() -> None:
    with pytest.raises(SettingsError, match=r"deploy one region alone with: cdk deploy 'anfl-prod-us-west-1-\*'"):
        load("prod", regions="us-west-1")
    assert load("prod", regions="all") == load("prod")


def test_an_unknown_environment_is_refused_with_what_exists() -> None:
    with pytest.raises(SettingsError) as caught:
        load("staging")
    assert caught.value.problems == ("-c env=staging: there is no such environment; allowed: dev, prod",)


def test_a_new_file_is_a_new_environment(files: Path) -> None:
    (files / "environments" / "qa.yaml").write_text((files / "environments" / "dev.yaml").read_text())
    assert environments(files) == ("dev", "prod", "qa")
    assert load("qa", root=files).name("auth") == "anfl-qa-auth"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("dev").deployment.nat_gateways = 3
