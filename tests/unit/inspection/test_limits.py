"""A bomb or a hang costs no more than its limits, and the files after it are inspected all the same."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from anfl.inspection.codes import Code, Status
from anfl.inspection.inspector import FileSource, Local, inspect_files
from anfl.inspection.limits import MIB, Limits
from anfl.inspection.sandbox import Sandbox, SandboxError
from tests.unit.inspection.corpus.onnx_models import endless

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not have these limits")


@pytest.fixture(name="good")
def _good(tmp_path: Path) -> Path:
    path = tmp_path / "good.npy"
    np.save(path, np.arange(9))
    return path


@pytest.fixture(name="sandbox")
def _sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    limits = Limits(memory_bytes=256 * MIB, run_seconds=10_000)
    with Sandbox(limits=limits, scratch=tmp_path, grace=0.5) as sandbox:
        yield sandbox


def codes(sandbox: Sandbox, path: Path, *, seconds: float = 60) -> list[Code]:
    return [noted.code for noted in sandbox.examine(path.name, path, seconds=seconds).noted]


def source(path: Path, *, name: str | None = None, sha256: str | None = None) -> FileSource:
    return FileSource(path=name or path.name, size=path.stat().st_size, local=partial(Local, path), sha256=sha256)


def test_a_model_that_never_ends_is_stopped(sandbox: Sandbox, tmp_path: Path, good: Path) -> None:
    hang = tmp_path / "endless.onnx"
    hang.write_bytes(endless().SerializeToString())
    assert codes(sandbox, hang, seconds=1) == [Code.TIME_LIMIT]
    assert codes(sandbox, good) == []


def test_a_process_that_sleeps_forever_is_ended(sandbox: Sandbox, tmp_path: Path, good: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody ever writes to it
    assert codes(sandbox, pipe, seconds=0.1) == [Code.TIME_LIMIT]
    assert codes(sandbox, good) == []


@LINUX
def test_a_document_that_fills_the_memory_is_stopped(sandbox: Sandbox, tmp_path: Path, good: Path) -> None:
    bomb = tmp_path / "config.json"
    bomb.write_bytes(b"[" + b"{}," * 5_000_000 + b"{}]")
    assert codes(sandbox, bomb) == [Code.MEMORY_LIMIT]
    assert codes(sandbox, good) == []


def test_processes_that_die_spoil_one_verdict(sandbox: Sandbox, good: Path) -> None:
    assert codes(sandbox, good) == []
    assert sandbox._process is not None
    sandbox._process.kill()
    assert codes(sandbox, good) == [Code.INSPECTION_FAILED]
    assert codes(sandbox, good) == []


def test_an_inspection_that_cannot_begin_is_no_verdict(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anfl.inspection.sandbox._START", "raise SystemExit")
    with pytest.raises(SandboxError, match="do not start"):
        inspect_files([source(good)])


def test_the_limited_processes_know_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-function")
    monkeypatch.setattr("anfl.inspection.sandbox._START", "import os, sys\nsys.stderr.write(repr(os.environ))")
    told = tmp_path / "environment"
    with told.open("w") as file, Sandbox(limits=Limits(), scratch=tmp_path) as sandbox:
        monkeypatch.setattr("anfl.confined.processes.subprocess.Popen", partial(subprocess.Popen, stderr=file))
        with pytest.raises(SandboxError):
            sandbox.examine("x", tmp_path / "x", seconds=1)
    environment = told.read_text()
    assert "'OPENBLAS_NUM_THREADS': '1'" in environment
    assert "AWS" not in environment


def test_what_exceeds_the_numbers_of_the_limits_is_quarantined(good: Path) -> None:
    for limits, code in (
        (Limits(files=1), "too_many_files"),
        (Limits(file_bytes=10), "too_large"),
        (Limits(total_bytes=300), "too_large"),
        (Limits(seconds=0), "time_limit"),
    ):
        report = inspect_files([source(good), source(good, name="again.npy")], limits=limits)
        assert report.status is Status.QUARANTINED
        assert {reason.code for reason in report.reasons} == {code}


def test_another_checksum_than_the_recorded_one_is_rejected(good: Path) -> None:
    report = inspect_files([source(good, sha256="0" * 64)])
    assert [(reason.code, reason.file) for reason in report.reasons] == [("checksum_mismatch", "good.npy")]
    assert report.status is Status.REJECTED
    assert inspect_files([source(good, sha256=report.files[0].sha256)]).status is Status.VALIDATED


def test_unpacked_files_are_bounded_together(tmp_path: Path) -> None:
    from tests.unit.inspection.corpus.archives import zipped

    inner = zipped(("a.txt", b"a" * 3 * MIB))
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped(("inner.zip", inner)))
    report = inspect_files([source(path)], limits=Limits(unpacked_bytes=5 * MIB))
    assert [(reason.code, reason.file) for reason in report.reasons] == [("too_large", "outer.zip!inner.zip!a.txt")]
    assert inspect_files([source(path)], limits=Limits(unpacked_bytes=7 * MIB)).status is Status.VALIDATED


_CONFINED = """
import ctypes, errno, fcntl, os, platform, socket, subprocess, sys, threading
from anfl.confined import confinement

