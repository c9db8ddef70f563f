"""What holds for the stacks as a whole: names, order, independence of regions, purity."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from stacks.layers import layer_of
from stacks.settings import ROOT
from tests.infrastructure.conftest import CONTEXT, Assembly, Template

REGIONS = {"us-west-1", "us-east-1", "eu-west-1"}
LAYERS = ["network", "security", "key-agent", "storage", "telemetry", "service", "edge", "monitoring", "recovery"]
WITHOUT_DOMAIN = [layer for layer in LAYERS if layer != "edge"]


def test_prod_has_every_layer_in_every_region(prod: Assembly) -> None:
    regional = {f"anfl-prod-{region}-{layer}" for region in REGIONS for layer in [*LAYERS, "vault"]}
    replication = {f"anfl-prod-replication-{region}" for region in REGIONS}
    assert set(prod.stacks) == regional | replication | {
        "anfl-prod-global-dns",
        "anfl-prod-global-keys",
        "anfl-prod-global-people",
        "anfl-prod-global-replica-keys-us-west-1",
        "anfl-prod-global-replica-keys-eu-west-1",
        "anfl-prod-global-data",
        "anfl-prod-global-key-leader",
        "anfl-prod-global-edge",
        *(f"anfl-prod-global-watch-{region}" for region in REGIONS),
    }


def test_dev_is_one_region_without_zones_or_replicas(dev: Assembly) -> None:
    assert set(dev.stacks) == {f"anfl-dev-us-west-1-{layer}" for layer in WITHOUT_DOMAIN} | {
        "anfl-dev-global-keys",
        "anfl-dev-global-data",
        "anfl-dev-global-key-leader",
    }


def test_the_module_of_a_stack_bears_the_name_of_its_layer(prod: Assembly) -> None:
    layers = {layer_of(stack.name, "prod") for stack in prod} - {"global-replica-keys"}  # with the keys they replicate
    assert {"global-edge", "network", "service"} <= layers
    for layer in layers:
        module = ROOT / "stacks" / f"{layer.replace('-', '_')}.py"
        assert re.search(r"^class \w+\(AnflStack\):", module.read_text(), re.MULTILINE), layer


def test_a_pattern_of_names_selects_one_region(prod: Assembly) -> None:
    """What the CLI is asked to deploy are construct paths: they must equal the names."""
    for name, artifact in prod.manifest.items():
        if name in prod.stacks:
            assert artifact["displayName"] == name
            assert artifact["properties"].get("stackName", name) == name


def test_layers_are_deployed_in_their_order(assembly: Assembly) -> None:
    for region in {assembly.region_of(stack.name) for stack in assembly.regional("network").values()}:
        layers = LAYERS if "-prod-" in next(iter(assembly)).name else WITHOUT_DOMAIN
        names = [assembly.regional(layer)[region].name for layer in layers]
        for earlier, later in pairwise(names):
            assert earlier in assembly.dependencies(later)


def test_vault_stands_between_its_network_and_those_who_use_it(prod: Assembly) -> None:
    for region in REGIONS:
        vault = f"anfl-prod-{region}-vault"
        assert f"anfl-prod-{region}-security" in prod.dependencies(vault)
        assert "anfl-prod-global-data" in prod.dependencies(vault), "the bootstrap writes into the auth table"
        assert vault in prod.dependencies(f"anfl-prod-{region}-service")


def test_regions_do_not_depend_on_one_another(prod: Assembly) -> None:
    for region in REGIONS:
        others = REGIONS - {region}
        for layer in [*LAYERS, "vault"]:
            for needed in prod.dependencies(prod.regional(layer)[region].name):
                assert not any(needed.startswith(f"anfl-prod-{other}-") for other in others)
                assert not any(needed == f"anfl-prod-global-replica-keys-{other}" for other in others)


def test_replication_comes_after_every_regions_buckets_and_its_own_region(prod: Assembly) -> None:
    for region in REGIONS:
        needed = prod.dependencies(f"anfl-prod-replication-{region}")
        assert needed >= {f"anfl-prod-{other}-storage" for other in REGIONS} | {f"anfl-prod-{region}-recovery"}
        for other in REGIONS - {region}:
            assert not any(name.startswith(f"anfl-prod-{other}-") for name in needed - {f"anfl-prod-{other}-storage"})


def test_replicas_of_tables_wait_for_their_keys(prod: Assembly) -> None:
    assert prod.dependencies("anfl-prod-global-data") >= {
        "anfl-prod-global-replica-keys-us-west-1",
        "anfl-prod-global-replica-keys-eu-west-1",
    }


def test_global_stacks_stand_in_us_east_1(prod: Assembly) -> None:
    for name in ("dns", "keys", "data", "key-leader", "edge"):
        assert prod.region_of(f"anfl-prod-global-{name}") == "us-east-1"


def exports_across_regions(template: Template) -> list[str]:
    """Custom resources with which the CDK carries plain references from region to region."""
    return [name for name, r in template.document["Resources"].items() if r["Type"].startswith("Custom::CrossRegion")]


def test_nothing_crosses_regions_but_weak_references(assembly: Assembly) -> None:
    for stack in assembly:
        assert not exports_across_regions(stack), stack.name
        for imported in re.findall(r'"Fn::ImportValue": "([\w-]+):', json.dumps(stack.document)):
            assert assembly.region_of(imported) == assembly.region_of(stack.name)


def test_a_plain_reference_to_another_region_is_found(tmp_path: Path) -> None:
    """As the CDK makes one, where references across regions are allowed."""
    from aws_cdk import App, CfnOutput, Environment, Stack
    from aws_cdk import aws_sns as sns

    app = App(outdir=str(tmp_path / "out"), context=CONTEXT, analytics_reporting=False, tree_metadata=False)
    there = Stack(app, "There", env=Environment(region="us-east-1"), cross_region_references=True)
    here = Stack(app, "Here", env=Environment(region="eu-west-1"), cross_region_references=True)
    CfnOutput(here, "Topic", value=sns.CfnTopic(there, "Topic").attr_topic_name)
    app.synth()
    doctored = Assembly(tmp_path / "out")
    assert exports_across_regions(doctored["There"])
    assert exports_across_regions(doctored["Here"])


CUSTOM = {"Custom::BucketReplication", "Custom::VaultCertificate", "Custom::WrappingKey"}
"""Custom resources of this project's own; the CDK's bring functions and rights of theirs."""


def test_no_template_knows_an_account_a_machine_or_a_custom_resource_of_others(assembly: Assembly) -> None:
    for stack in assembly:
        text = json.dumps(stack.document)
        assert not re.search(r"(?<![\w.-])\d{12}(?![\w.-])", text), stack.name
        assert str(ROOT) not in text
        assert set(re.findall(r"Custom::\w+", text)) <= CUSTOM, stack.name
        assert assembly.manifest[stack.name]["environment"].startswith("aws://unknown-account/")


def test_templates_carry_no_metadata_of_the_toolchain(assembly: Assembly) -> None:
    for stack in assembly:
        assert not stack.resources("AWS::CDK::Metadata")


def test_no_template_comes_near_the_limits_of_cloudformation(assembly: Assembly) -> None:
    for stack in assembly:
        assert len(stack.document["Resources"]) <= 450, stack.name
        assert len(json.dumps(stack.document, separators=(",", ":"))) <= 900_000, stack.name


def test_prod_is_protected_against_deletion_and_dev_is_not(prod: Assembly, dev: Assembly) -> None:
    for assembly, protected in ((prod, True), (dev, False)):
        for stack in assembly:
            properties = assembly.manifest[stack.name]["properties"]
            assert properties.get("terminationProtection", False) is protected


def run_app(folder: Path, environment: str, **environ: str) -> Path:
    """Run the app as the CLI does, as another user in another place; the folder with what it wrote."""
    elsewhere = folder / "elsewhere"
    environ = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": os.environ.get("HOME", str(elsewhere)),  # jsii keeps its unpacked library below it
        "USER": "somebody-else",
        "TZ": "Pacific/Kiritimati",
        "PYTHONPATH": str(ROOT),
        "AWS_PROFILE": "production",
        "AWS_REGION": "ap-southeast-2",
        "CDK_DEFAULT_ACCOUNT": "111122223333",
        "CDK_DEFAULT_REGION": "ap-southeast-2",
        "CDK_CLI_VERSION": "2.1148.1",
        "CDK_OUTDIR": str(folder / "out"),
        "CDK_CONTEXT_JSON": json.dumps(CONTEXT | {"env": environment}),
        **environ,
    }
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env=environ,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_another_process_user_and_place_synthesize_the_same_bytes(dev: Assembly, tmp_path: Path) -> None:
    """Nothing but the sources decides what templates say. (Without validation nobody needs acknowledgements.)"""
    out = run_app(tmp_path, "dev", CDK_VALIDATION="false")
    for file in sorted({*dev.folder.glob("*.json")} - {*dev.folder.glob("*.metadata.json")}):
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name


def test_cloudformation_finds_nothing_to_say(tmp_path: Path) -> None:
    """The validation that is part of every synthesis outside these tests, over every template of prod."""
    out = run_app(tmp_path, "prod")
    report = json.loads((out / "validation-report.json").read_text())
    (plugin,) = report["pluginReports"]
    assert [f"{violation['ruleName']}: {violation['description']}" for violation in plugin["violations"]] == []
    assert plugin["conclusion"] == "success"
    assert "AwsSolutions-L1" in (out / "anfl-prod-us-west-1-service.metadata.json").read_text()


@pytest.mark.parametrize("version", ["3.0.0", "2.1100.0", "1.204.0", "garbage"])
def test_another_command_line_is_told_which_one_to_use(version: str) -> None:
    from stacks.toolkit import ToolkitError, check_toolkit

    with pytest.raises(ToolkitError, match=r"run: npx aws-cdk@2\.1148\.1"):
        check_toolkit({"CDK_CLI_VERSION": version})


@pytest.mark.parametrize("environ", [{}, {"CDK_CLI_VERSION": "2.1148.1"}, {"CDK_CLI_VERSION": "2.1200.0"}])
def test_a_fitting_command_line_or_none_is_taken(environ: dict[str, str]) -> None:
    from stacks.toolkit import check_toolkit

    check_toolkit(environ)


def test_the_constructs_folder_is_no_package_of_its_own() -> None:
    """With an ``__init__.py`` it would hide the library of the same name, and every CDK import would fail."""
    assert not (ROOT / "constructs" / "__init__.py").exists()
