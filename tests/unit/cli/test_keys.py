"""``anfl keys``: which functions it calls, and what it makes of their answers."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from anfl.cli import keys
from anfl.cli.main import app
from anfl.resources import Caretaker

ANSWER = {
    "active": 2,
    "pending": {"version": 3, "drawn_at": 0},
    "versions": [{"version": number, "drawn_at": 0} for number in (1, 2, 3)],
    "regions": [{"region": "us-east-1", "held": 2, "seen_at": 0, "problem": "Vault does not answer"}],
}


@pytest.fixture(name="calls")
def _calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    made: list[tuple[str, str, Any]] = []

    def call(function: Caretaker, event: Any, *, environment: str | None, region: str | None) -> tuple[Any, bool]:
        assert environment == "prod"
        made.append((str(region), function, event["operation"]))
        if (function, region) == (Caretaker.KEY_AGENT, "eu-west-1"):
            return {"errorMessage": "no way to Vault"}, True
        return ANSWER, False

    monkeypatch.setattr(keys, "call", call)
    return made


def test_the_state_is_the_home_regions(calls: list[tuple[str, str, Any]]) -> None:
    done = CliRunner().invoke(app, ["keys", "status", "--env", "prod", "--json"])

    assert done.exit_code == 0
    assert json.loads(done.output) == ANSWER
    assert calls == [("us-east-1", "key-leader", "status")]


def test_people_read_what_is_active_what_is_under_way_and_where_it_is_stuck(
    calls: list[tuple[str, str, Any]],  # noqa: ARG001 - answers
) -> None:
    said = CliRunner().invoke(app, ["keys", "status", "--env", "prod"]).output

    assert "Active: version 2." in said
    assert "Under way: version 3" in said
    assert "Vault does not answer" in said


def test_rotating_calls_leader_and_agents_and_tells_which_failed(calls: list[tuple[str, str, Any]]) -> None:
    done = CliRunner().invoke(app, ["keys", "rotate", "--env", "prod"])

    assert done.exit_code == 1
    assert "eu-west-1: key-agent in eu-west-1: no way to Vault" in done.output
    assert calls == [
        ("us-east-1", "key-leader", "rotate"),
        ("us-west-1", "key-agent", "run"),
        ("us-east-1", "key-agent", "run"),
        ("eu-west-1", "key-agent", "run"),
        ("us-east-1", "key-leader", "run"),
    ]


def test_without_a_local_run_it_says_how_to_name_another(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["keys", "status"])
    assert done.exit_code == 1
    assert "--env" in str(done.exception)


def test_rewrapping_goes_through_the_bucket_and_the_webhooks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def call(function: str, event: Any, *, environment: str | None, region: str | None) -> tuple[Any, bool]:
        assert (environment, region) == ("prod", "eu-west-1")
        asked.append((function, event["after"]))
        after = "demo/words/0123/" if asked == [("vector-processing", "")] else None
        turn = {"active": 2, "moved": 1, "kept": 2, "remaining": 0, "damaged": [], "after": after}
        return {"status": 200, "result": turn | {"sealed": int(function == "webhook-signer")}}, False

    monkeypatch.setattr(keys, "call", call)
    done = CliRunner().invoke(app, ["keys", "rewrap", "--env", "prod", "--region", "eu-west-1"])
    assert done.exit_code == 0
    assert "Moved to version 2: 3 keys; under it already: 6." in done.output
    assert "1 secret of webhooks stood in clear, and no more." in done.output
    assert asked == [("vector-processing", ""), ("vector-processing", "demo/words/0123/"), ("webhook-signer", "")]
