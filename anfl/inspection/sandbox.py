"""Has files examined in limited processes, which know nothing of this one: no credentials, no settings, no network."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

import msgspec

import anfl
from anfl.inspection import frames
from anfl.inspection.codes import Code
from anfl.inspection.examination import Examination, Noted
from anfl.inspection.limits import Limits

_START = """
import sys
sys.path[:] = sys.argv[1:]
from anfl.inspection.zygote import main
main()
"""
"""An import statement like any other: bundles hold what such statements name."""
_START_SECONDS = 60.0
_KEPT_VARIABLES = ("LANG", "LD_LIBRARY_PATH", "PATH")
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
_GRACE_SECONDS = 5.0


class SandboxError(RuntimeError):
    """No limited processes can be made here: nothing was inspected."""


class Sandbox:
    """Examines files one after the other; close it afterwards (or use it as a context)."""

    def __init__(self, *, limits: Limits, scratch: Path, grace: float = _GRACE_SECONDS) -> None:
        """:param scratch: folder for what must be unpacked; its content is the caller's to remove.

        :param grace: seconds beyond the time limit, in which an examination ends by itself and tells what it found.
        """
        self._limits = limits
        self._scratch = scratch
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def examine(self, name: str, path: Path, *, seconds: float) -> Examination:
        """Everything questionable in a file. Never raises because of what is in it.

        :param seconds: of processor time and, with a grace, of time.
        :raises SandboxError: whatever the file.
        """
        limits = msgspec.structs.replace(self._limits, seconds=seconds)
        request = frames.Request(
            name=name, path=os.fsencode(path.absolute()), scratch=os.fsencode(self._scratch.absolute()), limits=limits
        )
        process = self._process or self._started()
        try:
            frames.write(cast("IO[bytes]", process.stdin), msgspec.msgpack.encode(request))
            answer = self._answer(process, time.monotonic() + seconds + self._grace)
        except (OSError, ValueError):
            return self._given_up(name, Code.INSPECTION_FAILED, "its structure defeats the inspection")
        if answer is None:
            return self._given_up(name, Code.TIME_LIMIT, f"not inspected within {seconds:.0f} s")
        try:
            return msgspec.msgpack.decode(answer, type=Examination)
        except msgspec.MsgspecError:
            return self._given_up(name, Code.INSPECTION_FAILED, "its inspection told nothing that can be read")

    def close(self) -> None:
        """End the processes."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        root = str(Path(anfl.__file__).parents[1])
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, code of our own
            [sys.executable, "-I", "-S", "-c", _START, root, *(entry for entry in sys.path if entry)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=kept | _ONE_THREAD | {"TMPDIR": str(self._scratch)},
            cwd=self._scratch,
            start_new_session=True,
            bufsize=0,
        )
        try:
            ready = self._answer(self._process, time.monotonic() + _START_SECONDS)
        except (OSError, ValueError):
            ready = None
        if ready is None:
            self.close()
            raise SandboxError("The processes that inspect files do not start.")
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
        """The next message; None where none comes in time."""
        stream = _Timed(cast("IO[bytes]", process.stdout), deadline)
        try:
            answer = frames.read(cast("IO[bytes]", stream))
        except TimeoutError:
            return None
        if answer is None:
            raise ValueError("the processes ended")
        return answer

    def _given_up(self, name: str, code: Code, detail: str) -> Examination:
        self.close()
        return Examination(noted=[Noted(name, code, detail)])


class _Timed:
    """Reads from a pipe until a moment of the monotonic clock."""

    def __init__(self, stream: IO[bytes], deadline: float) -> None:
        self._descriptor = stream.fileno()
        self._deadline = deadline

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes: fewer at the end only.

        :raises TimeoutError: they do not come in time.
        """
        data = b""
        while len(data) < count:
            left = max(0.0, self._deadline - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(self._descriptor, count - len(data))
            if not piece:
                break
            data += piece
        return data
