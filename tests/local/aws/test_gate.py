"""``make deploy`` against the embedded AWS: what it can answer, and the real CDK CLI for a first deployment."""

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.config import Config

from deployment import __main__ as command
from deployment.preflight import account
from deployment.preflight.plan import Scope
from deployment.preflight.results import Outcome, Result
from deployment.rollout import Rollout, synthesize
from local.aws.deploy import bootstrap
from tests.local.aws.conftest import Aws

DNS = "anfl-prod-global-dns"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The templates of an environment, synthesized once."""
    folders: dict[str, Path] = {}

    def write(environment: str) -> Path:
        if environment not in folders:
            folders[environment] = tmp_path_factory.mktemp(environment)
            synthesize(environment, folders[environment])
        return folders[environment]

    return write


@pytest.fixture(autouse=True)
def _account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    port = aws.endpoint.rpartition(":")[2]
    given = {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION": f"http://localhost:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DEFAULT_ACCOUNT": "123456789012",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CI": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moto does not know it answers with a status that is worth repeating in earnest."""
    once = account.CONFIG.merge(Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(account, "config_for", lambda _service: once)


@pytest.fixture
def fake_cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command line that only notes what it was called with; the file is absent where it was not called."""
    notes = tmp_path / "called"
    program = tmp_path / "cdk"
    program.write_text(f'#!/bin/sh\necho "$@" > {notes}\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(command, "CDK", program)
    return notes


@pytest.fixture
def direct_cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command line, without change sets: moto loses resources of theirs."""
    program = tmp_path / "cdk"
    program.write_text(f'#!/bin/sh\nexec {command.CDK} "$@" --method=direct\n')
    program.chmod(0o755)
    monkeypatch.setattr(command, "CDK", program)


def test_an_account_that_lacks_things_is_not_deployed_to(
    templates: Callable[[str], Path], fake_cdk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The embedded AWS has no quotas, no images and no toolkit: real checks, asked over HTTP, say so."""
    assert command.main(["--env", "dev", "--templates", str(templates("dev"))]) == 1
    said = capfd.readouterr().out
    assert "Estimate for dev" in said
    assert "✗ image.anfl-vector-store.us-west-1" in said
    assert "aws ecr create-repository --region us-west-1" in said
    assert "✗ role.AWSServiceRoleForECS" in said
    assert "unexpected" not in said
    assert "Nothing was deployed" in said
    assert not fake_cdk.exists()


def test_skipping_is_said_loudly_and_the_status_is_that_of_the_cdk(
    templates: Callable[[str], Path], fake_cdk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = templates("dev")
    assert command.main(["--env", "dev", "--templates", str(folder), "--preflight", "skip"]) == 3
    assert "UNCHECKED" in capfd.readouterr().out
    assert fake_cdk.read_text().split() == [
        *("deploy", "--no-notices", "--app", str(folder), "**", "--require-approval", "never"),
    ]


def test_templates_of_another_environment_are_not_deployed(
    templates: Callable[[str], Path], fake_cdk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--env", "prod", "--templates", str(templates("dev"))]) == 2
    assert "holds dev, not prod" in capfd.readouterr().err
    assert not fake_cdk.exists()


@pytest.mark.usefixtures("direct_cdk")
def test_a_first_deployment_stops_behind_the_zones_and_a_second_waits_for_delegation(
    aws: Aws, templates: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The account's answers are given (the embedded AWS has no quotas); CDK CLI, stack and zones are real."""
    examined: list[tuple[Scope, int]] = []

    def examine(_account: object, scope: Scope, rollout: Rollout) -> list[Result]:
        examined.append((scope, len(rollout.stacks)))
        outcome = Outcome.OK if scope is Scope.ACCOUNT else Outcome.FAILED
        return [Result(id="dns.aeonova.com", region=None, outcome=outcome, found="asked", remedy="delegate it")]

    monkeypatch.setattr(command, "_examine", examine)
    folder = templates("prod")
    bootstrap(folder, aws.endpoint)
    arguments = ["--env", "prod", "--region", "us-west-1", "--templates", str(folder), "--confirm", "prod"]

    assert command.main(arguments) == 1
    said = capfd.readouterr().out
    zones = {zone["Name"].rstrip("."): zone["Id"] for zone in _zones(aws)}
    assert {"aeonova.com", "lib.aeonova.com"} <= zones.keys()
    for name in ("aeonova.com", "lib.aeonova.com"):
        servers = aws.client("route53").get_hosted_zone(Id=zones[name])["DelegationSet"]["NameServers"]
        assert f"{name}: {' '.join(sorted(servers))}" in said
    assert "Stopped on purpose" in said
    assert _stacks(aws) == {DNS}

    assert command.main(arguments) == 1
    assert "Certificates wait" in capfd.readouterr().out
    assert _stacks(aws) == {DNS}
    assert [scope for scope, _ in examined] == [Scope.ACCOUNT, Scope.ACCOUNT, Scope.DEPLOYMENT]


def _zones(aws: Aws) -> list[dict[str, str]]:
    return list(aws.client("route53").list_hosted_zones()["HostedZones"])


def _stacks(aws: Aws) -> set[str]:
    found = set()
    for region in ("us-east-1", "us-west-1", "eu-west-1"):
        stacks = aws.client("cloudformation", region).describe_stacks()["Stacks"]
        found |= {stack["StackName"] for stack in stacks if stack["StackName"].startswith("anfl-prod-")}
    return found
