"""The collections that a process has in memory: found by name, loaded on demand, dropped when memory is short."""

import logging
import threading
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

from anfl.problems import Problem
from anfl.vectors import backfill
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.engine.rows import MOST_UNMERGED
from anfl.vectors.events import Holdings
from anfl.vectors.inline import Inline
from anfl.vectors.model import Collection
from anfl.vectors.postponed import Postponed
from anfl.vectors.replica import WAIT_SECONDS, Replica
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer

MEMORY_BYTES = 8 * 2**30
"""Most bytes of collections in memory, unless a process is told otherwise."""
MOST_COLLECTIONS = 4096
"""Most collections in memory, however small."""
SHOWN_SECONDS = 5.0
"""How often operators are told what is in memory."""
_LOADERS = 4
_log = logging.getLogger(__name__)


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
    refreshing: bool = False

    def now(self) -> Opened | None:
        """The collection, if it is loaded."""
        return self.loading.result() if self.loading.done() and not self.loading.exception() else None


@dataclass
class _Name:
    """What a name stood for at the last look into the catalogue; ``checked_at`` is the moment before."""

    incarnation: str
    checked_at: float


class OpenCollections:
    """Safe for threads. Those used last are kept."""

    def __init__(
        self, catalogue: Catalogue, storage: Storage, *, memory_bytes: int = MEMORY_BYTES, builds: bool = False
    ) -> None:
        """:param builds: whether this node has a builder, to be asked for images."""
        self._catalogue = catalogue
        self._storage = storage
        self._memory_bytes = memory_bytes
        self._builds = builds
        self._names: dict[tuple[str, str], _Name] = {}
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """By incarnation, the one used last at the end."""
        self._postponed = Postponed()
        """Where building fields has failed."""
        self._shown_at = float("-inf")
        self._lock = threading.Lock()
        self._loaders: Executor = (
            ThreadPoolExecutor(_LOADERS, thread_name_prefix="load") if storage.threads else Inline()
        )

    def close(self) -> None:
        """Load nothing more."""
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def get(self, tenant: str, name: str, moment: float) -> Opened:
        """The collection that ``name`` stood for after ``moment``.

        :raises Problem: 404 ``collection_not_found``; 503 ``collection_loading`` where that takes longer.
        """
        entry = self.begin(tenant, name, moment)
        try:
            return entry.loading.result(timeout=WAIT_SECONDS)
        except TimeoutError:
            raise Problem(503, "collection_loading", f"{name} is being loaded; try again.", retry_after=2) from None
        except Exception:
            with self._lock:
                if self._entries.get(entry.collection.incarnation) is entry:
                    del self._entries[entry.collection.incarnation]
            raise

    def peek(self, tenant: str, name: str) -> tuple[Opened, float] | None:
        """What is loaded under a name, and the age of the last look into the catalogue. Blocks on nothing."""
        known = self._names.get((tenant, name))
        entry = None if known is None else self._entries.get(known.incarnation)
        opened = None if entry is None else entry.now()
        if known is None or opened is None:
            return None
        return opened, self._storage.clock.monotonic() - known.checked_at

    def refresh_soon(self, tenant: str, name: str) -> None:
        """Look at catalogue and log in the background, so that no reader waits for it."""
        known = self._names.get((tenant, name))
        entry = None if known is None else self._entries.get(known.incarnation)
        if entry is None or entry.refreshing:
            return
        entry.refreshing = True

        def refresh() -> None:
            try:
                now = self._storage.clock.monotonic()
                self.get(tenant, name, now).replica.level_with(now)
            except Problem as problem:
                _log.info("a look at a collection failed", extra={"collection": name, "reason": str(problem)})
            finally:
                entry.refreshing = False

        self._loaders.submit(refresh)

    def begin(self, tenant: str, name: str, moment: float) -> _Entry:
        """Like `get`, without waiting for it.

        :raises Problem: 404 ``collection_not_found``.
        """
        key = (tenant, name)
        with self._lock:
            entry = self._known(key, moment)
        if entry is not None:
            return entry
        now = self._storage.clock.monotonic()
        try:
            collection = self._catalogue.get(tenant, name)
        except Problem as problem:
            if problem.code == "collection_not_found":
                with self._lock:
                    self._names.pop(key, None)
            raise
        with self._lock:
            # Who looked later knows better.
            return self._known(key, now) or self._enter(key, collection, now)

    def forget_check(self, tenant: str, name: str) -> None:
        """Look into the catalogue before the next use."""
        with self._lock:
            self._names.pop((tenant, name), None)

    def drop(self, collection: Collection) -> Opened | None:
        """Take a deleted collection out of memory; returns it if it was there."""
        with self._lock:
            entry = self._entries.pop(collection.incarnation, None)
            self._forget_names()
        return None if entry is None else entry.now()

    def loaded(self) -> list[Opened]:
        """What is in memory."""
        with self._lock:
            entries = list(self._entries.values())
        return [opened for entry in entries if (opened := entry.now()) is not None]

    def upkeep(self) -> None:
        """Take in new images of the builder, ask it for others, finish what was declared, stay within the memory."""
        for opened in self.loaded():
            replica = opened.replica
            replica.install_newest()
            self._storage.hints.note(replica.collection, replica.view(lambda state: state.sequence))
            if self._builds and replica.wants_builder():
                self._storage.node.ask(replica.collection)
            if replica.collection.building:
                self._go_on_building(opened)
        self._evict()
        self._show()

    def build_fields(self, opened: Opened) -> Collection:
        """See `backfill.build`."""
        collection = backfill.build(opened.replica, opened.writer, self._catalogue)
        self.forget_check(collection.tenant, collection.name)
        return collection

    def _go_on_building(self, opened: Opened) -> None:
        incarnation, now = opened.replica.collection.incarnation, self._storage.clock.monotonic()
        if self._postponed.holds(incarnation, now=now):
            return
        try:
            self.build_fields(opened)
        except Problem as problem:
            times = self._postponed.failed(incarnation, now=now)
            extra = {"collection": opened.replica.collection.name, "code": problem.code, "times": times}
            _log.warning("fields are not ready yet; it is tried again", extra=extra)
        else:
            self._postponed.worked(incarnation)

    def holdings(self) -> Holdings:
        """What is in memory, in figures."""
        replicas = [opened.replica for opened in self.loaded()]
        rows = [replica.shown.rows for replica in replicas]
        return Holdings(
            collections=len(rows),
            rows=sum(len(each) for each in rows),
            segments=sum(len(each.segments) for each in rows),
            unmerged_rows=sum(each.unmerged for each in rows),
            most_unmerged_rows=max((each.unmerged for each in rows), default=0),
            memory_bytes=sum(replica.shown.bytes for replica in replicas),
            memory_limit_bytes=self._memory_bytes,
            stuck_logs=sum(replica.trouble is not None for replica in replicas),
        )

    def _show(self) -> None:
        now = self._storage.clock.monotonic()
        if now - self._shown_at >= SHOWN_SECONDS:
            self._shown_at = now
            self._storage.events.holds(self.holdings())

    def _known(self, key: tuple[str, str], moment: float) -> _Entry | None:
        name = self._names.get(key)
        if name is None or name.checked_at <= moment:
            return None
        entry = self._entries.get(name.incarnation)
        if entry is not None:
            self._entries.move_to_end(name.incarnation)
        return entry

    def _enter(self, key: tuple[str, str], collection: Collection, now: float) -> _Entry:
        self._names[key] = _Name(collection.incarnation, now)
        entry = self._entries.get(collection.incarnation)
        if entry is None:
            entry = _Entry(collection, self._loaders.submit(self._load, collection))
            self._entries[collection.incarnation] = entry
        elif entry.collection != collection and (opened := entry.now()) is not None:
            opened.replica.adopt(collection)
            entry.collection = collection
        self._entries.move_to_end(collection.incarnation)
        named = {name.incarnation for name in self._names.values()}
        for incarnation in [each for each in self._entries if each not in named]:
            del self._entries[incarnation]
        while len(self._entries) > MOST_COLLECTIONS:
            self._entries.popitem(last=False)
        return entry

    def _load(self, collection: Collection) -> Opened:
        replica = self._storage.replica(collection)
        replica.load()
        writer = Writer(
            replica,
            unmerged_rows=MOST_UNMERGED if self._builds else None,
            settings=lambda: self._catalogue.find(collection.tenant, collection.name),
        )
        return Opened(replica, writer)

    def _evict(self) -> None:
        """Drop what was used longest ago, as long as there is too much. What comes back is read again."""
        with self._lock:
            sizes = {
                incarnation: opened.replica.view(lambda state: state.bytes)
                for incarnation, entry in self._entries.items()
                if (opened := entry.now()) is not None
            }
            size = sum(sizes.values())
            for incarnation in list(sizes)[:-1]:
                if size <= self._memory_bytes:
                    return
                size -= sizes[incarnation]
                del self._entries[incarnation]
            self._forget_names()

    def _forget_names(self) -> None:
        self._names = {key: name for key, name in self._names.items() if name.incarnation in self._entries}
