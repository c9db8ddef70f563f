"""``anfl preflight`` and ``anfl estimate`` as they are typed, and the gate's command where it cannot begin."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anfl.cli.errors import ExitCode
from anfl.cli.main import main
from deployment import __main__ as gate
from deployment.preflight.account import Account, CredentialsError
from deployment.rollout import Rollout
from tests.unit.deployment.conftest import Recorded, resource

FROM_ENVIRONMENT = "deployment.preflight.account.from_environment"
Type = Callable[..., tuple[int, str]]


@pytest.fixture(name="typed")
def _typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command: its exit code, and what it printed (errors last)."""

    def run(*words: str, account: Account | None = None) -> tuple[int, str]:
        if account is not None:
            monkeypatch.setattr(FROM_ENVIRONMENT, lambda: account)
        monkeypatch.setattr(sys, "argv", ["anfl", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return run


@pytest.fixture(name="folder")
def _folder(one_stack: Callable[..., Rollout], tmp_path: Path) -> str:
    """Templates of one stack with a queue."""
    one_stack(Queue=resource("AWS::SQS::Queue"))
    return str(tmp_path)


def test_an_account_that_is_ready(typed: Type, recorded: Recorded, folder: str) -> None:
    code, said = typed("preflight", "--templates", folder, account=recorded("commands/ready"))
    assert code == 0
    assert "arn:aws:iam::111122223333:role/deployer" in said
    assert "✓ toolkit.us-west-1" in said
    assert "3 checks: 3 ok" in said


@pytest.mark.parametrize(
    ("case", "mark", "remedy"),
    [
        ("lacking", "✗ toolkit.us-west-1", "npx aws-cdk@2.1148.1 bootstrap"),
        ("forbidden", "? toolkit.us-west-1", "ssm:get_parameter"),
    ],
)
def test_an_account_that_is_not(
    typed: Type, recorded: Recorded, folder: str, case: str, mark: str, remedy: str
) -> None:
    code, said = typed("preflight", "--templates", folder, account=recorded(f"commands/{case}"))
    assert code == ExitCode.FAILED
    assert mark in said
    assert remedy in said
    assert "Traceback" not in said


def test_a_document_for_scripts(typed: Type, recorded: Recorded, folder: str) -> None:
    code, said = typed("preflight", "--json", "--templates", folder, account=recorded("commands/lacking"))
    found: dict[str, Any] = json.loads(said)
    assert code == ExitCode.FAILED
    assert (found["environment"], found["account"], found["passed"]) == ("prod", "111122223333", False)
    (toolkit,) = (check for check in found["checks"] if check["id"] == "toolkit.us-west-1")
    assert toolkit["result"] == "failed"
    assert toolkit["region"] == "us-west-1"
    assert toolkit["remedy"]


def test_whose_credentials_these_are_may_stay_unknown(typed: Type, recorded: Recorded, folder: str) -> None:
    code, said = typed("preflight", "--templates", folder, account=recorded("commands/unreachable"))
    assert code == 0
    assert "unknown" in said


def test_expired_credentials_are_a_matter_of_usage(typed: Type, recorded: Recorded, folder: str) -> None:
    code, said = typed("preflight", "--templates", folder, account=recorded("commands/expired"))
    assert code == ExitCode.USAGE
    assert "expired" in said
    assert "AWS_PROFILE" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dns", "--tls"], "one of --dns and --tls"),
        (["--region", "mars-1"], "has no region mars-1"),
        (["--env", "dev"], "holds prod, not dev"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_usage(typed: Type, folder: str, words: list[str], told: str, as_json: bool) -> None:
    code, said = typed("preflight", "--templates", folder, *words, *(["--json"] if as_json else []))
    assert code == ExitCode.USAGE
    assert told in said


def test_an_estimate_is_called_one(typed: Type, folder: str) -> None:
    code, said = typed("estimate", "--templates", folder)
    assert code == 0
    assert said.startswith("Estimate for prod, USD a month")
    assert "sqs.requests" in said


def test_an_estimate_for_scripts(typed: Type, folder: str) -> None:
    code, said = typed("estimate", "--json", "--templates", folder)
    found: dict[str, Any] = json.loads(said)
    assert code == 0
    assert found["estimate"] is True
    assert found["monthly"] == round(sum(line["monthly"] for line in found["lines"]), 2)


def test_the_gate_without_credentials_deploys_nothing(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> Account:
        raise CredentialsError("Unable to locate credentials")

    monkeypatch.setattr(gate, "from_environment", none)
    monkeypatch.setattr(gate, "CDK", Path(folder) / "must-not-be-called")
    assert gate.main(["--env", "prod", "--templates", folder, "--confirm", "prod"]) == 2
    assert "Nothing was deployed" in capsys.readouterr().err


def test_the_gate_knows_no_other_way_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        gate.main(["--env", "prod", "--preflight", "no"])
    assert ended.value.code == 2
    assert "--preflight" in capsys.readouterr().err


@pytest.mark.parametrize("changed", [False, True])
def test_what_is_deployed_is_what_was_looked_at(
    changed: bool, folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody synthesizes another environment into the same folder while this one's question waits for its answer."""

    def answer(_question: str) -> str:
        if changed:
            (template,) = Path(folder).glob("anfl-*.json")
            template.write_text('{"Resources": {}}')
        return "prod"

    deployed = Path(folder) / "deployed"
    cdk = Path(folder) / "cdk"
    cdk.write_text(f"#!/bin/sh\ntouch {deployed}\n")
    cdk.chmod(0o700)
    monkeypatch.setattr(gate, "CDK", cdk)
    monkeypatch.setattr(gate, "from_environment", lambda: None)
    monkeypatch.setattr(gate, "caller", lambda *_: SimpleNamespace(account="111122223333", arn="arn:of:somebody"))
    monkeypatch.setattr(gate, "_examine", lambda *_: [])
    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    status = gate.main(["--env", "prod", "--templates", folder])
    assert (status, deployed.exists()) == ((2, False) if changed else (0, True))
    assert ("synthesized anew" in capsys.readouterr().err) is changed
