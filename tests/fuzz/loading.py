"""``python loading.py FOLDER [MODULE …]``: load each pickle of a folder, and print the names of those that end the
process. It imports nothing of ANFL's, so that an interpreter with other libraries can run it.
"""

import contextlib
import faulthandler
import gc
import importlib
import os
import pickle
import resource
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

TOGETHER = 64
"""Loaded in one process; where that dies, halves of them in others."""
_SECONDS, _BYTES = 20, 3 << 30


def deadly(files: Sequence[Path]) -> Iterator[Path]:
    """Those of ``files`` that end a process that loads, prints and drops them."""
    for start in range(0, len(files), TOGETHER):
        yield from _deadly_of(files[start : start + TOGETHER])


def _deadly_of(files: Sequence[Path]) -> Iterator[Path]:
    if not _dies(files):
        return
    if len(files) == 1:
        yield files[0]
        return
    half = len(files) // 2
    yield from _deadly_of(files[:half])
    yield from _deadly_of(files[half:])


def _dies(files: Sequence[Path]) -> bool:
    process = os.fork()
    if process == 0:
        _load(files)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def _load(files: Sequence[Path]) -> None:
    faulthandler.disable()  # it is expected
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for file in files:
        with contextlib.suppress(BaseException):
            made = pickle.loads(file.read_bytes())  # noqa: S301 - what this is about
            repr(made)
            del made
    gc.collect()
    os._exit(0)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for found in deadly(sorted(Path(sys.argv[1]).iterdir())):
        sys.stdout.write(f"{found.name}\n")
