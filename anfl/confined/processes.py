"""Starts this interpreter anew, without credentials and settings, to read what strangers sent."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anfl

_SETUP = "import sys; sys.path[:] = sys.argv[1:]\n"
_KEPT_VARIABLES = ("LANG", "LD_LIBRARY_PATH", "PATH")
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")


def start(code: str, *, folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process in a session of its own that runs ``code`` and is spoken to by unbuffered pipes; see `end`.

    :param folder: where it works, and keeps what is temporary.
    :param environment: further variables.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    root = str(Path(anfl.__file__).parents[1])
    return subprocess.Popen(  # noqa: S603 - this interpreter, code of our own
        [sys.executable, "-I", "-S", "-c", _SETUP + code, root, *(entry for entry in sys.path if entry)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=kept | _ONE_THREAD | {"TMPDIR": str(folder)} | dict(environment or {}),
        cwd=folder,
        start_new_session=True,
        bufsize=0,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started; one that has ended keeps its status."""
    if process.returncode is None:  # else its number may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
