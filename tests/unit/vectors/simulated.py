"""An object store and a clock under a test's control."""

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator

from anfl.vectors.clock import Clock
from anfl.vectors.objects import AlreadyExistsError, ChangedError, Entry, StoreUnavailableError


class SimulatedStore:
    """Objects in memory. With faults, puts fail before or after they took effect, or take effect later; gets fail."""

    def __init__(self, *, seed: int = 0, faults: float = 0.0, now: Callable[[], float] = lambda: 0.0) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, float] = {}
        self._now = now
        self.replaced: dict[str, list[bytes]] = {}
        self.copies: set[str] = set()
        """Keys of what came from another region."""
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

    def put_if_absent(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put_if_absent`."""
        with self._lock:
            self.puts += 1
            self._arrive()
            if self._random.random() < self.faults:
                match self._random.choice(["before", "after", "late"]):
                    case "after":
                        self.objects.setdefault(key, bytes(body))
                    case "late":
                        self._late.append((key, bytes(body)))
                raise StoreUnavailableError("put")
            if key in self.objects:
                raise AlreadyExistsError(key)
            self.objects[key] = bytes(body)
            self.modified[key] = self._now()

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put`."""
        with self._lock:
            if key in self.objects:
                self.replaced.setdefault(key, []).append(self.objects[key])
            self.objects[key] = bytes(body)
            self.modified[key] = self._now()

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """See `ObjectStore.get_tagged`."""
        data = self.get(key)
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def put_if_same(self, key: str, body: bytes, tag: str) -> None:
        """See `ObjectStore.put_if_same`."""
        with self._lock:
            if hashlib.sha256(self.objects.get(key, b"")).hexdigest() != tag:
                raise ChangedError(key)
        self.put(key, body)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """See `ObjectStore.list`."""
        with self._lock:
            found = {key: len(self.objects[key]) for key in self.objects if key.startswith(prefix) and key > after}
        for key in sorted(found):
            yield Entry(key, found[key], self.modified.get(key, 0.0))

    def versions(self, key: str) -> Iterator[bytes]:
        """See `ObjectStore.versions`."""
        yield from self.replaced.get(key, ())

    def is_copy(self, key: str) -> bool:
        """See `ObjectStore.is_copy`."""
        return key in self.copies

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`."""
        for key in list(keys):
            if (removed := self.objects.pop(key, None)) is not None:
                self.replaced.setdefault(key, []).append(removed)

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
