"""A parent and its processes: one that dies starts again, a stop is a stop, and nothing is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
PROGRAM = """
import os, signal, sys, time
from functools import partial
from anfl import processes
from anfl.processes import Parent, Process
from anfl.telemetry import logs

def sleep():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.write(1, b"up %d\\n" % os.getpid())
    while True:
        time.sleep(1)

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"up %d\\n" % os.getpid())
    while True:
        time.sleep(1)

def leave(word):
    def end(*_):
        time.sleep(0.2)
        os.write(1, word)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    os.write(1, b"up %d\\n" % os.getpid())
    while True:
        time.sleep(1)

def die():
    os.write(1, b"up %d\\n" % os.getpid())
    sys.exit(3)

logs.configure()
processes.LONGEST_DELAY_SECONDS = 0.05
processes.FIRST_DELAY_SECONDS = 0.01
named = {"sleep": sleep, "stubborn": stubborn, "die": die, "leave": partial(leave, b"left\\n")}
named["last"] = partial(leave, b"last\\n")
found = [Process(name=name, target=named[name], niceness=3, last=name == "last") for name in sys.argv[1:]]
sys.exit(Parent(processes=found, grace_seconds=0.5).run())
"""


@contextlib.contextmanager
def parent(*names: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PROGRAM, *names]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def started(process: "subprocess.Popen[str]", count: int) -> list[int]:
    """The pids of the next children that are up."""
    assert process.stdout is not None
    return [int(process.stdout.readline().split()[1]) for _ in range(count)]


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_process_that_dies_starts_again_and_the_others_go_on() -> None:
    with parent("sleep", "sleep") as process:
        first, second = started(process, 2)
        os.kill(first, signal.SIGKILL)
        (third,) = started(process, 1)
        assert third not in (first, second)
        assert not gone(second)


def test_a_stop_ends_all_and_the_parent_with_success() -> None:
    with parent("sleep", "sleep") as process:
        children = started(process, 2)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert all(map(gone, children))


def test_what_others_need_is_stopped_once_they_have_ended() -> None:
    with parent("last", "leave", "leave") as process:
        started(process, 3)
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.read().split() == ["left", "left", "last"]
        assert process.wait(PATIENCE) == 0


def test_a_process_is_as_nice_as_it_is_said_to_be() -> None:
    with parent("sleep") as process:
        (child,) = started(process, 1)
        assert psutil.Process(child).nice() == psutil.Process().nice() + 3


def test_who_does_not_end_is_killed() -> None:
    with parent("stubborn", "sleep") as process:
        children = started(process, 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert all(map(gone, children))


def test_what_cannot_be_kept_alive_ends_the_parent_with_failure() -> None:
    with parent("die", "sleep") as process:
        assert process.wait(PATIENCE) == 1
        assert process.stdout is not None
        children = [int(line.split()[1]) for line in process.stdout]
        assert len(children) > 5
        assert all(map(gone, children))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread polls, within half a second")
def test_a_killed_parent_leaves_nothing_behind() -> None:
    with parent("sleep", "sleep") as process:
        children = started(process, 2)
        process.kill()
        eventually(lambda: all(map(gone, children)))
