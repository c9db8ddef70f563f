"""The vector store: every call names a tenant and a collection, and is carried out by the engine of that collection."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from anfl.problems import Problem, conflict
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import Change
from anfl.vectors.dynamodb.capabilities import NAME as DYNAMODB
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.engines import Engine, Engines
from anfl.vectors.hnsw import NAME as HNSW
from anfl.vectors.hnsw import HnswEngine
from anfl.vectors.inline import Inline
from anfl.vectors.keeping import Keeping
from anfl.vectors.management import Management
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.moving.access import arriving
from anfl.vectors.moving.mover import Mover
from anfl.vectors.moving.pauses import Pauses
from anfl.vectors.moving.requests import Move, Moved
from anfl.vectors.names import Names
from anfl.vectors.naming import Alias, NamedSnapshot, NamedSnapshotList
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.opened import MEMORY_BYTES
from anfl.vectors.refusals import Refusal
from anfl.vectors.replica import REFRESH_SECONDS, STALE_SECONDS
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    Counted,
    DeleteRows,
    Deletion,
    Fetch,
    NamePage,
    Query,
    Read,
    Results,
    Rows,
    Scroll,
    Stats,
    Written,
)
from anfl.vectors.storage import Storage

_BACKGROUND_THREADS = 4
_PERHAPS_ANOTHER = frozenset({Refusal.COLLECTION_MOVED, Refusal.COLLECTION_FILLING, Refusal.COLLECTION_NOT_FOUND})
"""Refusals of a write after which the name may stand for something else."""
T = TypeVar("T")


class VectorStore:
    """Safe for threads. Every call names the tenant; what belongs to another one does not exist.

    ``name`` is a collection's name, or, where data is read or written, an alias of it. Every call raises `Problem`: 404
    ``collection_not_found``, and what its engine does.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        *,
        memory_bytes: int = MEMORY_BYTES,
        builds: bool = False,
        memory: NodeMemory | None = None,
        distributed: DynamoDbEngine | None = None,
    ) -> None:
        """:param builds: whether this node has a builder, to be asked for images.

        :param memory: what the processes of this node share; None: this one is on its own.
        :param distributed: the engine ``dynamodb``; None: it has no classes.
        """
        memory = memory or NodeMemory()
        self.catalogue = catalogue
        self.storage = storage
        self._clock = storage.clock
        self._background: Executor = (
            ThreadPoolExecutor(_BACKGROUND_THREADS, thread_name_prefix="load") if storage.threads else Inline()
        )
        self.names = Names(
            catalogue,
            self._clock,
            self._background,
            marks=memory.marks,
            gone=lambda each: self.hnsw.opened.drop(each),
        )
        self.hnsw = HnswEngine(
            catalogue,
            storage,
            self._background,
            learn=self.names.learn,
            memory_bytes=memory_bytes,
            builds=builds,
            tails=memory.tails,
        )
        self.distributed = distributed or DynamoDbEngine({}, None, self._clock)
        self._engines = Engines({HNSW: self.hnsw, DYNAMODB: self.distributed})
        self._management = Management(catalogue, self.names, self._engines, self._clock)
        self._keeping = Keeping(catalogue, storage, self._management)
        self._pauses = Pauses(catalogue, self._clock)
        self._mover = Mover(catalogue, self._engines, self._management, self._clock)
        if storage.threads:
            self.hnsw.upkeep.start()

    def close(self) -> None:
        """Give up background work; nothing that was acknowledged depends on it."""
        self.hnsw.upkeep.stop()
        self._background.shutdown(wait=False, cancel_futures=True)

    def create(self, tenant: str, settings: CollectionSettings) -> tuple[Collection, bool]:
        """See `Management.create`."""
        return self._management.create(tenant, settings)

    def collections(self, tenant: str, page: NamePage | None = None) -> tuple[list[Collection], bool]:
        """Some of the tenant's collections by name, the first ones of all by default; and whether there are more."""
        page = page or NamePage()
        return self.catalogue.collections(tenant, limit=page.limit, after=page.cursor)

    def describe(self, tenant: str, name: str) -> Collection:
        """See `Management.describe`."""
        return self._management.describe(tenant, name)

    def update(self, tenant: str, name: str, patch: CollectionPatch) -> Collection:
        """See `Management.update`."""
        return self._management.update(tenant, name, patch)

    def delete(self, tenant: str, name: str) -> None:
        """See `Management.delete`."""
        self._management.delete(tenant, name)

    def set_alias(self, tenant: str, alias: str, name: str) -> Alias:
        """See `Management.set_alias`."""
        return self._management.set_alias(tenant, alias, name)

    def delete_alias(self, tenant: str, alias: str) -> None:
        """See `Management.delete_alias`."""
        self._management.delete_alias(tenant, alias)

    def aliases(self, tenant: str, page: NamePage | None = None) -> tuple[list[Alias], bool]:
        """Some of the tenant's aliases by name, the first ones of all by default; and whether there are more."""
        page = page or NamePage()
        return self.catalogue.aliases(tenant, limit=page.limit, after=page.cursor)

    def move(self, tenant: str, name: str, request: Move) -> Moved:
        """See `Mover.step`."""
        return self._mover.step(tenant, name, request)

    def undo_move(self, tenant: str, name: str) -> Collection:
        """See `Mover.undo`."""
        return self._mover.undo(tenant, name)

    def check(self, collection: Collection, change: Change) -> None:
        """See `Engine.check`."""
        self._engines.of(collection).check(collection, change)

    def write(self, tenant: str, name: str, change: Change, *, incarnation: str | None = None) -> Written:
        """Commit a change (see `Engine.write`).

        :param incarnation: what the collection has to be, else 409 ``collection_changed``; None: whatever has the name.
        """
        return self._written(tenant, name, lambda engine, of: engine.write(of, change), incarnation=incarnation)

    def delete_rows(self, tenant: str, name: str, change: DeleteRows) -> Written | Deletion:
        """Delete rows, or by filter begin to, where the engine takes its time (see `Engine.delete_later`)."""

        def delete(engine: Engine, collection: Collection) -> Written | Deletion:
            later = None if change.filter is None else engine.delete_later(collection, change)
            return later or engine.write(collection, change)

        return self._written(tenant, name, delete)

    def deletion(self, tenant: str, name: str, deletion_id: str) -> Deletion:
        """See `Engine.deletion`."""
        engine, collection = self._find(tenant, name, Read())
        return engine.deletion(collection, deletion_id)

    def query(self, tenant: str, name: str, request: Query) -> Answer | Results:
        """See `Engine.query`."""
        return self._answered(tenant, name, request, lambda engine, of: engine.query(of, request))

    def fetch(self, tenant: str, name: str, request: Fetch) -> Rows:
        """See `Engine.fetch`."""
        return self._answered(tenant, name, request, lambda engine, of: engine.fetch(of, request))

    def count(self, tenant: str, name: str, request: Count) -> Counted:
        """See `Engine.count`."""
        return self._answered(tenant, name, request, lambda engine, of: engine.count(of, request))

    def scroll(self, tenant: str, name: str, request: Scroll) -> Rows:
        """See `Engine.scroll`."""
        return self._answered(tenant, name, request, lambda engine, of: engine.scroll(of, request))

    def stats(self, tenant: str, name: str) -> Stats:
        """See `Engine.stats`."""
        return self._answered(tenant, name, Read(), lambda engine, of: engine.stats(of))

    def position(self, tenant: str, name: str) -> str:
        """See `Engine.position`."""
        return self._answered(tenant, name, Read(), lambda engine, of: engine.position(of))

    def lives_on_nodes(self, collection: Collection) -> bool:
        """Whether it matters which node is asked about ``collection``; see `Engine.on_nodes`."""
        return self._engines.of(collection).on_nodes

    def warm(self, tenant: str, name: str) -> bool:
        """See `Engine.warm`."""
        engine, collection = self._find(tenant, name, Read())
        return engine.warm(collection)

    def at_once(self, tenant: str, name: str, request: Query | Fetch) -> Answer | Results | Rows | None:
        """See `Engine.at_once`; None also where the name has to be looked up."""
        found = self.names.peek(tenant, name)
        if found is None:
            return None
        collection, age = found
        if age > REFRESH_SECONDS:
            self.names.refresh_soon(tenant, name)
        return None if age > STALE_SECONDS else self._engines.of(collection).at_once(collection, request)

    def create_snapshot(self, tenant: str, name: str, snapshot: str) -> NamedSnapshot:
        """See `Keeping.create`."""
        collection = self._kept(tenant, name)
        return self._keeping.create(self.hnsw.opened.get(collection).replica, snapshot)

    def snapshots(self, tenant: str, name: str, page: NamePage | None = None) -> NamedSnapshotList:
        """Some of a collection's named snapshots by name, the first ones by default."""
        return self._keeping.page(self._kept(tenant, name), page or NamePage())

    def delete_snapshot(self, tenant: str, name: str, snapshot: str) -> None:
        """See `Keeping.delete`."""
        self._keeping.delete(self._kept(tenant, name), snapshot)

    def restore(self, tenant: str, name: str, snapshot: str, into: str) -> Collection:
        """See `Keeping.restore`."""
        return self._keeping.restore(self._kept(tenant, name), snapshot, into)

    def _written(
        self, tenant: str, name: str, write: Callable[[Engine, Collection], T], *, incarnation: str | None = None
    ) -> T:
        while True:
            collection = self.names.find(tenant, name, self._clock.monotonic())  # what has been deleted gets nothing
            if incarnation not in (None, collection.incarnation):
                raise conflict(f"{name} is not the collection it was.", code=Refusal.COLLECTION_CHANGED)
            self._engines.of(collection).check_home(collection)  # before it is decided whether a pause is over
            writable = self._pauses.writable(collection)
            if writable is None:
                continue
            try:
                return write(self._engines.of(collection), writable)
            except Problem as problem:
                if problem.code not in _PERHAPS_ANOTHER:
                    raise
                # Perhaps it has changed, or the alias leads elsewhere, since it was looked up; nothing was written.
                latest = self.names.find(tenant, name, self._clock.monotonic())
                if latest == collection:
                    if self._pauses.is_arriving(latest, name=name):
                        raise arriving(latest.name) from problem
                    raise

    def _kept(self, tenant: str, name: str) -> Collection:
        """A collection whose engine has named snapshots."""
        collection = self.names.find(tenant, name, self._clock.monotonic())
        self._engines.of(collection).check_snapshots()
        return collection

    def _answered(self, tenant: str, name: str, request: Read, answer: Callable[[Engine, Collection], T]) -> T:
        engine, collection = self._find(tenant, name, request)
        while True:
            try:
                return answer(engine, collection)
            except Problem as problem:
                if problem.code not in (Refusal.HISTORY_LOST, Refusal.COLLECTION_NOT_FOUND):
                    raise
                # Perhaps the position, or the cursor, is of what the name stands for since it was looked up, or what
                # it stood for is deleted.
                latest = self.names.find(tenant, name, self._clock.monotonic())
                if latest.incarnation == collection.incarnation:
                    raise
                engine, collection = self._engines.of(latest), latest

    def _find(self, tenant: str, name: str, freshness: Read) -> tuple[Engine, Collection]:
        now = self._clock.monotonic()
        collection = self.names.find(tenant, name, now if freshness.consistency == "strong" else now - STALE_SECONDS)
        return self._engines.of(collection), collection
