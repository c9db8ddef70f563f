"""Looks through a whole bucket: removes what is left of collections that are gone, and old objects of those at home.

Also has snapshots made of their logs that grow unattended, and looks through this node's folder.
"""

import logging

from anfl.problems import Problem
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.listing import incarnations
from anfl.vectors.local_copy import IMAGE_BATCHES
from anfl.vectors.log import delete_all
from anfl.vectors.model import Collection
from anfl.vectors.named import COPY_SECONDS, ORPHAN_SECONDS
from anfl.vectors.objects import answering
from anfl.vectors.sealing import KEYS
from anfl.vectors.storage import Storage

_log = logging.getLogger(__name__)


class Janitor:
    """One bucket's. Several at once do no harm."""

    def __init__(self, storage: Storage, catalogue: Catalogue) -> None:
        self._storage = storage
        self._objects = storage.objects
        self._catalogue = catalogue

    def sweep(self, *, now: float) -> int:
        """Go through everything once; returns how many incarnations were removed.

        :raises Problem: 503, the store or the catalogue does not answer.
        """
        removed = 0
        known: set[str] = set()
        for tenant, name, incarnation in incarnations(self._objects):
            prefix = f"{tenant}/{name}/{incarnation}/"
            first, newest = self._extent(prefix, now=now)
            # The look at the catalogue comes last: an incarnation is there before its first object, and never again.
            collection = self._current(tenant, name)
            if collection is not None and collection.incarnation == incarnation:
                known.add(incarnation)
                if self._storage.is_home(collection):
                    self._look_after(collection, now=now)
            elif newest <= now - ORPHAN_SECONDS and (newest <= now - COPY_SECONDS or not self._is_copy(first)):
                _log.warning("removing what is left of a deleted collection", extra={"prefix": prefix})
                delete_all(self._objects, prefix)
                removed += 1
        self._storage.node.sweep(known)
        return removed

    def _extent(self, prefix: str, *, now: float) -> tuple[str, float]:
        """The first key, and when the newest object was written; `now` where there is none.

        The first but for data keys, where there is another: each region writes those anew, when it re-wraps them.
        """
        first, newest = "", 0.0
        with answering():
            for entry in self._objects.list(prefix):
                if not first or first.startswith(prefix + KEYS):
                    first = entry.key
                newest = max(newest, entry.modified)
        return first, newest if first else now

    def _is_copy(self, first: str) -> bool:
        """Whether the home of what begins with this object is another region: mostly it is a batch."""
        with answering():
            return self._objects.is_copy(first)

    def _look_after(self, collection: Collection, *, now: float) -> None:
        """What befalls one collection, as a named snapshot that cannot be read, must not end what all depend on."""
        try:
            self._storage.retention(collection).clean(now=now)
            self._ask_builder(collection)
        except Problem as problem:
            extra = {"prefix": collection.prefix, "code": problem.code}
            _log.warning("a collection could not be looked after; it is tried again", extra=extra)

    def _ask_builder(self, collection: Collection) -> None:
        """Where no node follows the log, as when only functions write to it, it would grow for ever."""
        newest = next(iter(self._storage.snapshots(collection).manifests.newest_first()), None)
        covered = 0 if newest is None else newest.position.sequence
        if self._storage.hints.last(collection) >= covered + IMAGE_BATCHES:
            self._storage.node.ask(collection)

    def _current(self, tenant: str, name: str) -> Collection | None:
        try:
            return self._catalogue.find(tenant, name)
        except Problem as problem:
            if problem.code == "collection_not_found":
                return None
            raise
