"""Load by ``wrk``, a C program: a client in Python would be what is measured."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.benchmarks.errors import BenchmarkError

_SCRIPT = Path(__file__).with_name("wrk.lua")
GRACE_SECONDS = 30


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one run found. Latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    longest: float
    refused: int
    """Answers other than 2xx, and connections that broke."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def require() -> None:
    """:raises BenchmarkError: wrk is not on this machine."""
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is not on the PATH; Debian has it: apt-get install wrk.")


def write_bodies(path: Path, bodies: Sequence[bytes]) -> Path:
    """Request bodies for `run`, one a line."""
    path.write_bytes(b"\n".join(bodies) + b"\n")
    return path


def run(url: str, bodies: Path, *, connections: int, seconds: float, token: str | None = None) -> Load:
    """POST the ``bodies`` to ``url`` in turn, each connection as soon as it has its answer.

    :raises BenchmarkError: something other than answers 2xx came back.
    """
    load = start(url, bodies, connections=connections, seconds=seconds, token=token)
    return finish(load, seconds)


def start(
    url: str, bodies: Path, *, connections: int, seconds: float, token: str | None = None
) -> "subprocess.Popen[str]":
    """Begin what `finish` ends."""
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    command = ["wrk", *options, url, "--", str(bodies), token or ""]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(load: "subprocess.Popen[str]", seconds: float) -> Load:
    """Wait for a run.

    :raises BenchmarkError: see `run`.
    """
    try:
        output, said = load.communicate(timeout=seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        load.kill()
        raise BenchmarkError("wrk does not end.") from None
    line = next((line for line in output.splitlines() if line.startswith('{"requests"')), None)
    if load.returncode or line is None:
        raise BenchmarkError(f"wrk failed: {said or output}")
    found = msgspec.json.decode(line, type=Load)
    if found.refused or not found.requests:
        raise BenchmarkError(f"{found.refused} of {found.requests} requests failed.")
    return found
