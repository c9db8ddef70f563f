"""Locks among the processes of one node: files, which the kernel opens again when their holder ends."""

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

    A process that is killed leaves the lock open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # it is gone where a collection has just been deleted
    with path.open("ab") as file:
        waited, pause, taken = 0.0, _LOCK_POLL_SECONDS, _try_lock(file)
        while not taken and waited < seconds:
            sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_POLL_SECONDS)
            taken = _try_lock(file)
        yield taken


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
