"""What somebody sees who starts the app with something wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from stacks import build
from tests.infrastructure.conftest import CONTEXT

Start = Callable[..., str]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Start the app with options like ``env=dev``; it must end with one message, which is returned."""
    monkeypatch.delenv("CDK_CLI_VERSION", raising=False)

    def run(*, bundled: bool = True, **options: Any) -> str:
        context = CONTEXT | options
        if not bundled:
            del context["aws:cdk:bundling-stacks"]
        monkeypatch.setattr(build, "App", lambda **settings: App(outdir=str(tmp_path), context=context, **settings))
        with pytest.raises(SystemExit) as caught:
            build.main()
        assert isinstance(caught.value.code, str), "a message, and so exit status 1"
        return caught.value.code

    return run


def test_an_unknown_environment(start: Start) -> None:
    assert start(env="staging") == "-c env=staging: there is no such environment; allowed: dev, prod"


def test_an_unknown_region(start: Start) -> None:
    assert start(env="dev", regions="mars-1").endswith("allowed: all, us-west-1, us-east-1, eu-west-1")


def test_a_bundle_that_is_not_built(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bundling.functions.BUILD", tmp_path / "nothing-built")
    assert "make bundle" in start(env="dev", bundled=False)


def test_another_command_line(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_CLI_VERSION", "3.0.0")
    assert "npx aws-cdk@2.1148.1" in start(env="dev")
