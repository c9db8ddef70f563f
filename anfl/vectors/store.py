"""The vector store: collections of tenants, opened on demand and kept level with their logs."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from anfl.problems import Problem
from anfl.vectors import reads
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import Change
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.objects import ObjectStore
from anfl.vectors.replica import STALE_SECONDS, WAIT_SECONDS, Clock, Replica
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    Counted,
    Fetch,
    Query,
    Read,
    Results,
    Rows,
    Scroll,
    Stats,
    Written,
    position_of,
)
from anfl.vectors.state import State
from anfl.vectors.tails import NoTails, Tails
from anfl.vectors.writer import Writer

OPEN_COLLECTIONS = 256
"""Most collections in memory; above it the one unused for longest is dropped and read again when it is needed."""
_LOADERS = 4
_REFRESH_SECONDS = STALE_SECONDS / 2
"""A collection that is read gets its next look at catalogue and log at this age, so that no reader waits for it."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class _Open:
    """A collection in memory, or on its way there."""

    collection: Collection
    checked_at: float
    """Monotonic time before the last look into the catalogue."""
    parts: "Future[tuple[Replica, Writer]]"
    refreshing: bool = False


class VectorStore:
    """Safe for threads. Every call names the tenant; what belongs to another one does not exist."""

    def __init__(
        self, catalogue: Catalogue, objects: ObjectStore, *, clock: Clock | None = None, tails: Tails | None = None
    ) -> None:
        self.catalogue = catalogue
        self.objects = objects
        self._clock = clock or Clock()
        self._tails = tails or NoTails()
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="load")
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="build")

    def close(self) -> None:
        """Give up background work; nothing that was acknowledged depends on it."""
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._builder.shutdown(wait=False, cancel_futures=True)

    def create(self, tenant: str, settings: CollectionSettings) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new.

        :raises Problem: 409 ``collection_exists`` with other settings.
        """
        return self.catalogue.create(tenant, settings)

    def collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections by name."""
        return self.catalogue.list(tenant)

    def describe(self, tenant: str, name: str) -> Collection:
        """A collection.

        :raises Problem: 404 ``collection_not_found``.
        """
        return self.catalogue.get(tenant, name)

    def update(self, tenant: str, name: str, patch: CollectionPatch) -> Collection:
        """Change what can change of a collection; other nodes know within a second.

        :raises Problem: 404 ``collection_not_found``; 409 where somebody else changed it meanwhile.
        """
        collection = self.catalogue.update(tenant, name, patch)
        self._forget_check(tenant, name)
        return collection

    def delete(self, tenant: str, name: str) -> None:
        """Delete a collection and everything in it.

        :raises Problem: 404 ``collection_not_found``.
        """
        collection = self.catalogue.get(tenant, name)
        self.catalogue.delete(collection)
        with self._lock:
            opened = self._open.pop((tenant, name), None)
        if opened is not None and opened.collection.prefix == collection.prefix and _is_loaded(opened):
            opened.parts.result()[1].close()
        Log(self.objects, collection).delete()

    def write(self, tenant: str, name: str, change: Change) -> Written:
        """Commit a change (see `Writer.write`).

        :raises Problem: 404 ``collection_not_found``, and what `Writer.write` raises.
        """
        arrived = self._clock.monotonic()  # nothing may go into an incarnation that had been deleted by now
        replica, writer = self._parts(tenant, name, arrived)
        written = writer.write(change)
        self._tails.publish(replica.collection.prefix, position_of(written.sequence).sequence)
        return written

    def query(self, tenant: str, name: str, request: Query) -> Answer | Results:
        """See `reads.query`."""
        return self._read(tenant, name, request, lambda state: reads.query(state, request))

    def fetch(self, tenant: str, name: str, request: Fetch) -> Rows:
        """See `reads.fetch`."""
        return self._read(tenant, name, request, lambda state: reads.fetch(state, request))

    def count(self, tenant: str, name: str, request: Count) -> Counted:
        """See `reads.count`."""
        return self._read(tenant, name, request, lambda state: reads.count(state, request))

    def scroll(self, tenant: str, name: str, request: Scroll) -> Rows:
        """See `reads.scroll`."""
        pinned: Read = request
        if request.cursor is not None:
            cursor = reads.Cursor.parse(request.cursor)
            replica, _ = self._parts(tenant, name, self._clock.monotonic() - STALE_SECONDS)
            cursor.check(replica.collection)
            if request.min_sequence is None:
                pinned = Read(consistency=request.consistency, min_sequence=cursor.position)
        return self._read(tenant, name, pinned, lambda state: reads.scroll(state, request))

    def stats(self, tenant: str, name: str) -> Stats:
        """See `reads.stats`."""
        return self._read(tenant, name, Read(), reads.stats)

    def _read(self, tenant: str, name: str, freshness: Read, read: Callable[[State], T]) -> T:
        now = self._clock.monotonic()
        replica, _ = self._parts(tenant, name, now if freshness.consistency == "strong" else now - STALE_SECONDS)
        if self._tails.newest(replica.collection.prefix) > replica.sequence:
            replica.level_with(self._clock.monotonic())
        replica.freshen(freshness)
        return replica.view(read)

    def at_once(self, tenant: str, name: str, freshness: Read, read: Callable[[State], T]) -> T | None:
        """What ``read`` makes of a collection that is in memory and as fresh as asked; None where that needs waiting.

        For event loops: blocks on nothing.
        """
        opened = self._open.get((tenant, name))
        if opened is None or freshness.consistency != "bounded" or not _is_loaded(opened):
            return None
        replica = opened.parts.result()[0]
        age = max(self._clock.monotonic() - opened.checked_at, replica.level_for())
        if age > _REFRESH_SECONDS:
            self._refresh_soon(tenant, name, opened)
        if age > STALE_SECONDS or self._tails.newest(opened.collection.prefix) > replica.sequence:
            return None
        if freshness.min_sequence is not None and not replica.has_reached(position_of(freshness.min_sequence)):
            return None
        return replica.view_at_once(read)

    def _refresh_soon(self, tenant: str, name: str, opened: _Open) -> None:
        if opened.refreshing:
            return
        opened.refreshing = True

        def refresh() -> None:
            try:
                now = self._clock.monotonic()
                self._parts(tenant, name, now)[0].level_with(now)
            except Problem as problem:
                _log.info("a look at a collection failed", extra={"collection": name, "reason": str(problem)})
            finally:
                opened.refreshing = False

        self._loaders.submit(refresh)

    def _parts(self, tenant: str, name: str, moment: float) -> tuple[Replica, Writer]:
        """The collection in memory, of the incarnation that there was after ``moment``.

        :raises Problem: 404 ``collection_not_found``; 503 ``collection_loading`` where that takes longer.
        """
        opened = self._checked(tenant, name, moment)
        try:
            return opened.parts.result(timeout=WAIT_SECONDS)
        except TimeoutError:
            raise Problem(503, "collection_loading", f"{name} is being loaded; try again.", retry_after=2) from None
        except Exception:
            with self._lock:
                if self._open.get((tenant, name)) is opened:
                    del self._open[tenant, name]
            raise

    def _checked(self, tenant: str, name: str, moment: float) -> _Open:
        """The entry for a collection that was in the catalogue after ``moment``."""
        key = (tenant, name)
        with self._lock:
            opened = self._open.get(key)
            if opened is not None and opened.checked_at > moment:
                self._open.move_to_end(key)
                return opened
        now = self._clock.monotonic()
        try:
            collection = self.catalogue.get(tenant, name)
        except Problem as problem:
            if problem.code == "collection_not_found":
                with self._lock:
                    self._open.pop(key, None)
            raise
        with self._lock:
            opened = self._open.get(key)
            if opened is not None and opened.checked_at > now:
                return opened  # who looked later knows better
            if opened is None or opened.collection.prefix != collection.prefix:
                opened = _Open(collection, now, self._loaders.submit(self._load, collection))
                self._open[key] = opened
            elif opened.collection != collection and _is_loaded(opened):
                opened.parts.result()[0].adopt(collection)
                opened.collection = collection
            opened.checked_at = now
            self._open.move_to_end(key)
            while len(self._open) > OPEN_COLLECTIONS:
                self._open.popitem(last=False)
            return opened

    def _load(self, collection: Collection) -> tuple[Replica, Writer]:
        log = Log(self.objects, collection, sleep=self._clock.sleep)
        replica = Replica(collection, log, builder=self._builder, clock=self._clock)
        replica.load()
        return replica, Writer(replica)

    def _forget_check(self, tenant: str, name: str) -> None:
        with self._lock:
            if (opened := self._open.get((tenant, name))) is not None:
                opened.checked_at = float("-inf")


def _is_loaded(opened: _Open) -> bool:
    return opened.parts.done() and not opened.parts.exception()
