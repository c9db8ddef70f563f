"""``anfl classes``: what is declared for an environment, that of the local run where none is named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anfl.cli.errors import CliError, ExitCode
from anfl.cli.main import app

DEV = {
    "name": "sample",
    "dimension": 384,
    "metric": "cosine",
    "strings": 4,
    "numbers": 4,
    "warm_throughput": None,
    "table": "anfl-dev-class-sample",
}


def test_programs_read_everything_that_is_declared() -> None:
    done = CliRunner().invoke(app, ["classes", "--env", "dev", "--json"])
    assert json.loads(done.output) == {"environment": "dev", "classes": [DEV]}


def test_people_read_a_line_a_class() -> None:
    said = CliRunner().invoke(app, ["classes", "--env", "prod"]).output
    header, line = (row.split() for row in said.splitlines())
    assert header == ["name", "dimension", "metric", "strings", "numbers", "table"]
    assert line == ["text-384", "384", "cosine", "10", "8", "anfl-prod-class-text-384"]


def test_the_local_runs_environment_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".anfl").mkdir()
    (tmp_path / ".anfl" / "local.json").write_text(json.dumps({"environment": "dev"}))
    monkeypatch.chdir(tmp_path)
    assert "anfl-dev-class-sample" in CliRunner().invoke(app, ["classes"]).output


def test_without_one_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["classes"])
    assert isinstance(done.exception, CliError)
    assert "--env" in str(done.exception)


def test_an_unknown_environment_is_named_with_those_there_are() -> None:
    done = CliRunner().invoke(app, ["classes", "--env", "staging"])
    assert isinstance(done.exception, CliError)
    assert done.exception.exit_code == ExitCode.USAGE
    assert "allowed: dev, prod" in str(done.exception)
