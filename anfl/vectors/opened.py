"""The collections that a process has in memory: loaded on demand, dropped when memory is short."""

import threading
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from anfl.problems import Problem, not_found
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.local_copy import on_disk
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.replica import WAIT_SECONDS, Replica
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer

MEMORY_BYTES = 8 * 2**30
"""Most bytes of collections in memory, unless a process is told otherwise."""
MOST_COLLECTIONS = 4096
"""Most collections in memory, however small."""


@dataclass(frozen=True)
class Opened:
    """A collection in memory."""

    replica: Replica
    writer: Writer


@dataclass
class _Entry:
    """A collection in memory, or on its way there."""

    collection: Collection
    loading: "Future[Opened]"
    used_at: float
    """Monotonic seconds."""

    def now(self) -> Opened | None:
        """The collection, if it is loaded."""
        return self.loading.result() if self.loading.done() and not self.has_failed else None

    @property
    def has_failed(self) -> bool:
        """Whether it will not be loaded, so that who asks next tries it again."""
        return self.loading.done() and (self.loading.cancelled() or self.loading.exception() is not None)


class OpenCollections:
    """Safe for threads. Those used last are kept."""

    def __init__(self, catalogue: Catalogue, storage: Storage, loaders: Executor, *, builds: bool = False) -> None:
        """:param builds: whether this node has a builder, which puts rows into graphs."""
        self._catalogue = catalogue
        self._storage = storage
        self._loaders = loaders
        self._builds = builds
        self._entries: dict[str, _Entry] = {}
        """By incarnation."""
        self._lock = threading.Lock()

    def get(self, collection: Collection) -> Opened:
        """A collection, with these settings or newer ones.

        :raises Problem: 503 ``collection_loading`` where that takes longer; what `Replica.load` raises.
        """
        entry = self._begin(collection)
        try:
            return entry.loading.result(timeout=WAIT_SECONDS)
        except TimeoutError:
            detail = f"{collection.name} is being loaded; try again."
            raise Problem(503, "collection_loading", detail, retry_after=2) from None
        except Exception:
            with self._lock:
                if self._entries.get(collection.incarnation) is entry:
                    self._remove(collection.incarnation)
            raise

    def peek(self, collection: Collection) -> Opened | None:
        """What is loaded, with these settings; None where they are news, which `get` takes in. Blocks on nothing."""
        entry = self._entries.get(collection.incarnation)
        if entry is None:
            return None
        if entry.collection is not collection:  # mostly it has just been looked up again
            if entry.collection != collection:
                return None
            entry.collection = collection
        entry.used_at = self._storage.clock.monotonic()
        return entry.now()

    def begin(self, collection: Collection) -> bool:
        """Like `get`, without waiting for it; returns whether it is there."""
        return self._begin(collection).now() is not None

    def drop(self, incarnation: str) -> Opened | None:
        """Take a collection that is gone out of memory; returns it if it was there."""
        with self._lock:
            entry = self._remove(incarnation) if incarnation in self._entries else None
        return None if entry is None else entry.now()

    def loaded(self) -> list[Opened]:
        """What is in memory."""
        with self._lock:
            entries = list(self._entries.values())
        return [opened for entry in entries if (opened := entry.now()) is not None]

    def evict(self, most: int) -> None:
        """Drop what was used longest ago, as long as there are more bytes than ``most``. What comes back is read."""
        with self._lock:
            sizes = {
                incarnation: opened.replica.shown.bytes  # its lock may be held for long, and all wait for this one
                for incarnation, entry in sorted(self._entries.items(), key=_used_at)
                if (opened := entry.now()) is not None
            }
            size = sum(sizes.values())
            for incarnation in list(sizes)[:-1]:
                if size <= most:
                    return
                size -= sizes[incarnation]
                self._remove(incarnation)

    def release(self, *, unused_seconds: float) -> None:
        """Drop what nobody has asked for in so long."""
        before = self._storage.clock.monotonic() - unused_seconds
        with self._lock:
            for incarnation in [each for each, entry in self._entries.items() if entry.used_at < before]:
                self._remove(incarnation)

    def _remove(self, incarnation: str) -> _Entry:
        """Take one out of memory, and off a disk that is nobody else's; mapped files are there until nobody reads."""
        entry = self._entries.pop(incarnation)
        if self._storage.alone and entry.loading.done():
            self._storage.node.of(entry.collection).remove()
        return entry

    def _begin(self, collection: Collection) -> _Entry:
        with self._lock:
            entry = self._entries.get(collection.incarnation)
            if entry is None or entry.has_failed:
                entry = _Entry(collection, self._loaders.submit(self._load, collection), 0.0)
                self._entries[collection.incarnation] = entry
            elif entry.collection != collection and (opened := entry.now()) is not None:
                opened.replica.adopt(collection)
                entry.collection = collection
            entry.used_at = self._storage.clock.monotonic()
            while len(self._entries) > MOST_COLLECTIONS:
                self._remove(min(self._entries.items(), key=_used_at)[0])
            return entry

    def _load(self, collection: Collection) -> Opened:
        with on_disk():
            replica = self._storage.replica(collection)
            self._load_all(replica)
        writer = Writer(
            replica,
            waits_for_builder=self._builds,
            settings=lambda: self._catalogue.find(collection.tenant, collection.name),
        )
        return Opened(replica, writer)

    def _load_all(self, replica: Replica) -> None:
        """Whoever deletes a collection removes its objects after it has gone from the catalogue: what was loaded may be
        empty, cut short, or as it was long ago.

        :raises Problem: 404 ``collection_not_found``; what `Replica.load` raises.
        """
        collection = replica.collection
        try:
            replica.load()
        finally:
            if not self._catalogue.has(collection):
                raise not_found(f"{collection.name} is deleted.", code=Refusal.COLLECTION_NOT_FOUND)


def _used_at(held: tuple[str, _Entry]) -> float:
    return held[1].used_at
