"""Start-up conflicts and the end of a run. The last of these tests ends the shared run: keep this file last."""

import contextlib
import json
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.local.end_to_end import running
from tests.local.end_to_end.running import Run


def anfl(state: Path, command: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        running.cli(state, command, *options), capture_output=True, text=True, timeout=120, check=False
    )


def test_state_file_is_private_and_complete(run: Run) -> None:
    path = run.state / "local.json"
    document = json.loads(path.read_text())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(document["tokens"]) == {"reader", "writer", "registrar", "approver", "operator", "admin"}
    assert set(document["services"]) == {"vector-store", "model-registry"}
    assert {"region", "api", "vault", "aws_endpoint", "pids"} <= set(document)
    assert all(psutil.pid_exists(pid) for pid in document["pids"].values())


def test_everything_listens_on_loopback_alone(run: Run) -> None:
    listening = set()
    for process in run.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has ended since listens nowhere
            connections = process.net_connections(kind="inet")
            listening |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}

    assert listening == {"127.0.0.1"}


def test_nothing_of_the_users_environment_reaches_a_process(run: Run) -> None:
    for process in run.family()[1:]:
        values = process.environ()
        leaked = {name for name, value in values.items() if "canary" in value.lower() or ":9" in value.split("/")[-1]}
        assert not leaked, (process.cmdline(), leaked)
        assert not {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "AWS_PROFILE"} & set(values)


def test_status_knows_every_program(run: Run) -> None:
    found = anfl(run.state, "status", "--json")

    assert found.returncode == 0, found.stdout + found.stderr
    programs = {program["program"]: program["state"] for program in json.loads(found.stdout)["programs"]}
    assert programs == dict.fromkeys(["aws", "vault", "gateway", "vector-store", "model-registry"], "serving")


def test_status_tells_what_is_only_a_placeholder(run: Run) -> None:
    assert "AWS::APS::RuleGroupsNamespace" in json.loads(anfl(run.state, "status", "--json").stdout)["placeholders"]
    assert "AWS::APS::RuleGroupsNamespace" in anfl(run.state, "status").stdout


def test_a_second_run_says_where_the_first_is(run: Run) -> None:
    second = anfl(run.state, "up", "--port", str(run.port))

    assert second.returncode == 1
    assert run.document["api"] in second.stdout + second.stderr
    assert str(run.process.pid) in second.stdout + second.stderr


def test_an_error_as_json_is_all_of_stdout(run: Run) -> None:
    second = anfl(run.state, "up", "--json")

    assert second.returncode == 1
    assert run.document["api"] in json.loads(second.stdout)["error"]


def test_a_port_in_use_is_named(run: Run, tmp_path: Path) -> None:
    other = anfl(tmp_path / "other", "up", "--port", str(run.port))

    assert other.returncode == 1
    assert f"Port {run.port}" in other.stdout + other.stderr


@pytest.mark.parametrize("seconds", [0.5, 6])
def test_interrupted_in_the_middle_of_its_start(tmp_path: Path, seconds: float) -> None:
    started = running.launch(tmp_path, "--no-sample")
    time.sleep(seconds)

    code = running.end(started, signal.SIGTERM)

    assert code != 0, started.told()
    assert not (started.state / "local.json").exists()


def test_stopped_without_leaving_a_process(run: Run) -> None:
    family = run.family()
    assert len(family) > 5

    stopped = anfl(run.state, "down")

    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert str(run.process.pid) in stopped.stdout
    assert "by force" not in stopped.stdout
    assert run.process.wait(10) == 0, run.told()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not (run.state / "local.json").exists()
