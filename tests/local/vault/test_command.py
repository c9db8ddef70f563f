"""The executable that test suites find on PATH instead of the `vault` binary."""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import hvac
import requests

VAULT = Path(__file__).parents[3] / "local" / "vault" / "bin" / "vault"
ENVIRONMENT = {"PATH": os.environ["PATH"], "ANFL_PYTHON": sys.executable}


def test_version_has_the_shape_that_harnesses_parse() -> None:
    answer = subprocess.run([VAULT, "-version"], env=ENVIRONMENT, capture_output=True, text=True, check=True)

    name, told, *_ = answer.stdout.split()
    assert (name, told[0], told.count(".")) == ("Vault", "v", 2)


def test_the_client_whose_tests_are_run_is_the_one_in_use() -> None:
    pinned = (VAULT.parents[3] / "tests" / "hvac_client" / "source.txt").read_text()

    assert f"hvac=={version('hvac')} " in pinned


def test_unknown_command_explains_itself() -> None:
    answer = subprocess.run([VAULT, "kv", "get"], env=ENVIRONMENT, capture_output=True, text=True, check=False)

    assert answer.returncode == 2
    assert "server -config" in answer.stderr


def test_server_starts_empty_and_stops_on_sigterm(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    configuration = tmp_path / "vault.json"
    configuration.write_text(json.dumps({"listener": {"tcp": {"address": address, "tls_disable": True}}}))
    process = subprocess.Popen([VAULT, "server", f"-config={configuration}"], env=ENVIRONMENT)
    try:
        client = hvac.Client(url=f"http://{address}", token="")
        deadline = time.monotonic() + 20
        while True:
            try:
                assert client.sys.read_health_status().status_code == 501
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
        made = client.sys.initialize(secret_shares=1, secret_threshold=1)
        client.sys.submit_unseal_key(made["keys"][0])
        client.token = made["root_token"]
        assert client.is_authenticated()
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0
