"""Installs locked requirements for the target platform, whatever the host, from wheels alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bundling.errors import BundlingError
from bundling.functions import PYTHON_VERSION
from bundling.sources import ROOT

PLATFORM = "x86_64-manylinux_2_34"
"""Amazon Linux 2023, which Lambda's Python 3.13 runs on, has glibc 2.34."""
SECONDS = 600


def uv() -> str:
    """Path of the project's uv."""
    for candidate in (ROOT / ".tools" / "bin" / "uv", Path(sys.executable).with_name("uv")):
        if candidate.is_file():
            return str(candidate)
    raise BundlingError("uv is not installed: run 'make bundle', which brings it.")


def run(command: list[str], *, purpose: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return what it printed.

    :param environment: its environment variables; None: those of this process.
    :raises BundlingError: with the tool's last lines.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments of our own
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundlingError(f"{purpose} took longer than {SECONDS} s.") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BundlingError(f"{purpose} failed:\n{tail}")
    return done.stdout


def install(lock: Path, target: Path) -> None:
    """Install ``lock`` into ``target``.

    :raises BundlingError: a download, a hash or a missing wheel.
    """
    run(
        [
            *(uv(), "pip", "install", "--quiet", "--target", str(target), "--requirements", str(lock)),
            *("--python", sys.executable, "--python-version", PYTHON_VERSION, "--python-platform", PLATFORM),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-config"),
        ],
        purpose=f"Installing {lock.relative_to(ROOT)}",
    )
