"""Compiles a bundle's Python files when it is built: Lambda's read-only copy would compile at each cold start."""

import sys
from pathlib import Path

from bundling.functions import BYTECODE, PYTHON_VERSION
from bundling.requirements import run

TASK_ROOT = "/var/task"
"""Where Lambda unpacks a bundle; the code objects name their files below it."""


def skipped() -> str:
    """Why bundles built here hold no bytecode, and what to do; empty where they do."""
    if BYTECODE:
        return ""
    version = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"This is {version}: only CPython {PYTHON_VERSION} compiles for Lambda's. The bundles ship without bytecode "
        f"and start slower; 'make bundle' builds with the right one."
    )


def add(content: Path) -> None:
    """Put the bytecode of every Python file below ``content`` beside it; nothing to do where it would not fit.

    The same files give the same bytes: Lambda is told not to check sources (their times mean nothing in the archive),
    no path of this machine is recorded, and strings hash alike in each build, for the order of some names in the
    bytecode is that of a set (``__static_attributes__`` before Python 3.13.1).

    :raises BundlingError: naming a file that is not valid Python.
    """
    if not BYTECODE:
        return
    run(
        [
            *(sys.executable, "-s", "-S", "-P", "-W", "ignore", "-m", "compileall", "-q", "-j", "0"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(content), "-p", TASK_ROOT, str(content)),
        ],
        purpose="Compiling the bundle's Python files",
        environment={"PYTHONHASHSEED": "0"},
    )
