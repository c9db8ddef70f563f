"""The program as a whole."""

from typer.testing import CliRunner

from anfl.cli.main import app


def test_version_and_help() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output.startswith("anfl 0")
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "a multi-region vector store and model registry" in shown.output
    for command in ("up", "down", "status", "login", "collections", "vectors", "models", "invoke"):
        assert command in shown.output
