"""``anfl down``: stop a local run from another terminal."""

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
        _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    except psutil.NoSuchProcess:
        return f"Stopped {holder.api} (pid {holder.pid})."
    for member in alive:
        member.kill()
    return f"Stopped {holder.api} (pid {holder.pid}){', by force' if alive else ''}."
