"""An object store and a clock under a test's control."""

import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

from anfl.vectors.objects import AlreadyExistsError, StoreUnavailableError
from anfl.vectors.replica import Clock


class SimulatedStore:
    """Objects in memory. With faults, puts fail before or after they took effect, or take effect later; gets fail."""

    def __init__(self, *, seed: int = 0, faults: float = 0.0) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults = faults
        self.puts = 0
        self.gets = 0
        self._random = random.Random(seed)
        self._late: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore.get`."""
        with self._lock:
            self.gets += 1
            self._arrive()
            if self._random.random() < self.faults / 2:
                raise StoreUnavailableError("get")
            return self.objects.get(key)

    def put_if_absent(self, key: str, body: bytes) -> None:
        """See `ObjectStore.put_if_absent`."""
        with self._lock:
            self.puts += 1
            self._arrive()
            if self._random.random() < self.faults:
                match self._random.choice(["before", "after", "late"]):
                    case "after":
                        self.objects.setdefault(key, body)
                    case "late":
                        self._late.append((key, body))
                raise StoreUnavailableError("put")
            if key in self.objects:
                raise AlreadyExistsError(key)
            self.objects[key] = body

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See `ObjectStore.list`."""
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        yield from keys

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`."""
        for key in list(keys):
            self.objects.pop(key, None)

    def settle(self) -> None:
        """Let every delayed put take effect, and no more faults happen."""
        with self._lock:
            self.faults = 0
            while self._late:
                key, body = self._late.pop()
                self.objects.setdefault(key, body)

    def _arrive(self) -> None:
        if self._late and self._random.random() < 0.3:
            key, body = self._late.pop(self._random.randrange(len(self._late)))
            self.objects.setdefault(key, body)


class SimulatedTime:
    """Seconds that pass when told to, and by sleeping."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def clock(self) -> Clock:
        """For a replica."""
        return Clock(wall=lambda: self.seconds, monotonic=lambda: self.seconds, sleep=self.advance)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class Later(Executor):
    """Runs nothing until `run`; a builder whose speed the test decides."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, tuple[Any, ...]]] = []

    def submit(self, fn: Any, /, *args: Any, **_kwargs: Any) -> "Future[Any]":
        """Keep the work."""
        self._waiting.append((fn, args))
        return Future()

    def run(self) -> int:
        """Do everything that waits, and what that adds; returns how much it was."""
        done = 0
        while self._waiting:
            fn, args = self._waiting.pop(0)
            fn(*args)
            done += 1
        return done
