"""The engine ``hnsw``: rows in a log, the state it amounts to in memory, graphs from the node's builder."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from anfl.problems import Problem, not_found
from anfl.vectors import backfill, reads
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.changes import Change, prepare
from anfl.vectors.engines import Changes, RequestPage
from anfl.vectors.homes import check_home, is_home
from anfl.vectors.log import delete_all
from anfl.vectors.model import Collection, CollectionSettings, Values
from anfl.vectors.opened import MEMORY_BYTES, OpenCollections
from anfl.vectors.refusals import Refusal
from anfl.vectors.replica import REFRESH_SECONDS, STALE_SECONDS, Replica
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    Counted,
    DeleteRows,
    Deletion,
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
from anfl.vectors.tails import Tails
from anfl.vectors.upkeep import Upkeep

NAME = "hnsw"
AT_ONCE_ROWS = 128
"""Most matches of a query, or rows by id, that an event loop answers."""
AT_ONCE_WORK = 65_536
"""Most work of such a query (see `reads.query_work`), which takes about two milliseconds."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class HnswEngine:
    """See `anfl.vectors.engines.Engine`."""

    on_nodes = True
    follows = True

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        background: Executor,
        *,
        learn: Callable[[Collection], None],
        memory_bytes: int = MEMORY_BYTES,
        builds: bool = False,
        tails: Tails,
    ) -> None:
        """:param learn: told of what has changed in the catalogue.

        :param builds: whether this node has a builder, to be asked for images.
        :param tails: what the processes of this node tell each other of their writes.
        """
        self._catalogue = catalogue
        self._storage = storage
        self._clock = storage.clock
        self._background = background
        self._learn = learn
        self._tails = tails
        self._refreshing: set[str] = set()
        self.opened = OpenCollections(catalogue, storage, background, builds=builds)
        self.upkeep = Upkeep(
            self.opened,
            storage,
            memory_bytes=memory_bytes,
            builds=builds,
            build_fields=self.build_fields,
            refresh_soon=self._refresh_soon,
        )

    def place(self, _settings: CollectionSettings) -> None:
        """See `Engine.place`: in the log, wherever it is written."""

    def check(self, collection: Collection, change: Change) -> None:
        """See `Engine.check`."""
        prepare(change, collection)

    def check_home(self, collection: Collection) -> None:
        """See `Engine.check_home`."""
        check_home(collection, here=self._catalogue.region)

    def write(self, collection: Collection, change: Change, *, filling: int | None = None) -> Written:
        """See `Engine.write`.

        :raises Problem: 409 ``written_elsewhere``.
        """
        self.check_home(collection)
        opened = self.opened.get(collection)
        written = opened.writer.write(change, filling=filling)
        self._tails.publish(collection.prefix, opened.replica.sequence)
        return written

    def delete_later(self, _collection: Collection, _change: DeleteRows) -> None:
        """See `Engine.delete_later`."""

    def deletion(self, _collection: Collection, deletion_id: str) -> Deletion:
        """See `Engine.deletion`: here they are done when they are answered.

        :raises Problem: 404 ``deletion_not_found``.
        """
        raise not_found(f"There is no deletion {deletion_id}.", code=Refusal.DELETION_NOT_FOUND)

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """See `Engine.query`."""
        return reads.query(self._fresh(collection, request), request)

    def fetch(self, collection: Collection, request: Fetch) -> Rows:
        """See `Engine.fetch`."""
        return reads.fetch(self._fresh(collection, request), request)

    def count(self, collection: Collection, request: Count) -> Counted:
        """See `Engine.count`."""
        return reads.count(self._fresh(collection, request), request)

    def scroll(self, collection: Collection, request: Scroll) -> Rows:
        """See `Engine.scroll`."""
        cursor = None if request.cursor is None else reads.Cursor.parse(request.cursor)
        if cursor is not None:
            cursor.check(collection)
        replica = self._level(collection, request)
        if cursor is not None:
            replica.freshen(Read(min_sequence=cursor.position))
        return reads.scroll(replica.shown, request)

    def stats(self, collection: Collection) -> Stats:
        """See `Engine.stats`."""
        replica = self._level(collection, Read())
        stats = reads.stats(replica.shown)
        return stats if replica.trouble is None else msgspec.structs.replace(stats, trouble=replica.trouble.code)

    def position(self, collection: Collection) -> str:
        """See `Engine.position`."""
        return str(self._level(collection, Read()).shown.position)

    def at_once(self, collection: Collection, request: Query | Fetch) -> Answer | Results | Rows | None:
        """See `Engine.at_once`."""
        opened = self.opened.peek(collection)
        if opened is None or request.consistency != "bounded":
            return None
        replica = opened.replica
        age = replica.level_for()
        if age > REFRESH_SECONDS:
            self._refresh_soon(replica)
        if age > STALE_SECONDS or self._tails.newest(collection.prefix) > replica.sequence:
            return None
        if request.min_sequence is not None and not replica.has_reached(position_of(request.min_sequence)):
            return None
        return _at_once(replica.shown, request)

    def warm(self, collection: Collection) -> bool:
        """See `Engine.warm`."""
        return self.opened.begin(collection)

    def check_update(self, collection: Collection, patch: CollectionPatch) -> None:
        """See `Engine.check_update`. Of what two regions note of a collection at the same time one is lost, and the log
        may demand it.

        :raises Problem: 409 ``written_elsewhere``.
        """
        self.check_home(collection)
        if patch.fields:
            reads.check_declarations(self._fresh(collection, Read(consistency="strong")), patch.fields)

    def check_snapshots(self) -> None:
        """See `Engine.check_snapshots`: there are."""

    def build_fields(self, collection: Collection) -> Collection:
        """See `Engine.build_fields`: it takes a place in the log, so its home does it."""
        if not is_home(collection, here=self._catalogue.region):
            return collection
        opened = self.opened.get(collection)
        after = backfill.build(opened.replica, opened.writer, self._catalogue)
        self._learn(after)
        return after

    def about_to_drop(self, _collection: Collection) -> None:
        """See `Engine.about_to_drop`: the janitor finds what is left."""

    def changes(self, collection: Collection, since: str | None, *, most: int) -> Changes | None:
        """See `Engine.changes`: what stands in the log, which keeps it for a week."""
        replica = self._level(collection, Read(consistency="strong"))
        reached = replica.shown.sequence
        if since is None:
            return Changes(position=str(collection.position(reached)))
        sequence = position_of(since, field="since").sequence
        ids: dict[str, None] = {}
        requests: list[AppliedRequest] = []
        while sequence < reached and len(ids) + len(requests) < most:
            batch = replica.log.read(sequence + 1)
            if batch is None:
                return None
            sequence += 1
            ids.update(dict.fromkeys(row.id for row in batch.rows))
            ids.update(dict.fromkeys(patch.id for patch in batch.patches))
            ids.update(dict.fromkeys(batch.deleted))
            requests += batch.requests
        position = str(collection.position(sequence))
        return Changes(position=position, ids=list(ids), requests=requests, behind=reached - sequence)

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """See `Engine.requests`."""
        state = self._fresh(collection, Read(consistency="strong"))
        requests, reached = state.requests_behind(int(after or 0), most=most)
        return RequestPage(requests=requests, cursor=str(reached), more=reached < state.sequence)

    def remember(self, collection: Collection, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """See `Engine.remember`."""
        self.opened.get(collection).writer.remember(requests, filling=filling)

    def fence(self, collection: Collection) -> float:
        """See `Engine.fence`: a slot of the log, which whoever knows less loses."""
        self.opened.get(collection).writer.fence(collection.revision)
        return 0.0

    def exact(self, collection: Collection, queries: Values, k: int) -> list[list[tuple[float, str]]]:
        """See `Engine.exact`."""
        state = self._fresh(collection, Read(consistency="strong"))
        found = state.rows.view.search(queries, k, now=state.now(), exact=True)
        return [[(hit.distance, hit.id) for hit in hits] for hits in found]

    def drop(self, collection: Collection) -> None:
        """See `Engine.drop`. What another node writes at this very moment goes later (`anfl.vectors.janitor`).

        So does everything of another region's: what is noted there at the same time, and later, stays.
        """
        opened = self.opened.drop(collection.incarnation)
        if opened is not None:
            opened.writer.close()
        if is_home(collection, here=self._catalogue.region):
            delete_all(self._storage.objects, collection.prefix)
        self._storage.node.of(collection).remove()

    def _fresh(self, collection: Collection, freshness: Read) -> State:
        """A state, which holds still, as fresh as asked for."""
        return self._level(collection, freshness).shown

    def _level(self, collection: Collection, freshness: Read) -> Replica:
        if freshness.consistency == "strong":
            self.check_home(collection)
        replica = self.opened.get(collection).replica
        if self._tails.newest(collection.prefix) > replica.sequence:
            replica.take_cached()
        if self._tails.newest(collection.prefix) > replica.sequence and replica.trouble is None:
            replica.level_with(self._clock.monotonic())
        replica.freshen(freshness)
        return replica

    def _refresh_soon(self, replica: Replica) -> None:
        """Look at the log in the background, so that no reader waits for it."""
        incarnation = replica.collection.incarnation
        if incarnation in self._refreshing:
            return
        self._refreshing.add(incarnation)

        def refresh() -> None:
            try:
                replica.level_with(self._clock.monotonic())
            except Problem as problem:
                extra = {"collection": replica.collection.name, "reason": str(problem)}
                _log.info("a look at a log failed", extra=extra)
            finally:
                self._refreshing.discard(incarnation)

        self._background.submit(refresh)


def _at_once(state: State, request: Query | Fetch) -> Answer | Results | Rows | None:
    if isinstance(request, Fetch):
        return None if len(request.ids) > AT_ONCE_ROWS else reads.fetch(state, request)
    if request.vectors is not None or request.k > AT_ONCE_ROWS or reads.query_work(state, request) > AT_ONCE_WORK:
        return None
    return reads.query(state, request)
