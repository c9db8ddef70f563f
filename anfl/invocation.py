"""One invocation of a Lambda function: how long it may take, and where it leaves what it needs on disk."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Context(Protocol):
    """Of an invocation, as Lambda makes it."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is killed."""


def seconds_left(context: Context) -> float:
    """Until the invocation is killed."""
    return context.get_remaining_time_in_millis() / 1000


def nearly_over(context: Context, *, margin: float) -> Callable[[], bool]:
    """Tells whether less than ``margin`` seconds are left: too few to begin with anything."""
    return lambda: seconds_left(context) < margin


def empty_folder(name: str) -> Path:
    """The folder of that name on the function's disk, with nothing in it.

    Lambda has a process answer one call at a time, and keeps the disk of one that it killed for the next: what that one
    was at may be another tenant's, and would leave no room.
    """
    folder = Path(tempfile.gettempdir()) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
