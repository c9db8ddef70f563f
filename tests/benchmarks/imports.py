"""How long each function's handler takes to import from its built bundle, and how large the bundle is."""

import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import msgspec

from anfl.resources import Function
from bundling.functions import bundle_for
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.progress import Report

RUNS = 5
_TIMEOUT_SECONDS = 120
_CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
import handler
took = time.perf_counter() - started
assert handler.__file__.startswith(sys.argv[1]), handler.__file__
print(took * 1000)
"""


class ImportTime(msgspec.Struct, frozen=True, kw_only=True):
    """One function: its ``handler`` module's import in milliseconds, and the unpacked bundle in bytes."""

    function: str
    milliseconds: float
    """Median of ``runs``."""
    runs: list[float]
    unzipped_bytes: int


class ImportTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Every function, in the order of `anfl.resources.Function`."""

    functions: list[ImportTime]


def measure(report: Report) -> ImportTimes:
    """Measure every function.

    :raises BundleMissingError: a bundle is not built from the present sources.
    :raises BenchmarkError: a handler cannot be imported from its bundle.
    """
    archives = {function: bundle_for(function).require() for function in Function}
    return ImportTimes(functions=[measure_archive(name, path, report) for name, path in archives.items()])


def measure_archive(function: str, archive: Path, report: Report) -> ImportTime:
    """Measure one bundle, unpacked into a temporary folder.

    :raises BenchmarkError: its handler cannot be imported.
    """
    step = f"import {function}"
    report(step, 0)
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary).resolve() / "task"
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        runs: list[float] = []
        for done in range(RUNS):
            runs.append(_import_once(function, folder))
            report(step, (done + 1) / RUNS)
    return ImportTime(function=function, milliseconds=statistics.median(runs), runs=runs, unzipped_bytes=size)


def _import_once(function: str, folder: Path) -> float:
    """Milliseconds in a fresh interpreter that sees the standard library and ``folder``, nothing else.

    Lambda mounts bundles read-only, so what has no bytecode is compiled at each cold start; ``-B`` keeps that so here.
    """
    try:
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _CHILD, str(folder)],
            capture_output=True,
            text=True,
            env={},
            cwd=folder,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{function}: its handler was not imported within {_TIMEOUT_SECONDS} s.") from error
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise BenchmarkError(f"{function}: its handler cannot be imported from the bundle on this machine: {reason}")
    return float(child.stdout.splitlines()[-1])
