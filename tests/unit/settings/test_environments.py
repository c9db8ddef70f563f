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


def without(files: Path, region: str) -> None:
    """Write ``region`` down as removed from prod."""
    overlay = files / "environments" / "prod.yaml"
    overlay.write_text(overlay.read_text().replace("deployment:\n", f"deployment:\n  removed_regions: [{region}]\n"))


def test_a_removed_region_is_none_of_the_environments_any_more_and_the_ring_closes_without_it(files: Path) -> None:
    without(files, "us-west-1")
    settings = load("prod", root=files)
    assert settings.regions == (Region.US_EAST_1, Region.EU_WEST_1)
    assert settings.guardian(Region.EU_WEST_1) is Region.US_EAST_1
    assert settings.all_regions == load("prod").regions


def test_a_removed_region_can_be_had_back_to_destroy_its_stacks(files: Path) -> None:
    without(files, "us-west-1")
    assert load("prod", leaving="us-west-1", root=files) == load("prod")


def test_no_region_leaves_that_the_file_does_not_name() -> None:
    with pytest.raises(SettingsError) as caught:
        load("prod", leaving="us-west-1")
    assert caught.value.problems == (
        "environments/prod.yaml: us-west-1 does not stand in deployment.removed_regions; write it there first: "
        "from then on nothing deploys to it",
    )


def test_the_registry_is_written_where_the_settings_say(files: Path) -> None:
    assert load("prod").registry_home is Region.US_EAST_1
    assert load("dev").registry_home is load("dev").primary_region
    overlay = files / "environments" / "prod.yaml"
    overlay.write_text(overlay.read_text().replace("deployment:\n", "deployment:\n  registry: {home: eu-west-1}\n"))
    settings = load("prod", root=files)
    assert settings.registry_home is Region.EU_WEST_1
    assert settings.deployment.registry.alias_policies == load("prod").deployment.registry.alias_policies


def test_hosts_of_packages_are_hosts(files: Path) -> None:
    overlay = files / "environments" / "prod.yaml"
    before = overlay.read_text()
    for hosts in ("[index.example.com, 'pkg.example.com:8443']", "[]"):
        overlay.write_text(before.replace("deployment:\n", f"deployment:\n  registry: {{package_hosts: {hosts}}}\n"))
        assert len(load("prod", root=files).deployment.registry.package_hosts) == hosts.count("com")
    for host in ("https://index.example.com", "index.example.com/simple", "", "user@index.example.com"):
        overlay.write_text(before.replace("deployment:\n", f"deployment:\n  registry: {{package_hosts: ['{host}']}}\n"))
        with pytest.raises(SettingsError, match="package_hosts"):
            load("prod", root=files)


def test_the_registry_is_not_written_where_nothing_is_deployed(files: Path) -> None:
    without(files, "us-west-1")
    overlay = files / "environments" / "prod.yaml"
    overlay.write_text(overlay.read_text().replace("deployment:\n", "deployment:\n  registry: {home: us-west-1}\n"))
    with pytest.raises(SettingsError) as caught:
        load("prod", root=files)
    assert caught.value.problems == (
        "prod.yaml: deployment.registry.home: us-west-1 is not allowed: a region that is deployed: "
        "us-east-1, eu-west-1",
    )


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        (
            "us-east-1",
            "us-east-1 is not allowed: the global stacks stand there; of network.global.regions: us-west-1, eu-west-1",
        ),
        ("us-west-1, us-west-1", "us-west-1 is not allowed: it stands here 2 times; once is allowed"),
    ],
)
def test_a_region_that_cannot_be_removed_is_refused(files: Path, region: str, problem: str) -> None:
    without(files, region)
    with pytest.raises(SettingsError) as caught:
        load("prod", root=files)
    assert caught.value.problems == (f"prod.yaml: deployment.removed_regions: {problem}",)
