"""Starts what ``make run`` starts, on free ports and in a folder of its own."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
from botocore.config import Config

from local.environment import free_ports
from local.state import REPOSITORY

START_SECONDS = 240
STOP_SECONDS = 60
MAIN = "from anfl.__main__ import main; main()"


@dataclass(kw_only=True)
class Run:
    """A local run; ``document`` is its ``local.json``."""

    process: "subprocess.Popen[bytes]"
    state: Path
    output: Path
    port: int
    document: dict[str, Any]

    def client(self, role: str | None = None) -> httpx.Client:
        """A client of the gateway with the role's token, or without one."""
        headers = {} if role is None else {"authorization": f"Bearer {self.document['tokens'][role]}"}
        ca = self.document["ca"]
        verify = True if ca is None else ssl.create_default_context(cafile=ca)
        return httpx.Client(base_url=self.document["api"], headers=headers, timeout=40, trust_env=False, verify=verify)

    def current(self) -> dict[str, Any]:
        """``local.json`` as it is now."""
        document: dict[str, Any] = json.loads((self.state / "local.json").read_text())
        return document

    def family(self) -> list[psutil.Process]:
        """The run's process and everything below it."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def told(self) -> str:
        """What it printed, and the end of every log: for a failed test's message."""
        logs = sorted((self.state / "logs").glob("*.log"))
        parts = [self.output.read_text(), *(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in logs)]
        return "\n".join(parts)


def operator(run: Run, service: Any) -> Any:
    """A client of the embedded AWS that may do everything."""
    session = boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local")
    config = Config(proxies={}, read_timeout=120, retries={"total_max_attempts": 1})
    place = {"endpoint_url": run.document["aws_endpoint"], "region_name": run.document["region"]}
    return session.client(service, config=config, **place)


def cli(state: Path, command: str, *options: str) -> list[str]:
    """The command line ``anfl <command>`` for the run in ``state``."""
    return [sys.executable, "-c", MAIN, command, "--state-dir", str(state), *options]


def hostile_environment(folder: Path) -> dict[str, str]:
    """A user's environment that would break a run, or reach a real account, if any of it were used."""
    canary = folder / "aws-config"
    canary.write_text("[profile canary]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:9\n")
    return {
        **os.environ,
        "AWS_PROFILE": "canary",
        "AWS_CONFIG_FILE": str(canary),
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
        "VAULT_ADDR": "http://127.0.0.1:9",
        "VAULT_TOKEN": "canary",
    }


def launch(folder: Path, *options: str) -> Run:
    """Start ``anfl up`` and return at once."""
    folder.mkdir(parents=True, exist_ok=True)
    state, output = folder / "state", folder / "output"
    [port] = free_ports(1)
    with output.open("wb") as file:
        process = subprocess.Popen(
            cli(state, "up", "--port", str(port), *options),
            cwd=REPOSITORY,
            env=hostile_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    return Run(process=process, state=state, output=output, port=port, document={})


def start(folder: Path, *options: str) -> Run:
    """Start ``anfl up`` and wait until it serves."""
    run = launch(folder, *options)
    deadline = time.monotonic() + START_SECONDS
    while not (run.state / "local.json").exists():
        assert run.process.poll() is None, f"anfl up ended with {run.process.returncode}:\n{run.told()}"
        assert time.monotonic() < deadline, f"anfl up did not serve in {START_SECONDS} s:\n{run.told()}"
        time.sleep(0.1)
    run.document = run.current()
    return run


def end(run: Run, number: int = signal.SIGINT) -> int:
    """Ask the run to stop and return its exit code; its whole family must be gone by then."""
    if run.process.poll() is not None:
        return run.process.returncode
    family = run.family()
    run.process.send_signal(number)
    try:
        code = run.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for member in family:
            member.kill()
        raise
    _, alive = psutil.wait_procs(family, timeout=5)
    for member in alive:
        member.kill()
    assert not alive, f"left behind: {alive}"
    return code
