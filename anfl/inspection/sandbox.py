"""Has files examined in limited processes, which know nothing of this one: no credentials, no settings, no network.

As long as there are any, this process is hidden from them: its memory would give them all of that.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import IO, cast

import msgspec

from anfl.confined import confinement, frames, processes
from anfl.inspection.codes import Code
from anfl.inspection.examination import Examination, Noted
from anfl.inspection.limits import Limits
from anfl.inspection.request import Request

_START = """
from anfl.inspection.zygote import main
main()
"""
"""An import statement like any other: bundles hold what such statements name."""
_START_SECONDS = 60.0
_GRACE_SECONDS = 5.0


class SandboxError(RuntimeError):
    """No limited processes can be made here: nothing was inspected."""


class Sandbox:
    """Examines files one after the other; close it afterwards (or use it as a context)."""

    def __init__(
        self, *, limits: Limits, scratch: Path, package_hosts: tuple[str, ...] = (), grace: float = _GRACE_SECONDS
    ) -> None:
        """:param scratch: folder for what must be unpacked; its content is the caller's to remove.

        :param package_hosts: see `anfl.inspection.requirements.requirements`.
        :param grace: seconds beyond the time limit, in which an examination ends by itself and tells what it found.
        """
        self._limits = limits
        self._scratch = scratch
        self._package_hosts = package_hosts
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
        request = Request(
            name=name,
            path=os.fsencode(path.absolute()),
            scratch=os.fsencode(self._scratch.absolute()),
            limits=limits,
            package_hosts=self._package_hosts,
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
        if process is not None:
            processes.end(process)
            confinement.show()

    def _started(self) -> subprocess.Popen[bytes]:
        confinement.hide()
        self._process = processes.start(_START, folder=self._scratch)
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
        stream = frames.Timed(cast("IO[bytes]", process.stdout), deadline)
        try:
            answer = frames.read(stream)
        except TimeoutError:
            return None
        if answer is None:
            raise ValueError("the processes ended")
        return answer

    def _given_up(self, name: str, code: Code, detail: str) -> Examination:
        self.close()
        return Examination(noted=[Noted(name, code, detail)])
