"""Takes from the present process what reading a file does not need: memory, time, and calls of the system.

The limits hold for whatever a flaw of a parser would let a file do. On other systems than Linux some cannot be set.
"""

import ctypes
import errno
import math
import os
import platform
import resource
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OPEN_FILES = 64
_DUMPABLE, _NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 4, 38, 22, 2  # prctl(2)
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of classic BPF
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # offsets in seccomp_data
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_OTHER_ABI = 0x40000000
_THREAD = 0x10000
"""Of clone's flags: a thread, not a process."""
_SET_OWNER = (8, 10, 15), (0x8901, 0x8902)
"""F_SETOWN, F_SETSIG and F_SETOWN_EX of fcntl, FIOSETOWN and SIOCSPGRP of ioctl: who gets which signal when something
comes. Any process may be named, and any signal."""


@dataclass(frozen=True)
class _Calls:
    """Numbers of the system's calls on one kind of processor."""

    mark: int
    """Of the processor."""
    clone: int
    tgkill: int
    """Abort sends itself a signal by it."""
    prlimit64: int
    """libc reads the own limits by it."""
    fcntl: int
    ioctl: int
    denied: tuple[int, ...]
    """socket, socketpair, execve, execveat, (fork, vfork,) ptrace, process_vm_readv, process_vm_writev, kill, unshare,
    setns, bpf, io_uring_setup, pidfd_getfd, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal,
    pidfd_open; and what slows others down: setpriority, sched_setparam, sched_setscheduler, sched_setaffinity,
    sched_setattr, ioprio_set, migrate_pages, move_pages, perf_event_open, process_madvise."""


_CALLS = {
    "x86_64": _Calls(
        mark=0xC000003E,
        clone=56,
        tgkill=234,
        prlimit64=302,
        fcntl=72,
        ioctl=16,
        denied=(
            *(41, 53, 59, 322, 57, 58, 101, 310, 311, 62, 272, 308, 321, 425, 438, 200, 129, 297, 424, 434),
            *(141, 142, 144, 203, 314, 251, 256, 279, 298, 440),
        ),
    ),
    "aarch64": _Calls(
        mark=0xC00000B7,
        clone=220,
        tgkill=131,
        prlimit64=261,
        fcntl=25,
        ioctl=29,
        denied=(
            *(198, 199, 221, 281, 117, 270, 271, 129, 97, 268, 280, 425, 438, 130, 138, 240, 424, 434),
            *(140, 118, 119, 122, 274, 30, 238, 239, 241, 440),
        ),
    ),
}
_CLONE3 = 435
_counting = threading.Lock()
_hidden_by = 0
"""How many have asked for it and not undone it: while one of them needs it, it stays."""


def hide() -> bool:
    """Have the kernel keep the memory of the present process, and the environment that it began with, from others.

    Those of the same user, but for root's, could read and write it by a file (``/proc/<id>/mem``), whatever calls they
    are refused. Programs that it starts have to do so themselves. Whether it does: not where it is no Linux.
    """
    global _hidden_by
    with _counting:
        _hidden_by += 1
        return _let_others_look(0)


def show() -> None:
    """Undo one `hide`; the last one shows the process again."""
    global _hidden_by
    with _counting:
        _hidden_by = max(0, _hidden_by - 1)
        if _hidden_by == 0:
            _let_others_look(1)


def _let_others_look(how: int) -> bool:
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_DUMPABLE, how, 0, 0, 0) == 0)


def limit(*, memory_bytes: int, file_bytes: int, seconds: float, open_files: int = OPEN_FILES) -> None:
    """Bound what the process may use from now on.

    :param memory_bytes: address space beyond what it has.
    :param file_bytes: largest file that it may write.
    :param seconds: of processor time.
    :param open_files: at most, and at none it opens no further one; those that are open stay so.
    """
    processor = math.ceil(seconds) + 1
    limits = {
        resource.RLIMIT_AS: _address_space() + memory_bytes,
        resource.RLIMIT_CPU: processor,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with suppress(ValueError, OSError):  # where the system does not know the limit, or has a tighter one
            resource.setrlimit(kind, (most, most + 1 if kind == resource.RLIMIT_CPU else most))


def forbid_calls() -> bool:
    """Have the kernel refuse network, programs and processes, and reaching or signalling other ones, for good.

    Whether it does: not where it is no Linux, or an unknown processor, or forbidden itself.
    """
    known = _CALLS.get(platform.machine())
    if known is None or sys.platform != "linux":
        return False
    program = b"".join(struct.pack("=HBBI", *step) for step in _program(known, os.getpid()))
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(library.prctl(_SECCOMP, _FILTER, ctypes.create_string_buffer(header), 0, 0) == 0)


def _program(calls: _Calls, own: int) -> list[tuple[int, int, int, int]]:
    """Steps (code, steps to skip if true, if false, operand) of the filter that the kernel runs before each call."""
    refuse = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, calls.mark), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    steps += [(_AT_LEAST, 0, 1, _OTHER_ABI), refuse]
    for number in calls.denied:
        steps += [(_EQUAL, 0, 1, number), refuse]
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]  # libc takes clone instead
    for number, process in ((calls.tgkill, own), (calls.prlimit64, 0)):
        steps += [(_EQUAL, 0, 3, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 1, 0, process), refuse]
        steps += [(_LOAD, 0, 0, _NUMBER)]
    for number, commands in zip((calls.fcntl, calls.ioctl), _SET_OWNER, strict=True):
        refusals = [step for command in commands for step in ((_EQUAL, 0, 1, command), refuse)]
        steps += [(_EQUAL, 0, len(refusals) + 2, number), (_LOAD, 0, 0, _SECOND_ARGUMENT), *refusals]
        steps += [(_LOAD, 0, 0, _NUMBER)]
    steps += [(_EQUAL, 0, 3, calls.clone), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_HAS_BIT, 1, 0, _THREAD), refuse]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _address_space() -> int:
    """Bytes that the process has mapped."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
