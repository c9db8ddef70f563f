"""All of prod, on one embedded AWS, by the real CDK CLI; the tests of a file go on from one another."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.aws.deploy import deploy, environment
from local.environment import isolated
from operations.synth import synthesize
from stacks.settings import ROOT
from tests.local.aws.conftest import Aws, running

ACCOUNT = "123456789012"
COMMAND_SECONDS = 300
# Ctrl-C must reach it although whoever runs the tests may run them in the background.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from anfl.cli.main import main; main()"
)


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account, the templates that are deployed to it, and whoever operates it."""

    aws: Aws
    templates: Path
    settings: Path
    """Folder of the settings files, which an operator edits."""
    folder: Path

    def deploy(self, *stacks: str) -> None:
        """``cdk deploy``; fails where a stack does."""
        log = self.folder / "deploy.log"
        asyncio.run(deploy(self.templates, self.aws.endpoint, log=log, stacks=stacks))

    def command(self, *arguments: str) -> list[str]:
        """``anfl`` as a process, with these settings."""
        return [sys.executable, "-c", _MAIN, *arguments, "--settings", str(self.settings)]

    def variables(self) -> dict[str, str]:
        """The operator's environment: this account, and no other that could be reached."""
        return environment(self.aws.endpoint)

    def anfl(self, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Run ``anfl`` to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables(),
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def stacks(self, regions: Sequence[str] = ("us-west-1", "us-east-1", "eu-west-1")) -> dict[tuple[str, str], str]:
        """(name, region) of what stands → its status."""
        return {
            (stack["StackName"], region): stack["StackStatus"]
            for region in regions
            for page in self.aws.client("cloudformation", region).get_paginator("describe_stacks").paginate()
            for stack in page["Stacks"]
        }

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Deployed resources of a type, as the embedded AWS describes them."""
        return [found for found in self.aws.get("/_anfl/resources") if found["type"] == kind]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    settings = folder / "settings"
    settings.mkdir()
    shutil.copy(ROOT / "architecture.yaml", settings)
    shutil.copytree(ROOT / "environments", settings / "environments")
    templates = folder / "cdk.out"
    context = {"env": "prod", "settings": str(settings)}
    asyncio.run(synthesize(templates, context=context, variables=isolated(), log=folder / "synth.log"))
    with running(folder) as aws:
        yield Account(aws=aws, templates=templates, settings=settings, folder=folder)
