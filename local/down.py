"""``anfl down``: stop a local run from another terminal."""

import contextlib
import time

import psutil

from local.state import StateDirectory

STOP_SECONDS = 60


def stop(state: StateDirectory) -> str | None:
    """Stop the run that holds ``state`` and wait until all of it has ended.

    :returns: what was stopped, or None where nothing ran.
    """
    holder = state.holder()
    process = holder.process() if holder else None
    if holder is None or process is None:
        return None
    try:
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.NoSuchProcess:
        return f"Stopped {holder.api} (pid {holder.pid})."
    deadline = time.monotonic() + STOP_SECONDS
    while (alive := [member for member in family if not _has_ended(member)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    return f"Stopped {holder.api} (pid {holder.pid}){', by force' if alive else ''}."


def _has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or only waits for its parent to notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
