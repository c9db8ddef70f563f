"""What a run tells a script."""

import json
from pathlib import Path

import pytest

from local.report import Reporter

DOCUMENT = {
    "environment": "dev",
    "region": "us-west-1",
    "api": "http://127.0.0.1:1",
    "ca": None,
    "services": {},
    "vault": "http://127.0.0.1:2",
    "aws_endpoint": "http://127.0.0.1:3",
    "pids": {"up": 7},
    "tokens": {"admin": "secret"},
    "vault_token": "secret",
}


def test_a_start_as_json_is_all_of_stdout_and_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(as_json=True)
    with reporter.step("Synthesize"):
        pass
    reporter.started(DOCUMENT, Path("local.json"), with_sample=True)

    told = capsys.readouterr()
    assert json.loads(told.out)["api"] == "http://127.0.0.1:1"
    assert "secret" not in told.out
    assert "Synthesize" in told.err
