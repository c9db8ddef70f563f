"""A simulated region's bucket: every call can fail, be lost, come late, and take the turn away."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from anfl.vectors.objects import AlreadyExistsError, ChangedError, Entry, StoreUnavailableError
from tests.fault.simulation.world import DAY, World

Effect = Callable[[], None]
"""What a write does; it raises `AlreadyExistsError` or `ChangedError` where its condition does not hold."""
_LATE_SECONDS = 600.0
_LATE_DELETION_SECONDS = 60.0
_REPLICATION_SECONDS = 120.0


@dataclass(frozen=True)
class Held:
    """An object and when it was written."""

    body: bytes
    modified: float


class Bucket:
    """An `anfl.vectors.objects.ObjectStore` in a `World`. ``history`` keeps what was first put under each key."""

    def __init__(self, world: World, *, versioned: bool, replica: "Bucket | None" = None) -> None:
        self._world = world
        self.versioned = versioned
        self._replica = replica
        self.objects: dict[str, Held] = {}
        self.history: dict[str, bytes] = {}
        self._versions: dict[str, list[bytes]] = {}

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore.get`."""
        self._call("get", key)
        held = self.objects.get(key)
        self._answer("get", key)
        return None if held is None else held.body

    def put_if_absent(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put_if_absent`."""
        self._write("put_if_absent", key, lambda: self._create(key, bytes(body)))

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `ObjectStore.put`."""
        self._write("put", key, lambda: self._replace(key, bytes(body)))

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """See `ObjectStore.get_tagged`."""
        data = self.get(key)
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def put_if_same(self, key: str, body: bytes, tag: str) -> None:
        """See `ObjectStore.put_if_same`."""

        def effect() -> None:
            held = self.objects.get(key)
            if held is None or hashlib.sha256(held.body).hexdigest() != tag:
                raise ChangedError(key)
            self._replace(key, body)

        self._write("put_if_same", key, effect)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """See `ObjectStore.list`. In pages, as S3 has them: between two of them others write."""
        while True:
            self._call("list", prefix)
            page = sorted(key for key in self.objects if key.startswith(prefix) and key > after)[:20]
            entries = [Entry(key, len(self.objects[key].body), self.objects[key].modified) for key in page]
            self._answer("list", prefix)
            yield from entries
            if len(page) < 20:
                return
            after = page[-1]

    def versions(self, key: str) -> Iterator[bytes]:
        """See `ObjectStore.versions`."""
        self._call("versions", key)
        yield from list(self._versions.get(key, ()))

    def is_copy(self, key: str) -> bool:
        """See `ObjectStore.is_copy`. Nobody sweeps what is copied."""
        self._call("is_copy", key)
        return False

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`."""
        for key in list(keys):
            self._write("delete", key, lambda key=key: self._remove(key))  # type: ignore[misc]

    def damage(self, key: str, body: bytes, *, keep_version: bool) -> None:
        """Somebody, or a disk, changes an object."""
        if keep_version and self.versioned:
            self._versions.setdefault(key, []).append(self.objects[key].body)
        self.objects[key] = Held(body, self.objects[key].modified)

    def recoverable(self, key: str, body: bytes) -> bool:
        """Whether ``body`` is still to be had for ``key``: here, from a version or from the replica."""
        return body in self.all_of(key) or (self._replica is not None and body in self._replica.all_of(key))

    def all_of(self, key: str) -> Iterator[bytes]:
        """What the object has been and is, oldest first."""
        yield from self._versions.get(key, ())
        if key in self.objects:
            yield self.objects[key].body

    def bring(self, key: str, body: bytes) -> None:
        """Another region's copy comes; what is under that key already stays."""
        self.objects.setdefault(key, Held(body, self._world.seconds))

    def _create(self, key: str, body: bytes) -> None:
        if key in self.objects:
            raise AlreadyExistsError(key)
        self._replace(key, body)

    def _replace(self, key: str, body: bytes) -> None:
        if self.versioned and key in self.objects:
            self._versions.setdefault(key, []).append(self.objects[key].body)
        self.objects[key] = Held(body, self._world.seconds)
        self.history.setdefault(key, body)
        if self._replica is not None:
            replica = self._replica
            self._world.later(lambda: replica._replace(key, body), most=_REPLICATION_SECONDS)

    def _remove(self, key: str) -> None:
        held = self.objects.pop(key, None)
        if held is not None and self.versioned:
            self._versions.setdefault(key, []).append(held.body)

    def _write(self, what: str, key: str, effect: Effect) -> None:
        self._call(what, key)
        chance = self._world.random.random()
        faults = self._world.weather.faults
        if chance < faults / 3:
            self._world.note(f"{self._world.name}: {what} {key} failed")
            raise StoreUnavailableError(what)
        if chance < 2 * faults / 3:
            self._world.note(f"{self._world.name}: {what} {key} is late")
            late = 10 * DAY if self._world.weather.late_days and what != "delete" else _LATE_SECONDS
            self._world.later(lambda: _quietly(effect), most=_LATE_DELETION_SECONDS if what == "delete" else late)
            raise StoreUnavailableError(what)
        effect()
        self._world.note(f"{self._world.name}: {what} {key}")
        if chance < faults:
            self._world.note(f"{self._world.name}: the answer to {what} {key} got lost")
            raise StoreUnavailableError(what)
        self._world.pause()

    def _call(self, what: str, key: str) -> None:
        self._world.pause()
        if what in {"get", "list", "versions"} and self._world.random.random() < self._world.weather.faults / 3:
            self._world.note(f"{self._world.name}: {what} {key} failed")
            raise StoreUnavailableError(what)

    def _answer(self, _what: str, _key: str) -> None:
        self._world.pause()


def _quietly(effect: Effect) -> None:
    try:
        effect()
    except (AlreadyExistsError, ChangedError):
        return