confinement.limit(memory_bytes=256 * 2**20, file_bytes=1000, seconds=60)
assert confinement.forbid_calls()

def refused(number, call):
    try:
        call()
    except OSError as error:
        return error.errno == number
    return False

assert refused(errno.EPERM, socket.socket)
assert refused(errno.EPERM, lambda: os.execv(sys.executable, [sys.executable]))
assert refused(errno.EPERM, os.fork)
assert refused(errno.EPERM, lambda: os.kill(os.getppid(), 0))
library = ctypes.CDLL(None, use_errno=True)

def called(name, *arguments):
    def call():
        if library.syscall(NUMBERS[name], *map(ctypes.c_long, arguments)) < 0:
            raise OSError(ctypes.get_errno(), name)
    return call

X86 = platform.machine() == "x86_64"
NUMBERS = {
    "tkill": 200 if X86 else 130, "tgkill": 234 if X86 else 131, "rt_sigqueueinfo": 129 if X86 else 138,
    "rt_tgsigqueueinfo": 297 if X86 else 240, "pidfd_open": 434, "pidfd_send_signal": 424,
    "prlimit64": 302 if X86 else 261,
}
parent, own = os.getppid(), os.getpid()
assert refused(errno.EPERM, called("tkill", parent, 0))
assert refused(errno.EPERM, called("tgkill", parent, parent, 0))
assert refused(errno.EPERM, called("rt_sigqueueinfo", parent, 0, 0))
assert refused(errno.EPERM, called("rt_tgsigqueueinfo", parent, parent, 0, 0))
assert refused(errno.EPERM, called("pidfd_open", parent, 0))
assert refused(errno.EPERM, called("pidfd_send_signal", 0, 0, 0, 0))
assert refused(errno.EPERM, called("prlimit64", parent, 0, 0, 0))
assert refused(errno.EPERM, lambda: os.setpriority(os.PRIO_PROCESS, parent, 19))
assert refused(errno.EPERM, lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
assert refused(errno.EPERM, lambda: os.sched_setaffinity(parent, {min(os.sched_getaffinity(0))}))
assert refused(errno.EPERM, lambda: os.sched_setscheduler(parent, os.SCHED_IDLE, os.sched_param(0)))
reading, writing = os.pipe()  # who owns one is sent a signal of one's choice once something comes
assert refused(errno.EPERM, lambda: fcntl.fcntl(reading, 8, parent))  # F_SETOWN
assert refused(errno.EPERM, lambda: fcntl.fcntl(reading, 10, 9))  # F_SETSIG
assert refused(errno.EPERM, lambda: fcntl.fcntl(reading, 15, bytes(8)))  # F_SETOWN_EX
assert refused(errno.EPERM, lambda: fcntl.ioctl(reading, 0x8901, parent))  # FIOSETOWN
assert refused(errno.EPERM, lambda: fcntl.ioctl(reading, 0x8902, parent))  # SIOCSPGRP
assert fcntl.fcntl(reading, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
called("tgkill", own, threading.get_native_id(), 0)()  # abort() needs it
called("prlimit64", 0, 0, 0, 0)()  # as libc asks for the own limits
file = open(sys.argv[1], "wb", buffering=0)
assert file.write(bytes(1000)) == 1000
assert refused(errno.EFBIG, lambda: file.write(b"x"))
file.close()
try:
    bytearray(300 * 2**20)
except MemoryError:
    pass
else:
    raise AssertionError("memory is not limited")
done = []
thread = threading.Thread(target=done.append, args=(1,))
thread.start(); thread.join()
assert done
print("confined")
"""


@LINUX
def test_a_confined_process_has_no_network_programs_processes_or_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CONFINED, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("confined\n", "")


_TAKEN_OVER = """
import sys
from pathlib import Path
from anfl import start
from anfl.inspection import sandbox
from anfl.inspection.limits import Limits

start.begin()
sandbox._START = '''
import os
from anfl.inspection import zygote
from anfl.inspection.codes import Code
from anfl.inspection.examination import Examination, Noted

def opens(place):
    try:
        open(place, "rb").close()
    except OSError as error:
        return error.strerror
    return "opened"

def taken_over(name, path, **_):
    maker = os.getppid()
    with open(f"/proc/{maker}/stat") as stat:
        function = stat.read().rpartition(")")[2].split()[1]
    places = [f"/proc/{process}/{what}" for process in (maker, function) for what in ("mem", "environ")]
    return Examination(noted=[Noted(name, Code.INSPECTION_FAILED, opens(place)) for place in places])

zygote.examine = taken_over
zygote.main()
'''
folder = Path(sys.argv[1])
with sandbox.Sandbox(limits=Limits(), scratch=folder) as made:
    print([noted.detail for noted in made.examine("good.npy", folder / "good.npy", seconds=60).noted])
"""
_TWO_SANDBOXES = """
import ctypes
import sys
from pathlib import Path
from anfl.inspection import sandbox
from anfl.inspection.limits import Limits

def dumpable():
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)

folder = Path(sys.argv[1])
seen = [dumpable()]
with sandbox.Sandbox(limits=Limits(), scratch=folder) as first:
    first.examine("good.npy", folder / "good.npy", seconds=60)
    with sandbox.Sandbox(limits=Limits(), scratch=folder) as second:
        second.examine("good.npy", folder / "good.npy", seconds=60)
    seen.append(dumpable())
print([*seen, dumpable()])
"""


@LINUX
def test_a_process_stays_hidden_until_the_last_of_its_sandboxes_is_closed(good: Path) -> None:
    command = [sys.executable, "-c", _TWO_SANDBOXES, str(good.parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split("\n")[0] == "[1, 0, 1]"


_DROP, _CAPABILITIES = 24, 41  # prctl(2), capabilities(7)


def without_capabilities() -> None:
    """Root may look at whatever it likes; a function is no root."""
    library = ctypes.CDLL(None)
    for capability in range(_CAPABILITIES):
        library.prctl(_DROP, capability, 0, 0, 0)


@LINUX
def test_a_process_that_somebody_has_taken_over_reaches_no_memory_but_its_own(good: Path) -> None:
    """By the memory of the function, or of who makes the processes, it would have credentials and a network."""
    command = [sys.executable, "-c", _TAKEN_OVER, str(good.parent)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=without_capabilities
    )
    assert done.stdout == f"{['Permission denied'] * 4}\n", done.stderr
