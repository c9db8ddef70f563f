"""The vector store: collections of tenants, opened on demand and kept level with their logs."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from anfl.problems import Problem, conflict, unavailable
from anfl.vectors import named, reads
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import Change
from anfl.vectors.declarations import contradicted, patched
from anfl.vectors.envelope import DamagedError
from anfl.vectors.log import delete_all
from anfl.vectors.model import Collection, CollectionSettings
from anfl.vectors.named import ORPHAN_SECONDS
from anfl.vectors.naming import Alias, NamedSnapshot
from anfl.vectors.opened import MEMORY_BYTES, OpenCollections, Opened
from anfl.vectors.replica import STALE_SECONDS
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
from anfl.vectors.storage import Storage
from anfl.vectors.tails import NoTails, Tails

UPKEEP_SECONDS = 0.2
"""How often a process looks for new images, and at its memory."""
REFRESH_SECONDS = STALE_SECONDS / 2
"""A collection that is read gets its next look at catalogue and log at this age, so that no reader waits for it."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class VectorStore:
    """Safe for threads. Every call names the tenant; what belongs to another one does not exist.

    ``name`` is a collection's name, or, where data is read or written, an alias of it.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        *,
        memory_bytes: int = MEMORY_BYTES,
        builds: bool = False,
        tails: Tails | None = None,
    ) -> None:
        """:param builds: whether this node has a builder, to be asked for images.

        :param tails: what the processes of this node tell each other of their writes.
        """
        self.catalogue = catalogue
        self.storage = storage
        self._clock = storage.clock
        self._tails: Tails = tails or NoTails()
        self.opened = OpenCollections(catalogue, storage, memory_bytes=memory_bytes, builds=builds)
        self._closing = threading.Event()
        self._upkeep = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)
        if storage.threads:
            self._upkeep.start()

    def close(self) -> None:
        """Give up background work; nothing that was acknowledged depends on it."""
        self._closing.set()
        if self._upkeep.is_alive():
            self._upkeep.join(timeout=10)
        self.opened.close()

    def create(self, tenant: str, settings: CollectionSettings) -> tuple[Collection, bool]:
        """Create a collection; returns it and whether it is new.

        :raises Problem: 409 ``collection_exists`` with other settings, ``alias_exists``.
        """
        return self.catalogue.create(tenant, settings)

    def collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections by name."""
        return self.catalogue.list(tenant)

    def describe(self, tenant: str, name: str) -> Collection:
        """A collection. Where fields are ``building``, this process begins to see to it.

        :raises Problem: 404 ``collection_not_found``.
        """
        collection = self.catalogue.get(tenant, name)
        if collection.building:
            self.warm(tenant, name)
        return collection

    def update(self, tenant: str, name: str, patch: CollectionPatch) -> Collection:
        """Change what can change of a collection; other nodes know within a second.

        Fields may still be ``building`` then: `OpenCollections.upkeep` of any process that has it in memory goes on.

        :raises Problem: 404 ``collection_not_found``; 409 where somebody else changed it meanwhile, or rows contradict
            a new declaration.
        """
        fields = patch.fields or {}
        if fields:
            self._read(tenant, name, Read(consistency="strong"), lambda state: reads.check_declarations(state, fields))
        collection = self.catalogue.change(tenant, name, lambda before: patched(before, patch))
        self.opened.forget_check(tenant, name)
        if collection.building:
            try:
                collection = self.opened.build_fields(self._now(tenant, name))
            except Problem as problem:
                if problem.status != 503:
                    raise
                _log.warning("fields are not ready yet", extra={"collection": name, "reason": str(problem)})
        for field, pending in collection.pending.items():
            if field in fields and pending.contradicting:
                raise contradicted(field, pending.type, pending.contradicting)
        return collection

    def delete(self, tenant: str, name: str) -> None:
        """Delete a collection and everything in it. What another node writes at this very moment goes later.

        :raises Problem: 404 ``collection_not_found``.
        """
        collection = self.catalogue.find(tenant, name)
        self.catalogue.delete(collection)
        opened = self.opened.drop(collection)
        if opened is not None:
            opened.writer.close()
        delete_all(self.storage.objects, collection.prefix)
        self.storage.node.of(collection).remove()

    def set_alias(self, tenant: str, alias: str, name: str) -> Alias:
        """Let ``alias`` stand for the collection ``name``; other nodes know within a second.

        :raises Problem: 404 ``collection_not_found``; 409 ``collection_exists``, a collection has this name.
        """
        made = self.catalogue.set_alias(tenant, alias, name)
        self.opened.forget_check(tenant, alias)
        return made

    def delete_alias(self, tenant: str, alias: str) -> None:
        """Let ``alias`` stand for nothing.

        :raises Problem: 404 ``alias_not_found``.
        """
        self.catalogue.delete_alias(tenant, alias)
        self.opened.forget_check(tenant, alias)

    def aliases(self, tenant: str) -> list[Alias]:
        """The tenant's aliases by name."""
        return self.catalogue.aliases(tenant)

    def warm(self, tenant: str, name: str) -> bool:
        """Begin to load a collection; returns whether it is in memory already.

        :raises Problem: 404 ``collection_not_found``.
        """
        entry = self.opened.begin(tenant, name, self._clock.monotonic() - STALE_SECONDS)
        return entry.now() is not None

    def create_snapshot(self, tenant: str, name: str, snapshot: str) -> NamedSnapshot:
        """Keep the present state under the name ``snapshot``.

        :raises Problem: 404 ``collection_not_found``; 409 ``snapshot_exists``; 503 where the log is damaged or the
            store does not answer.
        """
        replica = self._now(tenant, name).replica
        names = self.storage.named(replica.collection)
        if names.holds(snapshot):
            raise named.exists(snapshot)
        replica.freshen(Read(consistency="strong"))
        local, rows = replica.publish()
        manifest = replica.snapshots.publish(local.image, local.position, rows=rows, now=self._clock.wall())
        return names.create(snapshot, manifest)

    def snapshots(self, tenant: str, name: str) -> list[NamedSnapshot]:
        """A collection's named snapshots by name.

        :raises Problem: 404 ``collection_not_found``.
        """
        return self.storage.named(self.catalogue.get(tenant, name)).all()

    def delete_snapshot(self, tenant: str, name: str, snapshot: str) -> None:
        """Forget a named snapshot.

        :raises Problem: 404 ``collection_not_found``, ``snapshot_not_found``.
        """
        self.storage.named(self.catalogue.get(tenant, name)).delete(snapshot)

    def restore(self, tenant: str, name: str, snapshot: str, into: str) -> Collection:
        """Make the new collection ``into`` from a named snapshot. It is there as a whole, or not at all.

        :raises Problem: 404 ``collection_not_found``, ``snapshot_not_found``; 409 ``collection_exists``; 503
            ``snapshot_damaged``.
        """
        source = self.catalogue.get(tenant, name)
        if not self.catalogue.is_free(tenant, into):
            raise conflict(f"{into} exists already.", code="collection_exists")
        path = self.storage.named(source).find(snapshot)[1]
        snapshots = self.storage.snapshots(source)
        try:
            manifest = snapshots.manifests.read(path)
            made = named.restore(snapshots, manifest, into, home=self.catalogue.region, now=self._clock.wall())
        except DamagedError as damage:
            _log.error("damaged snapshot", extra={"key": snapshots.manifests.key(path), "reason": str(damage)})
            raise named.damaged(snapshot) from damage
        written = self._clock.monotonic()
        try:
            self.catalogue.add(made)
        except Problem as problem:
            if problem.status == 409:
                delete_all(self.storage.objects, made.prefix)
            raise
        if self._clock.monotonic() - written > ORPHAN_SECONDS / 2:  # it may have been taken for nobody's meanwhile
            self.delete(tenant, into)
            raise unavailable("Restoring took too long and was undone; try again.", code="storage_unavailable")
        return made

    def write(self, tenant: str, name: str, change: Change, *, incarnation: str | None = None) -> Written:
        """Commit a change (see `Writer.write`).

        :param incarnation: what the collection has to be; None: whatever has the name.
        :raises Problem: 404 ``collection_not_found``, 409 ``collection_changed``, and what `Writer.write` raises.
        """
        opened = self._now(tenant, name)
        if incarnation not in (None, opened.replica.collection.incarnation):
            raise conflict(f"{name} is not the collection it was.", code="collection_changed")
        written = opened.writer.write(change)
        self._tails.publish(opened.replica.collection.prefix, opened.replica.sequence)
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
            opened = self.opened.get(tenant, name, self._clock.monotonic() - STALE_SECONDS)
            cursor.check(opened.replica.collection)
            if request.min_sequence is None:
                pinned = Read(consistency=request.consistency, min_sequence=cursor.position)
        return self._read(tenant, name, pinned, lambda state: reads.scroll(state, request))

    def stats(self, tenant: str, name: str) -> Stats:
        """See `reads.stats`."""
        replica = self._opened(tenant, name, Read()).replica
        stats = reads.stats(replica.shown)
        return stats if replica.trouble is None else msgspec.structs.replace(stats, trouble=replica.trouble.code)

    def _now(self, tenant: str, name: str) -> Opened:
        """What ``name`` stands for now: nothing may go into an incarnation that has been deleted before."""
        return self.opened.get(tenant, name, self._clock.monotonic())

    def _read(self, tenant: str, name: str, freshness: Read, read: Callable[[State], T]) -> T:
        return read(self._opened(tenant, name, freshness).replica.shown)

    def _opened(self, tenant: str, name: str, freshness: Read) -> Opened:
        """The collection, as fresh as asked for."""
        now = self._clock.monotonic()
        moment = now if freshness.consistency == "strong" else now - STALE_SECONDS
        opened = self.opened.get(tenant, name, moment)
        replica = opened.replica
        if self._tails.newest(replica.collection.prefix) > replica.sequence:
            replica.take_cached()
        if self._tails.newest(replica.collection.prefix) > replica.sequence and replica.trouble is None:
            replica.level_with(self._clock.monotonic())
        replica.freshen(freshness)
        return opened

    def at_once(self, tenant: str, name: str, freshness: Read, read: Callable[[State], T]) -> T | None:
        """What ``read`` makes of a collection that is in memory and as fresh as asked; None where that needs waiting.

        For event loops: blocks on nothing.
        """
        found = self.opened.peek(tenant, name)
        if found is None or freshness.consistency != "bounded":
            return None
        replica = found[0].replica
        age = max(found[1], replica.level_for())
        if age > REFRESH_SECONDS:
            self.opened.refresh_soon(tenant, name)
        if age > STALE_SECONDS or self._tails.newest(replica.collection.prefix) > replica.sequence:
            return None
        if freshness.min_sequence is not None and not replica.has_reached(position_of(freshness.min_sequence)):
            return None
        return read(replica.shown)

    def _keep_up(self) -> None:
        while not self._closing.wait(UPKEEP_SECONDS):
            try:
                self.opened.upkeep()
            except Exception:
                _log.exception("upkeep failed; it is tried again")
