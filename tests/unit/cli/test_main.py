"""The program as a whole."""

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anfl.cli.errors import ExitCode
from anfl.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
PROBE = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["anfl", "collections", "list", "--endpoint", "http://127.0.0.1:1", *{options!r}]
runpy.run_module("anfl", run_name="__main__")
"""
"""Ctrl-C while ``module`` is imported."""


def interrupted(module: str, *options: str) -> "subprocess.CompletedProcess[str]":
    probe = PROBE.format(module=module, options=options)
    return subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)


def test_version_and_help() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output.startswith("anfl 0")
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "a multi-region vector store and model registry" in shown.output
    for command in ("up", "down", "status", "login", "collections", "vectors", "models", "invoke"):
        assert command in shown.output


@pytest.mark.parametrize("module", ["anfl.cli", "numpy", "anfl.cli.vectors"])
def test_whoever_interrupts_the_start_gets_a_line_and_no_traceback(module: str) -> None:
    done = interrupted(module)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "anfl: Interrupted.\n")


def test_whoever_reads_json_gets_json_then() -> None:
    assert json.loads(interrupted("anfl.cli", "--json").stdout)["error"]["code"] == "interrupted"


def test_a_command_that_is_interrupted_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anfl.cli.collections.resolve", interrupt)
    done = CliRunner().invoke(app, ["collections", "list"])
    assert (str(done.exception), getattr(done.exception, "exit_code", None)) == ("Interrupted.", ExitCode.INTERRUPTED)


def test_the_program_begins_where_it_can_be_interrupted() -> None:
    """Whatever is imported before `anfl.__main__` watches for Ctrl-C would end in a traceback."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["anfl"] == "anfl.__main__:main"
    probe = "import sys; before = set(sys.modules); import anfl.__main__; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {each for each in done.stdout.split() if each.partition(".")[0] not in sys.stdlib_module_names}
    assert heavy == {"anfl", "anfl.__main__", "anfl.interruption"}


def test_a_process_that_is_told_to_ignore_it_does() -> None:
    """As in the background of a shell."""
    probe = PROBE.format(module="typer", options=()).replace("signal.default_int_handler)", "signal.SIG_IGN)")
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.UNREACHABLE, (done.stderr, signal.SIGINT)
