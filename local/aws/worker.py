"""One process that runs a function's handler, as a Lambda execution environment does."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from local.aws.runtime_api import Invocation, RuntimeApi

INIT_SECONDS = 10.0
"""Time to load the handler; a slower one gets the function's time-out on top, as in Lambda."""
WATCH_SECONDS = 0.025
FAMILY_SECONDS = 0.5
MB = 1024 * 1024
_LEASH = Path(__file__).parent.parent / "leash.py"
_HOST_VARIABLES = ("LANG", "LC_ALL", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """Everything that a worker must be started anew for."""

    name: str
    arn: str
    region: str
    handler: str
    memory: int
    """MB."""
    timeout: int
    """Seconds."""
    role: str
    storage: int
    """MB of temporary files."""
    runtime: str
    code_sha256: str
    environment: tuple[tuple[str, str], ...]
    """As declared in the template."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an invocation came to."""

    payload: bytes
    error: bool
    log: bytes
    """What the invocation wrote, at most 4 KB from its end."""
    alive: bool
    """Whether the worker can take another event."""


@dataclass(eq=False)
class Worker:
    """A function's process; one event at a time."""

    spec: FunctionSpec
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    log: Path
    scratch: Path
    """The worker's temporary directory, removed with it."""
    peak: int = field(default=0, init=False)
    """Most memory that it was seen to use, bytes."""

    def __post_init__(self) -> None:
        self._api = RuntimeApi()
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the runtime and the declared handler
                [sys.executable, "-IS", str(_LEASH), str(os.getpid()), *self.command],
                cwd=self.directory,
                env={**_host(), **self.environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watched = psutil.Process(self._process.pid)
        self._family: list[psutil.Process] = []
        self._family_at = 0.0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def run(self, request_id: str, event: bytes) -> Outcome:
        """Give the handler one event and wait for its answer, its end, its time-out or its memory limit."""
        start = self.log.stat().st_size
        began = time.monotonic()
        self._write(f"START RequestId: {request_id} Version: $LATEST\n")
        invocation = Invocation(request_id=request_id, event=event, arn=self.spec.arn, timeout=self.spec.timeout)
        self._api.offer(invocation)
        broken: tuple[str, str] | None = None
        while not invocation.settled.wait(WATCH_SECONDS) and broken is None:
            broken = self._broken(invocation, began)
        if invocation.result is not None:
            payload, error, alive = invocation.result, invocation.failed, True
        else:
            if broken is None:
                raise AssertionError("an invocation ends settled or broken")
            self._kill()
            kind, message = broken
            text = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}
            payload = self._api.init_error or json.dumps(text).encode()
            error, alive = True, False
            self._write(f"{text['errorMessage']}\n")
        self.peak = max(self.peak, self._memory())
        self._report(request_id, taken=invocation.taken_at, began=began)
        with self.log.open("rb") as log:
            log.seek(max(start, self.log.stat().st_size - 4096))
            tail = log.read(4096)
        return Outcome(payload=payload, error=error, log=tail, alive=alive)

    def stop(self) -> None:
        """End the process and what it started, and remove its files."""
        self._kill()
        self._api.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _broken(self, invocation: Invocation, began: float) -> tuple[str, str] | None:
        """Error type and message where the invocation cannot end well any more."""
        code = self._process.poll()
        if code is not None and not invocation.settled.is_set():
            how = f"signal: {signal.strsignal(-code) or -code}".lower() if code < 0 else f"exit status {code}"
            return "Runtime.ExitError", f"Runtime exited with error: {how}"
        since, limit = (invocation.taken_at, 0.0) if invocation.taken_at else (began, INIT_SECONDS)
        if time.monotonic() - since > limit + self.spec.timeout:
            return "Sandbox.Timedout", f"Task timed out after {self.spec.timeout:.2f} seconds"
        self.peak = max(self.peak, self._memory())
        if self.peak > self.spec.memory * MB:
            return "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"
        return None

    def _memory(self) -> int:
        """Bytes that the process and its children have touched and that no file backs.

        The address space would be no measure: numpy's BLAS reserves hundreds of megabytes that it never touches.
        """
        now = time.monotonic()
        used = 0
        try:
            if now - self._family_at > FAMILY_SECONDS:
                self._family, self._family_at = self._watched.children(recursive=True), now
            for process in (self._watched, *self._family):
                memory = process.memory_info()
                used += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:
            self._family = []
        return used

    def _report(self, request_id: str, *, taken: float | None, began: float) -> None:
        now = time.monotonic()
        init = f"\tInit Duration: {(taken - began) * 1000:.2f} ms" if taken and taken - began > 0.01 else ""
        self._write(
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {(now - (taken or began)) * 1000:.2f} ms"
            f"\tMemory Size: {self.spec.memory} MB\tMax Memory Used: {self.peak // MB} MB{init}\n"
        )

    def _write(self, text: str) -> None:
        with self.log.open("ab") as log:
            log.write(text.encode())

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(5)


def _host() -> dict[str, str]:
    """The little that a worker takes from this process: nothing with credentials, profiles or proxies."""
    return {name: os.environ[name] for name in _HOST_VARIABLES if name in os.environ}
