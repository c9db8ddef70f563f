"""The engine ``dynamodb`` behind the vector store's interface."""

from collections.abc import Mapping, Sequence

from anfl.vectors import replication
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.changes import Change
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.answering import NOWHERE, Answering
from anfl.vectors.dynamodb.capabilities import Capability, refuse
from anfl.vectors.dynamodb.changing import checked
from anfl.vectors.dynamodb.classes import choose
from anfl.vectors.dynamodb.jobs import Queue
from anfl.vectors.dynamodb.postponing import Postponing
from anfl.vectors.dynamodb.tables import Class, Classes
from anfl.vectors.engines import RequestPage
from anfl.vectors.model import Collection, CollectionSettings, Values
from anfl.vectors.moving.access import check_writable
from anfl.vectors.requests import CollectionPatch, DeleteRows, PatchRows, Upsert, Written


class DynamoDbEngine(Answering, Postponing):
    """See `anfl.vectors.engines.Engine`."""

    on_nodes = False
    follows = False

    def __init__(self, classes: Mapping[str, Class], jobs: Queue | None, clock: Clock) -> None:
        """:param classes: by name; there may be none.

        :param jobs: where what takes long is left to others; None: it cannot be.
        """
        self._classes = Classes(classes)
        self._jobs = jobs
        self._clock = clock

    def place(self, settings: CollectionSettings) -> str:
        """See `Engine.place`."""
        return choose(self._classes.made, settings).name

    def check(self, collection: Collection, change: Change) -> None:
        """See `Engine.check`."""
        checked(collection, change)

    def check_home(self, collection: Collection) -> None:
        """See `Engine.check_home`: it is written in every region."""

    def write(self, collection: Collection, change: Change, *, filling: int | None = None) -> Written:
        """See `Engine.write`.

        :raises Problem: 413 ``batch_not_atomic`` where it is too much for one transaction.
        """
        if isinstance(change, DeleteRows) and change.filter is not None:
            raise refuse(Capability.DIRECT_DELETION, field="filter")
        check_writable(collection, filling=filling)
        count = self._classes.of(collection).changing.carry_out(collection, change, filling=filling)
        match change:
            case Upsert():
                return Written(sequence=NOWHERE, upserted=count)
            case PatchRows():
                return Written(sequence=NOWHERE, patched=count)
            case DeleteRows():
                return Written(sequence=NOWHERE, deleted=count)

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

    def changes(self, _collection: Collection, _since: str | None, *, most: int) -> None:
        """See `Engine.changes`."""

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """See `Engine.requests`."""
        return self._classes.of(collection).moves.requests(collection, after, most=most)

    def remember(self, collection: Collection, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """See `Engine.remember`."""
        self._classes.of(collection).moves.remember(collection, requests, filling=filling)

    def fence(self, collection: Collection) -> float:
        """See `Engine.fence`: items that transactions check, and each region has by itself after a while."""
        rounds = self._classes.of(collection).moves.rounds
        rounds.begin(collection)
        rounds.demand(collection)
        return replication.REPLICATION_SECONDS

    def exact(self, collection: Collection, queries: Values, k: int) -> list[list[tuple[float, str]]]:
        """See `Engine.exact`."""
        return self._classes.of(collection).moves.exact(collection, queries, k)
