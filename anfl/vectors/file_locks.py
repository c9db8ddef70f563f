"""Locks among the processes of one node: files, which the kernel opens again when their holder ends."""

import errno
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_LOCK_POLL_SECONDS = 0.001
_LONGEST_POLL_SECONDS = 0.02


@contextmanager
def lock(path: Path, *, seconds: float, sleep: Callable[[float], None]) -> Iterator[bool]:
    """Be the only process of this node inside; False where that took longer, and the caller is not alone.

    Nor is it where a full disk has no room for the lock. A process that is killed leaves it open.

    :raises OSError: for another reason there is none.
    """
    file = _file(path)
    if file is None:
        yield False
        return
    with file:
        waited, pause, taken = 0.0, _LOCK_POLL_SECONDS, _try_lock(file)
        while not taken and waited < seconds:
            sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)
            taken = _try_lock(file)
        yield taken


def _file(path: Path) -> IO[bytes] | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # it is gone where a collection has just been deleted
        return path.open("ab")
    except OSError as failure:
        if failure.errno != errno.ENOSPC:
            raise
        return None


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
