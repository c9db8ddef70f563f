"""cdk-nag (AwsSolutions) over the whole app: what it finds and what stands acknowledged are one and the same."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from aws_cdk import App
from cdk_nag import AwsSolutionsChecks

from stacks.acknowledgements import ACKNOWLEDGEMENTS, acknowledge
from stacks.build import build
from stacks.settings import ROOT, load
from stacks.wildcards import WILDCARDS
from tests.infrastructure.conftest import CONTEXT, Assembly

Finding = tuple[str, str]
"""Path of a construct, granular id of a rule."""


def findings(app: App) -> set[Finding]:
    """Everything that AwsSolutions finds and that is not acknowledged."""
    report = AwsSolutionsChecks().validate_scope(app)
    return {
        (str(resource.construct_path), violation.rule_name)
        for violation in report.violations
        for resource in violation.violating_resources
    }


def test_nothing_is_found_that_is_not_acknowledged(assembly: Assembly) -> None:
    assert assembly.app is not None
    found = findings(assembly.app)
    assert not found, "mend it, or say why it stands in stacks/acknowledgements.py:\n" + "\n".join(
        f"{path}: {rule}" for path, rule in sorted(found)
    )


Bare = dict[str, tuple[set[Finding], set[Finding]]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """By environment: what its app without acknowledgements shows, and what would be acknowledged in it."""
    result: Bare = {}
    for environment in ("prod", "dev"):
        settings = load(environment)
        app = App(outdir=str(tmp_path_factory.mktemp("bare")), context=CONTEXT, analytics_reporting=False)
        build(app, settings)
        app.synth()  # as the other app was: only then do references across stacks read alike
        found = findings(app)
        result[environment] = found, acknowledge(app, settings)
    return result


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_nothing_is_acknowledged_that_is_not_found(bare: Bare, environment: str) -> None:
    found, acknowledged = bare[environment]
    assert acknowledged
    unused = acknowledged - found
    assert not unused, "take it out of stacks/acknowledgements.py or stacks/wildcards.py:\n" + "\n".join(
        f"{path}: {rule}" for path, rule in sorted(unused)
    )


def test_no_entry_is_for_constructs_that_are_gone(bare: Bare) -> None:
    acknowledged = {path for _, made in bare.values() for path, _ in made}
    entries = [path for entry in ACKNOWLEDGEMENTS for path in entry.constructs]
    entries += [path for entry in WILDCARDS for path in entry.policies]
    for layer, _, path in (entry.partition("/") for entry in entries):
        assert any(fnmatchcase(made, f"anfl-*{layer}*/{path}") for made in acknowledged), f"{layer}/{path}"


def test_each_reason_is_held_by_a_test_that_exists() -> None:
    tests = "\n".join(file.read_text() for file in Path(ROOT, "tests").rglob("test_*.py"))
    for entry in ACKNOWLEDGEMENTS:
        assert f"def {entry.proof}(" in tests, entry


def test_acknowledgements_are_granular_and_no_policy_gives_everything() -> None:
    for entry in ACKNOWLEDGEMENTS:
        assert not re.fullmatch(r"AwsSolutions-IAM[45]", entry.rule)
        assert "IAM5" not in entry.rule, "a statement with a wildcard stands among WILDCARDS"
        assert "FullAccess" not in entry.rule
        assert "Administrator" not in entry.rule
    for reason in [entry.reason for entry in ACKNOWLEDGEMENTS] + [entry.reason for entry in WILDCARDS]:
        assert len(reason) >= 30, reason
