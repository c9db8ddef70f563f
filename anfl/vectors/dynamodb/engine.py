"""The engine ``dynamodb`` behind the vector store's interface."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from anfl.problems import conflict, unavailable
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.changes import Change, prepare
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.capabilities import Capability, refuse
from anfl.vectors.dynamodb.changing import Changing
from anfl.vectors.dynamodb.classes import EngineClass, choose
from anfl.vectors.dynamodb.deletions import Deletions, done
from anfl.vectors.dynamodb.jobs import REMOVAL_DELAY, DeletionJob, Queue, RemovalJob
from anfl.vectors.dynamodb.moves import Moves
from anfl.vectors.dynamodb.pages import fetched, scrolled
from anfl.vectors.dynamodb.querying import matches
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.engines import RequestPage
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection, CollectionSettings, Position, Values
from anfl.vectors.moving.access import check_writable
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Count,
    Counted,
    DeleteRows,
    Deletion,
    Fetch,
    MatchList,
    PatchRows,
    Query,
    Read,
    Results,
    Scroll,
    Stats,
    Upsert,
    Written,
    position_of,
)
from anfl.vectors.requests import Rows as Page

NOWHERE = str(Position(0, 0))
"""There are no positions: this one is reached by every read."""
REPLICATION_SECONDS = 5.0
"""After which a fence stands in other regions, and what was written there before is here. A second or so, says AWS."""


@dataclass(frozen=True, kw_only=True)
class Class:
    """A class's table, and what is done with it."""

    made: EngineClass
    rows: Rows
    changing: Changing
    reader: Reader
    deletions: Deletions
    moves: Moves


