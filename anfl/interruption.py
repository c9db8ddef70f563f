"""Ctrl-C for the program ``anfl``: while nothing is under way that has to be cleaned up, it ends at once, with a line.

That is while the program is imported, and when its command is through. Imports nothing that takes long.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_INTERRUPTED = 130
"""As `anfl.cli.errors.ExitCode` has it, which is not imported yet."""


def end_at_once() -> None:
    """From now on. No effect where whoever began this process has it ignore Ctrl-C, as shells do in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def raised() -> Iterator[None]:
    """Meanwhile it is raised as `KeyboardInterrupt`, for a command that cleans up."""
    watched = signal.getsignal(signal.SIGINT) is _end
    try:
        if watched:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        if watched:
            signal.signal(signal.SIGINT, _end)


def _end(_signal: int, _frame: FrameType | None) -> None:
    if "--json" in sys.argv:
        os.write(1, b'{\n  "error": {\n    "code": "interrupted",\n    "detail": "Interrupted."\n  }\n}\n')
    else:
        os.write(2, b"anfl: Interrupted.\n")
    os._exit(_INTERRUPTED)
