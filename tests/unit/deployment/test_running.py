"""One check cannot take the others with it, and no silence passes for good news."""

import socket
from typing import Any

import boto3
import pytest
from botocore.config import Config

from deployment.preflight.account import Account, CredentialsError, UnansweredError, config_for, from_environment
from deployment.preflight.results import Check, Outcome, Result, Verdict, ok, passes, warning
from deployment.preflight.running import run


def check(name: str, look: Any) -> Check:
    """A check that does what ``look`` does."""
    return Check(id=name, region=None, look=look)


def raises(error: Exception) -> Any:
    """What raises ``error``."""

    def look() -> Verdict:
        raise error

    return look


@pytest.fixture
def silent() -> Account:
    """An account behind a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test")
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)

    def connect(service: str, region: str) -> Any:
        return session.client(  # type: ignore[call-overload]
            service, region_name=region, endpoint_url=f"http://127.0.0.1:{port}", config=config
        )

    return Account(connect)


def test_results_keep_the_order_of_the_checks_and_progress_reaches_the_end() -> None:
    seen = []
    results = run([check(name, lambda: ok("well")) for name in "abc"], progress=lambda *made: seen.append(made))
    assert [result.id for result in results] == ["a", "b", "c"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("error", [UnansweredError("silence"), KeyError("Value"), RuntimeError("broken")])
def test_a_check_that_cannot_be_made_fails_the_gate_with_its_reason_and_no_other(error: Exception) -> None:
    broken, whole = run([check("broken", raises(error)), check("whole", lambda: ok("well"))])
    assert (broken.outcome, whole.outcome) == (Outcome.NOT_CHECKED, Outcome.OK)
    assert str(error) in broken.found
    assert broken.remedy
    assert not passes([broken, whole])


def test_a_service_that_is_silent_is_asked_once(silent: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> Verdict:
        silent.ask("sts", "get_caller_identity", region="us-east-1")
        return ok("never")

    first = run([check("a", ask)])[0]
    monkeypatch.setattr(silent, "_client", raises(AssertionError("asked again")))
    second = run([check("b", ask)])[0]
    assert first.outcome is second.outcome is Outcome.NOT_CHECKED
    assert "sts in us-east-1 does not answer" in first.found == second.found


def test_bad_credentials_end_all_checks() -> None:
    with pytest.raises(CredentialsError):
        run([check("a", raises(CredentialsError("expired"))), check("b", lambda: ok("well"))])


@pytest.mark.parametrize("service", ["ec2", "service-quotas"])
def test_every_question_is_bounded_in_time_and_in_attempts(service: str) -> None:
    config: Any = config_for(service)  # its attributes are made at run time
    assert 0 < config.connect_timeout < 10
    assert 0 < config.read_timeout < 30
    assert 1 < config.retries["total_max_attempts"] < 10


def test_a_profile_that_does_not_exist_is_a_matter_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys-profile")
    with pytest.raises(CredentialsError, match="nobodys-profile"):
        from_environment()


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(Outcome.OK, True), (Outcome.WARNING, True), (Outcome.FAILED, False), (Outcome.NOT_CHECKED, False)],
)
def test_what_lets_a_deployment_begin(outcome: Outcome, expected: bool) -> None:
    result = Result(id="a", region=None, outcome=outcome, found="", remedy="")
    assert passes([result]) is expected


def test_a_warning_says_what_to_do() -> None:
    (result,) = run([check("a", lambda: warning("odd", "look at it"))])
    assert (result.outcome, result.remedy) == (Outcome.WARNING, "look at it")
