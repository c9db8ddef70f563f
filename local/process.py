"""Programs as child processes: started, watched, restarted, and never left behind."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

LEASH = Path(__file__).with_name("leash.py")
POLL_SECONDS = 0.05
CRASHES = 5
"""So many ends within `CRASH_WINDOW` seconds are a crash loop."""
CRASH_WINDOW = 60.0
FIRST_BACKOFF = 0.1
MAX_BACKOFF = 5.0


class ProgramFailedError(RuntimeError):
    """A program did not start, ended, or keeps ending. The message says which, why, and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    """The whole environment: nothing is inherited."""
    log: Path
    health: str
    """URL that answers below 400 as soon as the program serves."""
    ca: Path | None = None
    """Whom ``health`` is vouched for by, where it is HTTPS."""
    restarts: bool
    """Whether its end is repaired; otherwise it is fatal, because the program's state went with it."""
    start_seconds: float = 60
    grace_seconds: float = 10
    """From SIGTERM to SIGKILL."""

    def failure(self, what: str) -> ProgramFailedError:
        """An error with the last words of the log."""
        words = _last_words(_tail(self.log))
        said = f'; it said last: "{words[:300]}"' if words else ""
        return ProgramFailedError(f"{self.name} {what}{said}. Log: {self.log}")


class Supervisor:
    """Keeps programs running. Every method must be called in one event loop, in the main thread.

    (The kernel ties a child's leash to the thread that started it.)
    """

    def __init__(self, *, on_restart: Callable[[str, str], None] = lambda _name, _what: None) -> None:
        """``on_restart`` is told the program's name and what happened, after it serves again."""
        self._on_restart = on_restart
        self._running: dict[str, tuple[Program, asyncio.subprocess.Process]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False

    def pids(self) -> dict[str, int]:
        """Process id of every running program."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    async def start(self, program: Program) -> None:
        """Start a program and wait until it serves.

        :raises ProgramFailedError: it did not.
        """
        program.log.parent.mkdir(parents=True, exist_ok=True)
        program.log.write_bytes(b"")
        process = await self._spawn(program)
        if not await self._serves(program, process):
            raise program.failure(_ended(process.returncode, f"did not serve within {program.start_seconds:.0f} s"))
        self._keepers.append(asyncio.create_task(self._keep(program, process)))

    async def failure(self) -> None:
        """Wait for what cannot be repaired.

        :raises ProgramFailedError: always, when it happens.
        """
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """End every program; what does not end in its grace is killed.

        Those that hold the state go last, so that the others can bring their work to an end.
        """
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for holders_of_state in (False, True):
            ending = [found for found in self._running.values() if found[0].restarts is not holders_of_state]
            await asyncio.gather(*(_end(process, program.grace_seconds) for program, process in ending))
        self._running.clear()
        self._failed.cancel()

    def kill(self) -> None:
        """End everything this instant."""
        self._stopping = True
        for _, process in self._running.values():
            _signal_group(process.pid, signal.SIGKILL)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-IS",
                str(LEASH),
                str(os.getpid()),
                *program.command,
                cwd=program.directory,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone, so that we stop them in order
            )
        self._running[program.name] = (program, process)
        return process

    async def _serves(self, program: Program, process: asyncio.subprocess.Process) -> bool:
        deadline = time.monotonic() + program.start_seconds
        verify = True if program.ca is None else ssl.create_default_context(cafile=program.ca)
        async with httpx.AsyncClient(trust_env=False, timeout=2, verify=verify) as client:
            while process.returncode is None and time.monotonic() < deadline:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(program.health)).status_code < 400:
                        return True
                await asyncio.sleep(POLL_SECONDS)
        return False

    async def _keep(self, program: Program, process: asyncio.subprocess.Process) -> None:
        ends: deque[float] = deque(maxlen=CRASHES)
        while True:
            await process.wait()
            what = _ended(process.returncode, "stopped serving")
            ends.append(time.monotonic())
            if not program.restarts:
                return self._fail(program.failure(what))
            if len(ends) == CRASHES and ends[-1] - ends[0] < CRASH_WINDOW:
                return self._fail(program.failure(f"{what}, for the {CRASHES}th time in {CRASH_WINDOW:.0f} s"))
            _signal_group(process.pid, signal.SIGKILL)
            await asyncio.sleep(min(FIRST_BACKOFF * 2 ** (len(ends) - 1), MAX_BACKOFF))
            process = await self._spawn(program)
            if await self._serves(program, process):
                self._on_restart(program.name, what)
            elif process.returncode is None:
                await _end(process, 0)

    def _fail(self, error: ProgramFailedError) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    """SIGTERM, then SIGKILL after ``grace`` seconds; what it has started goes with it."""
    offspring = _offspring(process.pid)
    if process.returncode is None and grace:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    _signal_group(process.pid, signal.SIGKILL)
    for child in offspring:
        with contextlib.suppress(psutil.Error):
            child.kill()
    await process.wait()


def _offspring(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _signal_group(pid: int, number: int) -> None:
    """Signal the session that a program leads; it may have ended already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _ended(returncode: int | None, alive: str) -> str:
    if returncode is None:
        return alive
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


def _last_words(lines: list[str]) -> str:
    """The last error among structured log lines; where there is none, the last line."""
    last = ""
    for line in reversed(lines):
        last = last or line.strip()
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("level") in ("ERROR", "CRITICAL"):
                return str(entry.get("message", "")).strip()
    return last


def _tail(log: Path) -> list[str]:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace").splitlines()
    return []
