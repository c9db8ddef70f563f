"""One run a directory, and files that nobody else can read."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.down import stop
from local.state import AlreadyRunningError, StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / ".anfl")


def test_a_second_run_is_told_where_the_first_is(state: StateDirectory) -> None:
    with (
        state.claimed("http://127.0.0.1:8420"),
        pytest.raises(AlreadyRunningError, match=rf"http://127\.0\.0\.1:8420 \(pid {os.getpid()}\)"),
        StateDirectory(state.path).claimed("http://127.0.0.1:9"),
    ):
        pytest.fail("claimed twice")


def test_a_released_directory_can_be_claimed_again(state: StateDirectory) -> None:
    with state.claimed("http://127.0.0.1:1"):
        state.publish({"api": "http://127.0.0.1:1"})
    assert state.holder() is None
    assert state.published() is None
    with state.claimed("http://127.0.0.1:2"):
        holder = state.holder()
        assert holder is not None
        assert holder.api == "http://127.0.0.1:2"


def test_what_a_killed_run_left_is_not_believed(state: StateDirectory) -> None:
    """Its pid may belong to another program by now: the time of its start tells."""
    state.path.mkdir()
    started = psutil.Process().create_time()
    lock = {"pid": os.getpid(), "created": started - 100, "api": "http://127.0.0.1:1"}
    (state.path / "up.lock").write_text(json.dumps(lock))
    (state.path / "local.json").write_text("{}")

    assert state.holder() is None
    assert stop(state) is None
    with state.claimed("http://127.0.0.1:2"):
        assert state.published() is None


def test_only_the_owner_can_read_what_is_published(state: StateDirectory) -> None:
    with state.claimed("http://127.0.0.1:1"):
        state.publish({"tokens": {"admin": "secret"}})
        assert stat.S_IMODE(state.document.stat().st_mode) == 0o600
        state.publish({"tokens": {"admin": "other"}})
        assert state.published() == {"tokens": {"admin": "other"}}
        assert stat.S_IMODE(state.document.stat().st_mode) == 0o600


HOLDER = """
import sys, time
from pathlib import Path
from local.state import StateDirectory

with StateDirectory(Path(sys.argv[1])).claimed("http://127.0.0.1:1"):
    print("claimed", flush=True)
    time.sleep(60)
"""


def test_down_stops_the_holder(state: StateDirectory) -> None:
    command = [sys.executable, "-c", HOLDER, str(state.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"

        assert stop(state) == f"Stopped http://127.0.0.1:1 (pid {process.pid})."
        assert process.poll() is not None
    assert state.holder() is None
