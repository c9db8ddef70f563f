"""Programs are kept running, reported when they cannot be, and never left behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.process import Program, ProgramFailedError, Supervisor

SERVER = """
import http.server, os, signal, subprocess, sys
if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.environ.get("OFFSPRING"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    open(os.environ["OFFSPRING"], "w").write(str(child.pid))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def program(tmp_path: Path, port: int) -> Callable[..., Program]:
    def build(script: str = SERVER, *, restarts: bool = True, **changes: Any) -> Program:
        environment = {"PORT": str(port), **changes.pop("environment", {})}
        return Program(
            name="tiny",
            command=(sys.executable, "-c", script),
            directory=tmp_path,
            environment=environment,
            log=tmp_path / "logs" / "tiny.log",
            health=f"http://127.0.0.1:{port}/",
            restarts=restarts,
            **{"start_seconds": 10, "grace_seconds": 3} | changes,
        )

    return build


def supervised(test: Callable[[Supervisor], Awaitable[None]], restarted: list[str] | None = None) -> None:
    """Run ``test`` with a supervisor and end everything it started."""
    seen = [] if restarted is None else restarted

    async def run() -> None:
        supervisor = Supervisor(on_restart=lambda name, _: seen.append(name))
        try:
            await asyncio.wait_for(test(supervisor), 30)
        finally:
            await supervisor.stop()

    asyncio.run(run())


async def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


def test_starts_serves_and_stops(program: Callable[..., Program]) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program())
        pid = supervisor.pids()["tiny"]
        assert psutil.pid_exists(pid)
        await supervisor.stop()
        assert not psutil.pid_exists(pid)
        assert supervisor.pids() == {}

    supervised(test)


def test_inherits_nothing_of_the_environment(program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "canary")

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program())
        environment = psutil.Process(supervisor.pids()["tiny"]).environ()
        assert "AWS_PROFILE" not in environment
        assert environment["PORT"]

    supervised(test)


def test_restarts_what_was_killed(program: Callable[..., Program]) -> None:
    restarted: list[str] = []

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program())
        first = supervisor.pids()["tiny"]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: restarted)
        assert supervisor.pids()["tiny"] != first

    supervised(test, restarted)


def test_end_of_what_cannot_be_restarted_is_fatal(program: Callable[..., Program]) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program(restarts=False))
        os.kill(supervisor.pids()["tiny"], signal.SIGKILL)
        with pytest.raises(ProgramFailedError, match=r"tiny was ended by SIGKILL.*tiny\.log"):
            await supervisor.failure()

    supervised(test)


def test_reports_a_crash_loop_once_with_its_reason(program: Callable[..., Program], tmp_path: Path) -> None:
    script = f"""
import os
if os.path.exists({str(tmp_path / "started")!r}):
    raise SystemExit("no disk left")
open({str(tmp_path / "started")!r}, "w").close()
{SERVER}"""

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program(script))
        os.kill(supervisor.pids()["tiny"], signal.SIGKILL)
        with pytest.raises(ProgramFailedError, match=r'exit code 1, for the 5th time.*"no disk left".*tiny\.log'):
            await supervisor.failure()

    supervised(test)


def test_reports_what_never_serves(program: Callable[..., Program]) -> None:
    async def test(supervisor: Supervisor) -> None:
        with pytest.raises(ProgramFailedError, match=r'exit code 3; it said last: "bad table"'):
            await supervisor.start(program("import sys; print('bad table', file=sys.stderr); sys.exit(3)"))
        with pytest.raises(ProgramFailedError, match="did not serve within 0 s"):
            await supervisor.start(program("import time; time.sleep(60)", start_seconds=0.3))

    supervised(test)


def test_kills_what_ignores_the_request_to_stop(program: Callable[..., Program]) -> None:
    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program(environment={"STUBBORN": "1"}, grace_seconds=0.5))
        pid = supervisor.pids()["tiny"]
        await supervisor.stop()
        assert not psutil.pid_exists(pid)

    supervised(test)


def test_stops_what_a_program_started_in_its_own_session(program: Callable[..., Program], tmp_path: Path) -> None:
    note = tmp_path / "offspring"

    async def test(supervisor: Supervisor) -> None:
        await supervisor.start(program(environment={"OFFSPRING": str(note)}))
        pid = int(note.read_text())
        assert psutil.pid_exists(pid)
        await supervisor.stop()
        await eventually(lambda: not running(pid))

    supervised(test)


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


PARENT = """
import asyncio, os, sys
from pathlib import Path
from local.process import Program, Supervisor

async def main():
    supervisor = Supervisor()
    await supervisor.start(Program(
        name="tiny", command=(sys.executable, "-c", sys.argv[1]), directory=Path.cwd(),
        environment=dict(os.environ), log=Path(sys.argv[2]), health=f"http://127.0.0.1:{os.environ['PORT']}/",
        restarts=True,
    ))
    print(supervisor.pids()["tiny"], flush=True)
    await supervisor.failure()

asyncio.run(main())
"""


def test_nothing_survives_a_killed_supervisor(port: int, tmp_path: Path) -> None:
    environment = {**os.environ, "PORT": str(port)}
    command = [sys.executable, "-c", PARENT, SERVER, str(tmp_path / "tiny.log")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
        asyncio.run(eventually(lambda: not running(pid)))


def test_the_reason_is_the_last_error_not_the_last_line(program: Callable[..., Program]) -> None:
    tiny = program()
    tiny.log.parent.mkdir()
    said = [("ERROR", "address already in use"), ("INFO", "shutdown complete")]
    tiny.log.write_text("".join(json.dumps({"level": level, "message": text}) + "\n" for level, text in said))
    assert 'it said last: "address already in use". Log:' in str(tiny.failure("ended"))
