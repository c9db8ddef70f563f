"""A parent and the processes it forks: started again when they die, stopped together, none left behind.

The parent imports everything and starts no thread, so that its children share the pages of the interpreter and of all
modules, and whatever memory it makes for them to share.
"""

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
SETTLED_SECONDS = 10.0
"""A process that has lived so long starts again at once, as if it had never died."""
DEATHS = 8
"""So many deaths of one process in a row, none of which had settled, end the parent: whoever runs it must decide."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process to keep running. ``target`` runs in the child until SIGTERM, and its return ends the child."""

    name: str
    target: Callable[[], None]
    niceness: int = 0
    last: bool = False
    """Others of the parent's need it: it is stopped once they have ended."""


@dataclass(kw_only=True)
class _Slot:
    """Where one process stands."""

    process: Process
    pid: int | None = None
    started: float = 0.0
    due: float = 0.0
    deaths: int = 0


@dataclass(kw_only=True)
class Parent:
    """Keeps ``processes`` running. `run` it in the main thread of a process that has no other."""

    processes: Sequence[Process]
    grace_seconds: float
    """From SIGTERM to SIGKILL for those that do not end."""
    last_grace_seconds: float = 2.0
    """As much as is left for those that are stopped last, at least."""
    before_stop: Callable[[], None] = lambda: None
    """Called once stopping begins, for example to close the listening socket."""
    on_end: Callable[[int], None] = lambda _pid: None
    """Told the process id of each that has ended."""
    _slots: list[_Slot] = field(default_factory=list, init=False)
    _stopping: bool = field(default=False, init=False)

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a process cannot be kept alive; returns the exit status."""
        wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page it shares
        self._slots = [_Slot(process=process) for process in self.processes]
        status = 0
        while not self._stopping:
            for slot in self._slots:
                if slot.pid is None and slot.due <= time.monotonic():
                    self._start(slot)
            self._wait(wakeup)
            self._reap()
            if any(slot.deaths >= DEATHS for slot in self._slots):
                _log.error("a process cannot be kept alive: giving up")
                status = 1
                break
        self._stop()
        return status

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stopping = True

    def _start(self, slot: _Slot) -> None:
        parent = os.getpid()
        slot.started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _become(slot.process, parent)
        slot.pid = pid
        _log.info("process started", extra={"child": slot.process.name, "pid": pid})

    def _wait(self, wakeup: int) -> None:
        """Until a signal comes, or a process is due."""
        dues = [slot.due for slot in self._slots if slot.pid is None]
        timeout = None if not dues else max(0.0, min(dues) - time.monotonic())
        if select.select([wakeup], [], [], timeout)[0]:
            os.read(wakeup, 4096)

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid is None:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid == 0:
                continue
            self.on_end(pid)
            now = time.monotonic()
            slot.deaths = 1 if now - slot.started >= SETTLED_SECONDS else slot.deaths + 1
            delay = min(FIRST_DELAY_SECONDS * 2 ** (slot.deaths - 1), LONGEST_DELAY_SECONDS)
            slot.pid, slot.due = None, now + delay
            if not self._stopping:
                extra = {"child": slot.process.name, "pid": pid, "exit": os.waitstatus_to_exitcode(status)}
                _log.error("process died", extra=extra)

    def _stop(self) -> None:
        self.before_stop()
        self._stopping = True
        deadline = time.monotonic() + self.grace_seconds
        self._end([slot for slot in self._slots if not slot.process.last], deadline)
        self._end(self._slots, max(deadline, time.monotonic() + self.last_grace_seconds))

    def _end(self, slots: Sequence[_Slot], deadline: float) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for slot in slots:
                if slot.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(slot.pid, number)
            while any(slot.pid is not None for slot in slots):
                if number == signal.SIGTERM and time.monotonic() > deadline:
                    _log.error("processes do not end: killing them")
                    break
                self._reap()
                time.sleep(0.02)


def usable_cores() -> int:
    """Processors that this process may use."""
    count = getattr(os, "process_cpu_count", os.cpu_count)  # Python 3.13 knows a container's share
    return count() or 1


def _become(process: Process, parent: int) -> None:
    """Run ``process`` in a child that was just forked; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        die_with(parent)
        os.nice(process.niceness)
        process.target()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        _log.exception("process failed", extra={"child": process.name})
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def die_with(parent: int) -> None:
    """End this process (by SIGTERM) when its parent, the process ``parent``, ends however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(parent,), name="watch parent", daemon=True).start()
    if os.getppid() != parent:  # it died before that was in force
        os.kill(os.getpid(), signal.SIGTERM)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
