"""What a process does for the collections in its memory while nobody waits for it."""

import logging
import threading
from collections.abc import Callable, Sequence
from time import thread_time

from anfl.problems import Problem
from anfl.vectors.events import Holdings
from anfl.vectors.model import Collection
from anfl.vectors.opened import OpenCollections
from anfl.vectors.postponed import Postponed
from anfl.vectors.replica import Replica
from anfl.vectors.storage import Storage

UPKEEP_SECONDS = 0.2
"""How often a process looks for new images, and at its memory."""
MOST_SHARE = 0.2
"""Of a core, for that: with thousands of collections in memory it takes a good part of a second."""
USED_SECONDS = 60.0
"""A collection whose log nobody has looked at for longer is not kept level with other nodes."""
SHOWN_SECONDS = 5.0
"""How often operators are told what is in memory."""
NOTED_SECONDS = 60.0
"""How often the node's other processes are."""
_log = logging.getLogger(__name__)


class Upkeep:
    """Takes in new images of the builder, asks it for others, finishes what was declared, stays within the memory."""

    def __init__(
        self,
        opened: OpenCollections,
        storage: Storage,
        *,
        memory_bytes: int,
        builds: bool,
        build_fields: Callable[[Collection], object],
        refresh_soon: Callable[[Replica], None],
    ) -> None:
        """:param builds: whether this node has a builder, to be asked for images."""
        self._refresh_soon = refresh_soon
        self._opened = opened
        self._storage = storage
        self._memory_bytes = memory_bytes
        self._builds = builds
        self._build_fields = build_fields
        self._postponed = Postponed()
        """What has failed for a collection."""
        self._shown_at = float("-inf")
        self._noted_at = float("-inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)

    def start(self) -> None:
        """Do it again and again from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Do it no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def once(self) -> None:
        """Do everything once; what one collection fails of comes when the others have had their turn."""
        self._opened.evict(self._memory_bytes)
        replicas = [opened.replica for opened in self._opened.loaded()]
        self._exchange(replicas)
        failures: list[Exception] = []
        for replica in replicas:
            try:
                self._look_after(replica)
            except Exception as failure:
                failures.append(failure)
        now = self._storage.clock.monotonic()
        if now - self._shown_at >= SHOWN_SECONDS:
            self._shown_at = now
            self._storage.events.holds(self.holdings())
        if now - self._noted_at >= NOTED_SECONDS:
            self._noted_at = now
            for replica in replicas:
                replica.folder.note_used()
        if failures:
            raise failures[0]

    def holdings(self) -> Holdings:
        """What is in memory, in figures."""
        replicas = [opened.replica for opened in self._opened.loaded()]
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

    def _look_after(self, replica: Replica) -> None:
        replica.install_newest()
        if self._storage.is_home(replica.collection):  # who is behind may overwrite a later one
            self._storage.hints.note(replica.collection, replica.sequence)
        if self._builds and replica.wants_builder():
            self._storage.node.ask(replica.collection)
        if self._storage.alone:
            self._fold(replica)
        if replica.collection.building:
            self._go_on_building(replica.collection)

    def _exchange(self, replicas: Sequence[Replica]) -> None:
        """Look at logs in which other nodes have written, so that no reader waits for it."""
        used = {each.collection.incarnation: each for each in replicas if each.level_for() < USED_SECONDS}
        known = {incarnation: replica.sequence for incarnation, replica in used.items()}
        for incarnation in self._storage.region.exchange(known):
            self._refresh_soon(used[incarnation])

    def _go_on_building(self, collection: Collection) -> None:
        self._attempt("fields are not ready yet", collection, lambda: self._build_fields(collection))

    def _fold(self, replica: Replica) -> None:
        """Keep requests out of the memory of a process that has no builder to do it. A full disk costs memory alone."""
        self._attempt("requests stay in memory", replica.collection, lambda: replica.folder.discard(replica.fold()))

    def _attempt(self, failing: str, collection: Collection, work: Callable[[], object]) -> None:
        """Do ``work``, unless the same has failed for this collection and has yet to wait."""
        key, now = f"{failing}: {collection.incarnation}", self._storage.clock.monotonic()
        if self._postponed.holds(key, now=now):
            return
        try:
            work()
        except (Problem, OSError) as error:
            reason = error.code if isinstance(error, Problem) else str(error)
            extra = {"collection": collection.name, "reason": reason, "times": self._postponed.failed(key, now=now)}
            _log.warning("%s; it is tried again", failing, extra=extra)
        else:
            self._postponed.worked(key)

    def _keep_up(self) -> None:
        pause = UPKEEP_SECONDS
        while not self._closing.wait(pause):
            began = thread_time()
            try:
                self.once()
            except Exception:
                _log.exception("upkeep failed; it is tried again")
            pause = max(UPKEEP_SECONDS, (thread_time() - began) * (1 / MOST_SHARE - 1))
