"""The builder of a node: builds graphs, makes images of collections for the node's processes, and snapshots of them.

It also puts request ids into files, so that no process has all of them in its memory (`anfl.vectors.request_ids`).
It follows the log by itself, so that a worker never waits for it, and a builder that dies takes nothing with it: its
successor finds the same collections in `NodeFolder.asked`.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from anfl.problems import Problem
from anfl.vectors.collection_folder import LocalImage
from anfl.vectors.engine.compaction import compact
from anfl.vectors.engine.folders import discard_drafts
from anfl.vectors.engine.images import Image
from anfl.vectors.events import Turn
from anfl.vectors.model import Collection
from anfl.vectors.postponed import Postponed
from anfl.vectors.replica import Replica
from anfl.vectors.retention import Retention
from anfl.vectors.state import State
from anfl.vectors.storage import Storage

KEPT_BYTES = 2 * 2**30
"""Most bytes of collections that a builder keeps in memory for their next turn."""
RETENTION_SECONDS = 600.0
"""How often a collection's old objects are looked at."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SnapshotPolicy:
    """When a new image becomes a snapshot in the object store: whichever comes first."""

    batches: int = 500
    bytes: int = 64 * 2**20
    seconds: float = 900.0
    bytes_when_quiet: int = 4 * 2**20
    """Once nobody writes any more: what has just been loaded should not be replayed by whoever starts next."""


@dataclass
class _Kept:
    """A collection of the builder, and what had been applied when its last snapshot was made, at a monotonic time."""

    replica: Replica
    retention: Retention
    snapshot_at: float
    snapshot_sequence: int
    snapshot_bytes: int = 0
    cleaned_at: float = float("-inf")


class Builder:
    """Not safe for threads; one a node."""

    def __init__(
        self,
        storage: Storage,
        *,
        threads: int = 1,
        policy: SnapshotPolicy | None = None,
    ) -> None:
        """:param threads: that build a graph."""
        self._storage = storage
        self._node = storage.node
        self._events = storage.events
        self._wall = storage.clock.wall
        self._monotonic = storage.clock.monotonic
        self._threads = threads
        self._policy = policy or SnapshotPolicy()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._postponed = Postponed()

    def turn(self) -> bool:
        """Look after the collection that has waited longest; returns whether there was one.

        Raises nothing: what befalls one collection must not end what all of the node depend on. It has to wait
        before it is tried again, the longer the oftener it has failed.
        """
        now = self._monotonic()
        asked = (each for each in self._node.asked() if not self._postponed.holds(each.incarnation, now=now))
        collection = next(asked, None)
        if collection is None:
            return False
        self._node.answered(collection)
        try:
            self.build(collection)
        except Problem as problem:
            extra = self._postpone(collection) | {"code": problem.code}
            _log.warning("a collection could not be built; it is tried again", extra=extra)
            self._events.turned(Turn.POSTPONED)
        except Exception:
            _log.exception("building a collection failed; it is tried again", extra=self._postpone(collection))
            self._events.turned(Turn.FAILED)
        else:
            self._postponed.worked(collection.incarnation)
            self._events.turned(Turn.DONE)
        return True

    def build(self, collection: Collection) -> None:
        """Bring one collection's image up to date, and its snapshot where that is due.

        :raises Problem: 503, its log is damaged or cannot be read.
        :raises OSError: the node's folder fails, or the collection's part of it is gone.
        """
        kept = self._opened(collection)
        replica = kept.replica
        replica.level_with(replica.now())
        replica.fold()
        local, rows = self._compact(replica)
        if self._storage.is_home(collection):
            self._keep(kept, local, rows)
        replica.folder.sweep()
        self._forget_some()

    def _keep(self, kept: _Kept, local: LocalImage, rows: int) -> None:
        """See to a collection's snapshots and old objects, which elsewhere come and go as they do at home."""
        replica = kept.replica
        if self._is_due(kept):
            manifest = replica.snapshots.publish(local.image, local.position, rows=rows, now=self._wall())
            kept.snapshot_at, kept.snapshot_sequence = replica.now(), manifest.sequence
            kept.snapshot_bytes = replica.applied_bytes
            kept.retention.verify_newest()
        if replica.now() - kept.cleaned_at > RETENTION_SECONDS:
            self._clean(kept)
            kept.cleaned_at = replica.now()

    def _clean(self, kept: _Kept) -> None:
        """Remove what is superfluous. It can wait, and graphs cannot: one named snapshot may not be readable."""
        try:
            kept.retention.clean(now=self._wall())
        except Problem as problem:
            extra = {"collection": kept.replica.collection.name, "code": problem.code}
            _log.warning("old objects could not be removed; it is tried again", extra=extra)

    def _postpone(self, collection: Collection) -> dict[str, object]:
        """Let a collection wait, and begin with it anew afterwards; returns what a log should say."""
        self._kept.pop(collection.incarnation, None)
        times = self._postponed.failed(collection.incarnation, now=self._monotonic())
        return {"collection": collection.name, "incarnation": collection.incarnation, "times": times}

    def _opened(self, collection: Collection) -> _Kept:
        kept = self._kept.get(collection.incarnation)
        if kept is None:
            replica = self._storage.replica(collection)
            discard_drafts(replica.folder.segments)  # of its predecessor: one builder of a node is at work
            replica.load()
            newest = next(iter(replica.snapshots.manifests.newest_first()), None)
            age = float("inf") if newest is None else max(0.0, self._wall() - newest.modified)
            kept = _Kept(
                replica,
                self._storage.retention(collection),
                snapshot_at=replica.now() - age,
                snapshot_sequence=0 if newest is None else newest.position.sequence,
            )
            self._kept[collection.incarnation] = kept
        elif kept.replica.collection != collection:
            kept.replica.adopt(collection)
        self._kept.move_to_end(collection.incarnation)
        return kept

    def _compact(self, replica: Replica) -> tuple[LocalImage, int]:
        """Put fresh rows into graphs, a step at a time, as long as one is due; returns what it published last."""
        published = None
        while True:
            rows, quiet, heavy = replica.view(
                lambda state: (state.rows.image(now=state.ts), state.is_quiet(), state.rows.is_heavy)
            )
            built = compact(rows, replica.folder.segments, threads=self._threads, quiet=quiet, heavy=heavy)
            if built is rows:
                return published or replica.publish()
            replica.view(partial(_install, built))
            published = replica.publish()

    def _is_due(self, kept: _Kept) -> bool:
        sequence, quiet = kept.replica.view(lambda state: (state.sequence, state.is_quiet()))
        batches = sequence - kept.snapshot_sequence
        most = self._policy.bytes_when_quiet if quiet else self._policy.bytes
        return batches > 0 and (
            batches >= self._policy.batches
            or kept.replica.applied_bytes - kept.snapshot_bytes >= most
            or kept.replica.now() - kept.snapshot_at >= self._policy.seconds
        )

    def _forget_some(self) -> None:
        size = sum(kept.replica.view(lambda state: state.bytes) for kept in self._kept.values())
        while size > KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            size -= oldest.replica.view(lambda state: state.bytes)


def _install(image: Image, state: State) -> None:
    if not state.rows.install(image):
        raise RuntimeError("an image of these very rows was refused")
