"""The last answer of a source that may fail or be slow."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from anfl.problems import unavailable

T = TypeVar("T")
Clock = Callable[[], float]

_RETRY_SECONDS = 1.0
_OF_THE_TABLE = (BotoCoreError, ClientError)
_log = logging.getLogger(__name__)


class Cached(Generic[T]):
    """The last answer of ``load``. One thread loads at a time, and a failing source is asked once a second."""

    def __init__(
        self,
        load: Callable[[], T],
        *,
        clock: Clock,
        failures: tuple[type[Exception], ...] = _OF_THE_TABLE,
    ) -> None:
        """:param load: reads from the auth table, or from what raises ``failures`` where it cannot be read."""
        self._load = load
        self._failures = failures
        self._clock = clock
        self._lock = threading.Lock()
        self._entry: tuple[T, float] | None = None
        self._attempted = float("-inf")
        self._failed = False
        """Whether the last attempt did."""

    def peek(self) -> tuple[T, float] | None:
        """The cached value and its age in seconds; never blocks."""
        entry = self._entry
        return None if entry is None else (entry[0], self._clock() - entry[1])

    def get(self, *, max_age: float, patience: float = 0.0) -> tuple[T, float]:
        """The value and its age, read again where it is older than ``max_age`` and the source answers.

        :param patience: seconds for which who has an older value waits for the one thread that is reading, unless the
            source has just failed; after that the older one is the answer.
        :raises Problem: 503 ``auth_unavailable`` when there is no value at all.
        """
        found = self.peek()
        if found is not None and found[1] <= max_age:
            return found
        wait = -1.0 if found is None else 0.0 if self._failed else patience
        if self._lock.acquire(timeout=wait):
            try:
                self._refresh(max_age=max_age)
            finally:
                self._lock.release()
        found = self.peek()
        if found is None:
            raise unavailable("tokens cannot be handled at the moment; try again", code="auth_unavailable")
        return found

    def _refresh(self, *, max_age: float) -> None:
        found = self.peek()
        if found is not None and found[1] <= max_age:
            return
        if self._clock() - self._attempted < _RETRY_SECONDS:
            return
        started = self._clock()
        try:
            self._entry, self._failed = (self._load(), started), False
        except self._failures as error:
            self._failed = True
            _log.warning("source cannot be read", extra={"error": str(error), "stale": found is not None})
        # Counted from the end: whoever waited for a slow failure shares it instead of repeating it.
        self._attempted = self._clock()
