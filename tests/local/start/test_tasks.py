"""One-off work of a start: its output, its failure, its abandonment."""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from local.environment import free_ports, is_free, isolated
from local.tasks import TaskError, in_thread, output_of


def run(script: str, log: Path, given: bytes = b"") -> bytes:
    command = (sys.executable, "-c", script)
    return asyncio.run(output_of("the thing", command, variables=isolated(), log=log, given=given))


def test_returns_what_was_printed(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write(sys.stdin.read().upper()); print('noise', file=sys.stderr)"

    assert run(script, tmp_path / "log", b"word") == b"WORD"
    assert (tmp_path / "log").read_text() == "noise\n"


def test_a_failure_has_the_last_words_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with pytest.raises(TaskError) as caught:
        run("import sys; print('no such stack', file=sys.stderr); sys.exit(4)", log)

    message = str(caught.value)
    assert "the thing failed (exit code 4)" in message
    assert "no such stack" in message
    assert str(log) in message


def test_an_abandoned_command_ends_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    script = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(note)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
"""

    async def abandon() -> None:
        command = (sys.executable, "-c", script)
        task = asyncio.create_task(output_of("it", command, variables=isolated(), log=tmp_path / "log"))
        while not note.exists() or not note.read_text():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(abandon())

    deadline = time.monotonic() + 5
    pids = [int(pid) for pid in note.read_text().split()]
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_thread_hands_over_its_result_or_error() -> None:
    assert asyncio.run(in_thread(lambda: 7)) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(in_thread(lambda: int("x")))


def test_a_thread_that_hangs_does_not_delay_an_interrupted_start() -> None:
    released = threading.Event()

    async def interrupted() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(lambda: released.wait(30)), 0.1)

    started = time.monotonic()
    asyncio.run(interrupted())
    released.set()
    assert time.monotonic() - started < 5


def test_nothing_of_the_users_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "http_proxy", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")

    environment = isolated()

    assert "canary" not in environment.values()
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))


def test_ports_are_free_and_differ() -> None:
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)
