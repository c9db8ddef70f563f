"""How long ``make synth`` takes beside an empty CDK app: ``python -m tests.benchmarks.synthesis [RUNS]``.

Both are run by the same CLI with the same flags, in turn, after one run of each that does not count. What matters is
the ratio of the pairs: it holds when the machine is busy with something else, which absolute times do not. (A machine
that is too busy for two processes at a time works against prod: there Python and Node work beside each other.)
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from stacks.settings import ROOT

RUNS = 5
BOUND = 3.0
"""How many times as long as an empty app synthesis of prod may take."""
_TIMEOUT_SECONDS = 300
_EMPTY = """from aws_cdk import App, Stack

app = App()
Stack(app, "Empty")
app.synth()
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One synthesis: seconds on the clock, and of the processor in all its processes."""

    wall: float
    cpu: float


def synthesize(folder: Path, output: Path, *, compiled: Path) -> Run:
    """Synthesize prod's stacks, or whatever the app in ``folder`` has.

    :param compiled: where Node keeps what it has compiled.
    :raises subprocess.CalledProcessError: it failed.
    """
    command = [str(ROOT / "node_modules" / ".bin" / "cdk"), "synth", "--quiet", "--no-notices", "--no-validation"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, "-c", "env=prod", "-o", str(output)],
        cwd=folder,
        env=os.environ | {"NODE_COMPILE_CACHE": str(compiled)},
        check=True,
        timeout=_TIMEOUT_SECONDS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall=time.perf_counter() - started, cpu=cpu)


def main(runs: int = RUNS) -> None:
    """Print medians and the ratio of the pairs."""
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary, "empty")
        empty.mkdir()
        (empty / "app.py").write_text(_EMPTY)
        shutil.copy(ROOT / "cdk.json", empty)
        compiled = Path(temporary, "compiled")  # jsii as it is keeps more there with each run of the empty app
        compiled.mkdir()
        pairs = [
            (
                synthesize(ROOT, Path(temporary, "prod.out"), compiled=compiled),
                synthesize(empty, Path(temporary, "empty.out"), compiled=compiled),
            )
            for _ in range(runs + 1)
        ][1:]
    for name, place in (("prod", 0), ("empty", 1)):
        wall = statistics.median(pair[place].wall for pair in pairs)
        cpu = statistics.median(pair[place].cpu for pair in pairs)
        sys.stdout.write(f"{name:<6} {wall:6.1f} s   {cpu:5.1f} s of processor\n")
    wall = statistics.median(prod.wall / empty.wall for prod, empty in pairs)
    cpu = statistics.median(prod.cpu / empty.cpu for prod, empty in pairs)
    sys.stdout.write(f"ratio  {wall:6.2f}     {cpu:5.2f}     of {runs} pairs, median; the bound is {BOUND:g}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
