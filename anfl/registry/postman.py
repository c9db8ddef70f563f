"""The thread of a process that sends letters: its own at once, forgotten ones when it starts and now and then."""

import logging
import random
import threading
import time

from anfl.registry.outbox import Outbox

SWEEP_SECONDS = 30.0
"""Between looks at what was left behind; each process spreads them."""
_log = logging.getLogger(__name__)


class Postman:
    """Works from `start` to `stop`."""

    def __init__(self, outbox: Outbox, *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._outbox = outbox
        self._sweep_seconds = sweep_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End once everything promised is sent, or after ``seconds``: the rest is left to other processes."""
        self._stopping.set()
        self._outbox.wake()
        self._thread.join(seconds)

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            stopping = self._stopping.is_set()  # looked at before the last round, which then misses nothing
            try:
                if time.monotonic() >= due and not stopping:
                    due += self._sweep_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads, guards nothing
                    if count := self._outbox.sweep():
                        _log.warning("sent what another process had left behind", extra={"letters": count})
                if not stopping:
                    self._outbox.wait(max(0.0, due - time.monotonic()))
                self._outbox.deliver()
            except Exception:  # a queue or the table is out of reach: the letters stay in the table
                _log.exception("letters not sent")
            if stopping:
                return
