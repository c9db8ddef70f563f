"""What one process has of a collection: a state that changes by the next batch, or by a newer image of it."""

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anfl.problems import unavailable
from anfl.vectors.batch import Batch
from anfl.vectors.clock import Clock
from anfl.vectors.collection_folder import CollectionFolder, LocalImage
from anfl.vectors.envelope import DamagedError
from anfl.vectors.model import Collection, Position
from anfl.vectors.snapshots import Snapshots
from anfl.vectors.state import State

LOAD_SECONDS = 300.0
"""How long a process waits for another one of its node that brings the same snapshot."""
IMAGE_BATCHES = 200
"""Batches behind an image after which a new one is wanted, however small they are."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


@contextmanager
def on_disk() -> Iterator[None]:
    """Around what is written to a node's disk.

    :raises Problem: 503, it is full.
    """
    try:
        yield
    except OSError as failure:
        if failure.errno != errno.ENOSPC:
            raise
        raise unavailable("The node's disk is full; try again.", code="storage_unavailable") from failure


class LocalCopy:
    """Safe for threads. Who reads waits for nobody."""

    def __init__(self, collection: Collection, *, snapshots: Snapshots, folder: CollectionFolder, clock: Clock) -> None:
        self.snapshots = snapshots
        self.folder = folder
        self._clock = clock
        self._state = State(collection, clock=clock.wall)
        self._shown = self._state.still()
        self._lock = threading.Lock()
        self.applied_bytes = 0
        """Of values, since this process began."""
        self._installed = ""
        """Name of the image that the state was made from, or of a later one that it can never be made from."""
        self._image_sequence = 0

    @property
    def collection(self) -> Collection:
        """The collection with its present settings."""
        return self._state.collection

    @property
    def shown(self) -> State:
        """The state as it is now, to read from. It stays as it is, and nobody waits for it, not even while a batch is
        being applied."""
        return self._shown

    @property
    def sequence(self) -> int:
        """The last applied place of the log."""
        return self._shown.sequence

    def has_reached(self, wanted: Position) -> bool:
        """Whether ``wanted`` is applied; False also for a position of another history."""
        return self.collection.holds(wanted) and self.sequence >= wanted.sequence

    def adopt(self, collection: Collection) -> None:
        """Take over changed settings of the same incarnation."""
        with self._lock:
            self._state.adopt(collection)
            self.snapshots.collection = self._state.collection
            self._shown = self._state.still()

    def view(self, read: Callable[[State], T]) -> T:
        """What ``read`` makes of the state, which does not change meanwhile."""
        with self._lock:
            return read(self._state)

    def apply(self, batch: Batch) -> None:
        """Take in a committed batch, unless somebody else already has."""
        with self._lock:
            if batch.sequence == self._state.sequence + 1:
                self._state.apply(batch)
                self._shown = self._state.still()
                self.applied_bytes += sum(len(row.values) for row in batch.rows)

    def wants_builder(self) -> bool:
        """Whether this node's builder should make a new image."""
        with self._lock:
            state = self._state
            behind = state.sequence - self._image_sequence
            return (
                behind >= IMAGE_BATCHES
                or state.requests.are_many
                or state.rows.is_backlogged  # perhaps by what has expired, which an image leaves out
                or state.rows.is_due(now=state.ts, quiet=state.is_quiet())
            )

    def fold(self) -> set[str]:
        """Put the requests of a day into a file that others can map as well, where too many are in memory.

        Returns the names of runs that this process has no use for any more.

        :raises OSError: the node's folder fails, or the collection's part of it is gone.
        """
        shown = self._shown
        runs = shown.requests.folded(self.folder.segments, upto=shown.sequence, ts=shown.ts)
        if runs is None:
            return set()
        with self._lock:
            if self._state.requests.take(runs, of=shown.requests):
                self._shown = self._state.still()
            used = self._state.requests.runs
        return {run.name for run in (*shown.requests.runs, *runs)} - {run.name for run in used}

    def publish(self) -> tuple[LocalImage, int]:
        """Make the state an image for this node's other processes; returns it and the number of its rows."""
        with self._lock:
            return self.folder.publish(self._state.position, self._state.image()), len(self._state.rows)

    def begin(self) -> None:
        """Take the newest image of this node, or else the newest snapshot; once, before anything else.

        :raises Problem: 503, the store does not answer, or the node's disk is full.
        """
        self.folder.note_used()
        with self.folder.lock("load", seconds=LOAD_SECONDS):
            self.folder.prepare()
            self.folder.note_used()  # again: it has gone with a folder that was removed meanwhile
            self._state = self._from_folder() or self._from_snapshot(after=0) or self._state
            self._shown = self._state.still()

    def go_on(self, *, after: int) -> bool:
        """Take the newest snapshot behind ``after`` that is whole; returns whether there is one.

        :raises Problem: 503, the store does not answer.
        """
        newer = self._from_snapshot(after=after)
        if newer is not None:
            self._swap(newer)
        return newer is not None

    def install_newest(self) -> bool:
        """Take over the newest image of this node, if it is news; returns whether it was."""
        name = self.folder.newest()
        if name is None or name <= self._installed:
            return False
        local = self.folder.load(name)
        if local is None or not self.collection.holds(local.position):
            return False
        try:
            with self._lock:
                installed = self._state.install(local.image)
                self._shown = self._state.still()
            if not installed and not self._swap(State.from_image(self.collection, local.image, clock=self._clock.wall)):
                self._installed = name  # what has been deleted since is not known any more, nor will be
                return False
        except FileNotFoundError:  # a newer image has taken its place meanwhile
            return False
        except OSError as failure:  # there is no room for it now
            _log.warning("an image cannot be taken over; it is tried again", extra={"reason": str(failure)})
            return False
        except ValueError as damage:
            self._installed = name  # not again
            _log.error("damaged image", extra={"image": name, "reason": str(damage)})
            return False
        self._installed, self._image_sequence = name, local.position.sequence
        return True

    def _swap(self, state: State) -> bool:
        """Take ``state`` in place of the present one unless that is newer."""
        with self._lock:
            if state.sequence < self._state.sequence:
                return False
            state.adopt(self._state.collection)
            self._state = state
            self._shown = state.still()
            return True

    def _from_folder(self) -> State | None:
        name = self.folder.newest()
        local = None if name is None else self.folder.load(name)
        if name is None or local is None or not self.collection.holds(local.position):
            return None
        try:
            state = State.from_image(self.collection, local.image, clock=self._clock.wall)
        except (FileNotFoundError, ValueError) as damage:
            _log.error("damaged image", extra={"image": name, "reason": str(damage)})
            return None
        self._installed, self._image_sequence = name, local.position.sequence
        return state

    def _from_snapshot(self, *, after: int) -> State | None:
        """The state of the newest snapshot behind ``after`` that is whole."""
        for listed in self.snapshots.manifests.newest_first():
            if listed.position.sequence <= after:
                return None
            try:
                manifest = self.snapshots.manifests.read(listed.path)
                with on_disk():
                    self.folder.make_room(manifest.size)
                    local = self.folder.publish(manifest.position, self.snapshots.fetch(manifest, self.folder))
                state = State.from_image(self.collection, local.image, clock=self._clock.wall)
            except (DamagedError, FileNotFoundError, ValueError) as damage:
                extra = {"key": self.snapshots.manifests.key(listed.path), "reason": str(damage)}
                _log.error("damaged snapshot", extra=extra)
                continue
            if local.name > self._installed:
                self._installed, self._image_sequence = local.name, local.position.sequence
            return state
        return None
