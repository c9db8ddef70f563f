"""The process that makes a limited process for each file: ``python -m anfl.inspection.zygote``.

It has the libraries loaded and looks at no file itself, so that a file that defeats its process spoils its own verdict
only. Requests come on standard input, examinations go to standard output.
"""

import os
import signal
import sys
from pathlib import Path

import msgspec

from anfl.confined import confinement, frames
from anfl.inspection.codes import Code
from anfl.inspection.examination import Examination, Noted
from anfl.inspection.examine import examine
from anfl.inspection.request import Request

_SKELETON_BYTES = 256 * 1024**2
_MAX_NOTED = 1000
_encode = msgspec.msgpack.encode


def main() -> None:
    """Say that all is loaded, then answer requests until there are no more."""
    confinement.hide()  # from the processes that it makes: it may do what they may not
    frames.write(sys.stdout.buffer, b"")
    while (message := frames.read(sys.stdin.buffer)) is not None:
        request = msgspec.msgpack.decode(message, type=Request)
        frames.write(sys.stdout.buffer, _in_a_process(request))


def _in_a_process(request: Request) -> bytes:
    """The encoded examination, made by a process that ends with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _answer(request, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as stream:  # noqa: PTH123 - a descriptor
        answer = stream.read(frames.MAX_BYTES)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return answer
    return _encode(Examination(noted=[_death(request.name, status)]))


def _answer(request: Request, writing: int) -> None:
    """Examine, tell, and end the process; what is not told is a failure."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    path = Path(os.fsdecode(request.path))
    limits = request.limits
    confinement.limit(
        memory_bytes=limits.memory_bytes + path.stat().st_size,
        file_bytes=max(limits.unpacked_bytes, _SKELETON_BYTES),
        seconds=limits.seconds,
    )
    confinement.forbid_calls()
    scratch = Path(os.fsdecode(request.scratch))
    found = examine(request.name, path, limits=limits, scratch=scratch, package_hosts=request.package_hosts)
    answer = _encode(msgspec.structs.replace(found, noted=found.noted[:_MAX_NOTED]))
    with open(writing, "wb") as stream:
        stream.write(answer)
    os._exit(0)


def _death(name: str, status: int) -> Noted:
    """Why a process ended that told nothing."""
    if not os.WIFSIGNALED(status):
        return Noted(name, Code.INSPECTION_FAILED, "its structure defeats the inspection")
    ended = signal.Signals(os.WTERMSIG(status))
    if ended is signal.SIGXCPU:
        return Noted(name, Code.TIME_LIMIT, "it takes more processor time than an inspection has")
    if ended is signal.SIGKILL:
        return Noted(name, Code.MEMORY_LIMIT, "the system ended its inspection, most likely for its memory")
    return Noted(name, Code.INSPECTION_FAILED, f"its inspection ended with {ended.name}")


if __name__ == "__main__":
    main()
