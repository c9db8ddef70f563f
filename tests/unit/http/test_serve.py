"""A service on several processes: one address, all workers, and a stop that loses no request."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 20.0
PROGRAM = """
import asyncio, os, signal, sys, time
from anfl.http.answers import json_response
from anfl.http.serve import Listen, serve
from anfl.http.service import build
from anfl.processes import Process

async def who(request):
    if "slow" in request.query():
        await asyncio.sleep(1)
    return json_response(os.getpid())

def create():
    return build({}, verifier=None, max_body=1, ready=lambda: None, public={("GET", "/v1/openapi.json"): who})

def linger():
    signal.signal(signal.SIGTERM, lambda *_: time.sleep(float(sys.argv[2])) or sys.exit())
    while True:
        signal.pause()

beside = [Process(name="lingering", target=linger)]
serve(create, Listen(host="127.0.0.1", port=int(sys.argv[1]), workers=2, notice_seconds=0.3), beside=beside)
"""
WHO = "/v1/openapi.json"


@pytest.fixture(name="port")
def _port() -> int:
    from local.environment import free_ports

    return free_ports(1)[0]


@contextlib.contextmanager
def service(port: int, *, lingers: float = 0.0) -> Iterator["subprocess.Popen[bytes]"]:
    """:param lingers: seconds that a process beside the workers takes to end."""
    command = [sys.executable, "-c", PROGRAM, str(port), str(lingers)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    try:
        while len(workers(port)) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def workers(port: int) -> set[int]:
    """Who answers, by a number of new connections at the same time."""
    with contextlib.ExitStack() as stack:
        try:
            clients = [stack.enter_context(httpx.Client(trust_env=False)) for _ in range(16)]
            return {int(client.get(f"http://127.0.0.1:{port}{WHO}").json()) for client in clients}
        except httpx.TransportError:
            time.sleep(0.05)
            return set()


def test_all_workers_answer_at_one_address_and_a_dead_one_is_replaced(port: int) -> None:
    with service(port) as process:
        before = workers(port)
        victim = min(before)
        psutil.Process(victim).send_signal(signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while len((after := workers(port)) - {victim}) < 2:
            assert time.monotonic() < deadline
        assert process.poll() is None
        assert after != before


def test_a_worker_that_was_killed_has_nothing_at_work_any_more(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with service(port) as process:
        victim = min(workers(port))
        theirs = tmp_path / f"gauge_livesum_{victim}.db"
        assert theirs.exists()
        psutil.Process(victim).send_signal(signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while theirs.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (tmp_path / f"counter_{victim}.db").exists(), "what it counted stays"
        assert process.poll() is None


def test_a_stop_answers_what_is_running_and_accepts_nothing_more(port: int) -> None:
    with service(port) as process:
        children = psutil.Process(process.pid).children()
        answers: list[httpx.Response] = []
        url = f"http://127.0.0.1:{port}"
        running = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}{WHO}?slow=1", trust_env=False)))
        running.start()
        time.sleep(0.3)
        process.terminate()
        running.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
        assert [answer.status_code for answer in answers] == [200]
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}{WHO}", trust_env=False)
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_an_address_that_is_taken_is_said(port: int) -> None:
    with service(port):
        command = [sys.executable, "-c", PROGRAM, str(port)]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert second.returncode == 1
        assert f"127.0.0.1:{port} cannot be bound" in second.stderr


def test_once_the_workers_have_ended_connections_are_refused_whatever_still_ends_beside_them(port: int) -> None:
    """Who is refused asks another node at once; who is let in by nobody waits, and is reset in the end."""
    with service(port, lingers=5) as process:
        found = [psutil.Process(pid) for pid in workers(port)]
        process.terminate()
        psutil.wait_procs(found, timeout=PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert process.poll() is None