class DynamoDbEngine:
    """See `anfl.vectors.engines.Engine`."""

    on_nodes = False
    follows = False

    def __init__(self, classes: Mapping[str, Class], jobs: Queue | None, clock: Clock) -> None:
        """:param classes: by name; there may be none.

        :param jobs: where what takes long is left to others; None: it cannot be.
        """
        self._classes = classes
        self._jobs = jobs
        self._clock = clock

    def place(self, settings: CollectionSettings) -> str:
        """See `Engine.place`."""
        return choose([each.made for each in self._classes.values()], settings).name

    def write(self, collection: Collection, change: Change, *, filling: int | None = None) -> Written:
        """See `Engine.write`.

        :raises Problem: 413 ``batch_not_atomic`` where it is too much for one transaction.
        """
        if isinstance(change, DeleteRows) and change.filter is not None:
            raise refuse(Capability.DIRECT_DELETION, field="filter")
        check_writable(collection, filling=filling)
        count = self._of(collection).changing.carry_out(collection, change, filling=filling)
        match change:
            case Upsert():
                return Written(sequence=NOWHERE, upserted=count)
            case PatchRows():
                return Written(sequence=NOWHERE, patched=count)
            case DeleteRows():
                return Written(sequence=NOWHERE, deleted=count)

    def delete_later(self, collection: Collection, change: DeleteRows) -> Deletion:
        """See `Engine.delete_later`."""
        if self._jobs is None:
            raise refuse(Capability.DIRECT_DELETION, field="filter")
        check_writable(collection, filling=None)
        earlier = self._of(collection).rows.earlier(collection, prepare(change, collection))
        if earlier is not None:  # by the engine that the collection was moved from
            return done(change, earlier, self._clock.wall())
        of = self._of(collection)
        deletion = of.deletions.begin(collection, change, of.moves.rounds.guard(collection, filling=None))
        if deletion.state != "DONE":
            job = DeletionJob(
                tenant=collection.tenant,
                collection=collection.name,
                incarnation=collection.incarnation,
                deletion_id=deletion.id,
            )
            self._jobs.send([job])
        return deletion

    def deletion(self, collection: Collection, deletion_id: str) -> Deletion:
        """See `Engine.deletion`."""
        return self._of(collection).deletions.show(collection, deletion_id)

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """See `Engine.query`: as the index was a moment ago."""
        _check_position(request)
        answers = matches(self._of(collection).reader, collection, request)
        if request.vectors is None:
            return Answer(matches=answers[0], sequence=NOWHERE)
        return Results(results=[MatchList(matches=each) for each in answers], sequence=NOWHERE)

    def fetch(self, collection: Collection, request: Fetch) -> Page:
        """See `Engine.fetch`; strong."""
        _check_position(request)
        return fetched(self._of(collection).reader, collection, request, sequence=NOWHERE)

    def scroll(self, collection: Collection, request: Scroll) -> Page:
        """See `Engine.scroll`; strong, each page by itself."""
        _check_position(request)
        return scrolled(self._of(collection).reader, collection, request, sequence=NOWHERE)

    def count(self, collection: Collection, request: Count) -> Counted:
        """See `Engine.count`; strong. It reads every row."""
        _check_position(request)
        reader = self._of(collection).reader
        if not request.filter:
            return Counted(count=reader.count(collection), sequence=NOWHERE)
        wanted = compile_filter(request.filter)
        matching = sum(wanted(row.metadata) for row in reader.in_order(collection))
        return Counted(count=matching, sequence=NOWHERE)

    def stats(self, collection: Collection) -> Stats:
        """See `Engine.stats`: nothing of it is in this process's memory."""
        return Stats(
            rows=self._of(collection).reader.count(collection),
            expired=0,
            unmerged_rows=0,
            segments=0,
            private_bytes=0,
            mapped_bytes=0,
            sequence=NOWHERE,
        )

    def position(self, _collection: Collection) -> str:
        """See `Engine.position`."""
        return NOWHERE

    def at_once(self, _collection: Collection, _request: Query | Fetch) -> None:
        """See `Engine.at_once`: everything waits for DynamoDB."""

    def warm(self, _collection: Collection) -> bool:
        """See `Engine.warm`: it always is."""
        return True

    def check_update(self, collection: Collection, patch: CollectionPatch) -> None:
        """See `Engine.check_update`: slots are given out when a collection is created.

        :raises Problem: 400, it is a change.
        """
        if patch.index is not None:
            raise refuse(Capability.INDEX, field="index")
        if patch.fields not in (None, collection.settings.fields):
            raise refuse(Capability.NEW_FIELDS, field="fields")

    def check_snapshots(self) -> None:
        """See `Engine.check_snapshots`."""
        raise refuse(Capability.SNAPSHOTS)

    def build_fields(self, collection: Collection) -> Collection:
        """See `Engine.build_fields`: there is never one to build."""
        return collection

    def about_to_drop(self, collection: Collection) -> None:
        """See `Engine.about_to_drop`: its rows go after it has gone, however the deletion ends."""
        self._of(collection)
        if self._jobs is not None:
            self._jobs.send([RemovalJob(collection=collection)], delay=REMOVAL_DELAY)

    def changes(self, _collection: Collection, _since: str | None, *, most: int) -> None:
        """See `Engine.changes`."""

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """See `Engine.requests`."""
        return self._of(collection).moves.requests(collection, after, most=most)

    def remember(self, collection: Collection, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """See `Engine.remember`."""
        self._of(collection).moves.remember(collection, requests, filling=filling)

    def fence(self, collection: Collection) -> float:
        """See `Engine.fence`: items that transactions check, in each region by itself."""
        rounds = self._of(collection).moves.rounds
        rounds.begin(collection)
        rounds.demand(collection)
        return REPLICATION_SECONDS

    def exact(self, collection: Collection, queries: Values, k: int) -> list[list[tuple[float, str]]]:
        """See `Engine.exact`."""
        return self._of(collection).moves.exact(collection, queries, k)

    def drop(self, collection: Collection) -> None:
        """See `Engine.drop`: a job does it, where there can be one."""
        self._of(collection).moves.rounds.end(collection)
        if self._jobs is None:
            for _ in self.removed(collection):
                pass

    def removed(self, collection: Collection) -> Iterator[int]:
        """Remove everything of it; see `Rows.drop`."""
        of = self._of(collection)
        yield from of.rows.drop(collection)
        of.moves.rounds.forget(collection)

    def deleted(self, collection: Collection, deletion_id: str) -> Iterator[int]:
        """Carry out a deletion by filter; see `Deletions.run`."""
        of = self._of(collection)
        return of.deletions.run(collection, deletion_id, of.moves.rounds.guard(collection, filling=None))

    def give_up(self, collection: Collection, deletion_id: str, reason: str) -> None:
        """Note that nobody carries out a deletion any more; see `Deletions.fail`."""
        self._of(collection).deletions.fail(collection, deletion_id, reason)

    def _of(self, collection: Collection) -> Class:
        found = self._classes.get(collection.engine_class or "")
        if found is None:
            detail = f"The class {collection.engine_class} of {collection.name} is not there."
            raise unavailable(detail, code=Refusal.STORAGE_UNAVAILABLE)
        return found


def _check_position(request: Read) -> None:
    """Refuse a position of what an alias stood for before, perhaps."""
    if request.min_sequence is not None and str(position_of(request.min_sequence)) != NOWHERE:
        detail = f"The position {request.min_sequence} is of another collection; here all are {NOWHERE}."
        raise conflict(detail, code=Refusal.HISTORY_LOST)
