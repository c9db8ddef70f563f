"""Threads of one process take turns on a model, or on all of a tenant's, and wait for nobody who has another turn."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Turn:
    """Of those who want the same."""

    __slots__ = ("lock", "wanted")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0
        """By so many threads, that of the one who has it included."""


class Turns:
    """Of one process. What nobody wants is not held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, ...], _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @contextmanager
    def of(self, *what: str) -> Iterator[None]:
        """A turn, for as long as it lasts."""
        with self._lock:
            turn = self._turns.setdefault(what, _Turn())
            turn.wanted += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.wanted -= 1
                if not turn.wanted:
                    del self._turns[what]
