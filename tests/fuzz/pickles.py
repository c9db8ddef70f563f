"""``python -m tests.fuzz.pickles``: changed pickles that the inspection lets pass are loaded; none may end a process.

NumPy's by itself. ``--with`` names an interpreter that has pandas, SciPy or scikit-learn, and ``--bases`` a folder of
pickles that these have written.
"""

import argparse
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from anfl.inspection.pickles.files import pickle_file
from tests.fault.output import say
from tests.fuzz import loading
from tests.fuzz.mutants import Mutator

_MODULES = ("numpy", "pandas", "scipy.sparse", "sklearn.ensemble", "sklearn.neighbors", "sklearn.svm")


def of_numpy() -> list[bytes]:
    """What NumPy writes, by each protocol."""
    whole = np.arange(4.0)
    made = [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.ones((3, 2), "f4")),
        np.array([True, False]),
        np.array([1, "a", None, [1]], dtype=object),
        np.array(["ab", "c"]),
        np.array([b"ab", b"c"]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.array([1, 2], dtype="m8[s]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]),
        np.zeros(2, dtype=[("a", "f4", (2, 2))]),
        np.zeros(2, "V4"),
        np.ma.array([1, 2], mask=[False, True]),
        np.float64(1.5),
        np.dtype("i4"),
        np.random.default_rng(1),
        np.random.RandomState(1),
        [whole, whole[:2], whole.T, whole],
        {"a": np.arange(3), "b": [1, 2.5, "x", b"y", {1, 2}, frozenset([3]), (1,), None, True, 10**30]},
    ]
    return [pickle.dumps(each, protocol) for each in made for protocol in (0, 2, 4, 5)]


def accepted(mutator: Mutator, folder: Path, *, mutants: int) -> int:
    """Write those of so many mutants into ``folder`` in which the inspection finds nothing; returns how many."""
    found = 0
    for number in range(mutants):
        file = folder / f"{number:06}.pkl"
        file.write_bytes(mutator.next())
        if pickle_file(file, tick=lambda: None):
            file.unlink()
        else:
            found += 1
    return found


def deadly(folder: Path, *, interpreter: str = sys.executable) -> list[str]:
    """Names of the pickles of ``folder`` that end a process of ``interpreter``'s which loads them."""
    command = [interpreter, loading.__file__, str(folder), *_MODULES]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def main() -> int:
    """1 where one that is let pass ends a process; it is kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.pickles", description=__doc__)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="random if not given")
    parser.add_argument("--with", dest="interpreter", default=sys.executable, help="python that loads them")
    parser.add_argument("--bases", type=Path, help="folder of pickles to change besides NumPy's")
    arguments = parser.parse_args()
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    bases = [*of_numpy(), *_harmless(sorted(arguments.bases.iterdir()) if arguments.bases else [])]
    with tempfile.TemporaryDirectory(prefix="pickles-") as folder:
        let_pass = accepted(Mutator(bases, seed=seed), Path(folder), mutants=arguments.mutants)
        say(f"seed {seed}: {arguments.mutants:,} mutants of {len(bases)} pickles, {let_pass:,} are let pass")
        names = deadly(Path(folder), interpreter=arguments.interpreter)
        for name in names:
            shutil.copy(Path(folder, name), f"deadly-{seed}-{name}")
            say(f"deadly-{seed}-{name} ends the process that loads it, and is let pass")
    say(f"{len(names)} of them end a process" if names else "none of them ends a process")
    return 1 if names else 0


def _harmless(files: Iterable[Path]) -> list[bytes]:
    return [file.read_bytes() for file in files if not pickle_file(file, tick=lambda: None)]


if __name__ == "__main__":
    sys.exit(main())
