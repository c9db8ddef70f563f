"""``python leash.py PARENT COMMAND…``: becomes COMMAND, and ends with the process PARENT however that one ends.

Without it a parent killed by SIGKILL would leave its children behind.
"""

import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.5
GRACE_SECONDS = 10


def main() -> None:
    """Run the command; returns only where the kernel cannot watch the parent for us."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # survives exec
        if os.getppid() != parent:  # it died before the call above
            sys.exit(1)
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose
    sys.exit(_watch(parent, command))


def _watch(parent: int, command: list[str]) -> int:
    child = subprocess.Popen(command)  # noqa: S603 - the supervisor's command
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while child.poll() is None and os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


if __name__ == "__main__":
    main()
