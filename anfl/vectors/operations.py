"""Every operation once: its name for direct events, its route, what it takes and answers. Transports read it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any

from anfl.problems import Problem, invalid
from anfl.vectors.model import CollectionSettings
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move, Moved
from anfl.vectors.naming import Alias, Aliases, AliasName, NamedSnapshot, NamedSnapshotList, Restore, SnapshotName
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Collections,
    Count,
    Counted,
    Deleted,
    DeleteRows,
    Deletion,
    DeletionId,
    Described,
    Export,
    Fetch,
    NamePage,
    PatchRows,
    Query,
    Results,
    Rows,
    Scroll,
    Stats,
    StoredRow,
    Upsert,
    Warmed,
    Written,
    describe,
)
from anfl.vectors.store import VectorStore

_COLLECTIONS = "/v1/collections"
_COLLECTION = f"{_COLLECTIONS}/{{name}}"
_ALIASES = "/v1/aliases"


@dataclass(frozen=True)
class Outcome:
    """An answer and its HTTP status."""

    answer: Any
    status: int = 200


class Repetition(Enum):
    """What comes of carrying out a request twice, because the first answer got lost."""

    HARMLESS = auto()
    """The same as of once."""
    BY_REQUEST_ID = auto()
    """The same as of once, if it has a ``request_id``."""
    HARMFUL = auto()


@dataclass(frozen=True, kw_only=True)
class Call:
    """What callers see of an operation."""

    name: str
    """In direct events, and the OpenAPI ``operationId``."""
    method: str
    path: str
    summary: str
    details: str = ""
    """What a caller has to know beside that."""
    takes: Any = None
    """Type of the body, or of the query string for GET; with what the path holds beside the collection's name."""
    answers: Mapping[int, tuple[Any, ...]]
    """By HTTP status, the types of the answer, one of which it has."""
    refusals: frozenset[Refusal]
    names_collection: bool = True
    repetition: Repetition = Repetition.HARMLESS

    @property
    def in_memory(self) -> bool:
        """Whether the collection's rows must be in memory for it."""
        return self.refusals >= _IN_MEMORY

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        """Members of the request that stand in the path."""
        return tuple(name for name in re.findall(r"\{(\w+)\}", self.path) if name != "name")

    @cached_property
    def has_body(self) -> bool:
        """Whether the request comes as a body; what stands in the path is all of it."""
        return self.takes is not None and self.method not in {"GET", "DELETE"} and not self.in_path


@dataclass(frozen=True, kw_only=True)
class Operation(Call):
    """One thing that callers can do."""

    run: Callable[[VectorStore, str, str, Any], Outcome]
    """``(store, tenant, name, request)``; ``name`` is empty where the operation names no collection."""
    at_once: Callable[[VectorStore, str, str, Any], Any] | None = None
    """As ``run``, for an event loop: the answer alone, None where it would have to wait or compute for long."""


@dataclass(frozen=True, kw_only=True)
class Streamed(Call):
    """One thing that callers can do whose answer is as long as the collection. Not for direct events."""

    pages: Callable[[VectorStore, str, str, Any], Iterator[Rows]]
    """The answer, a page at a time; each takes as long as a read."""


_MEANWHILE = (
    "Writes go on meanwhile. A row that is there, and fulfils the filter, all the while is shown once; none is shown "
    "twice. One that is added, changed, removed or expires meanwhile may be shown or not, as it was before or after. "
    "For all rows as of one moment, restore a named snapshot and read that."
)
EXPORT_ROWS = 500
"""Rows that an export has in memory at a time; fewer where they are large."""


def _create(store: VectorStore, tenant: str, _name: str, request: CollectionSettings) -> Outcome:
    collection, new = store.create(tenant, request)
    return Outcome(describe(collection), 201 if new else 200)


def _update(store: VectorStore, tenant: str, name: str, request: CollectionPatch) -> Outcome:
    collection = store.update(tenant, name, request)
    return Outcome(describe(collection), 202 if collection.building else 200)


def _list(store: VectorStore, tenant: str, _name: str, request: NamePage) -> Outcome:
    found, more = store.collections(tenant, request)
    cursor = found[-1].name if more else None
    return Outcome(Collections(collections=[describe(each) for each in found], cursor=cursor))


def _list_aliases(store: VectorStore, tenant: str, _name: str, request: NamePage) -> Outcome:
    found, more = store.aliases(tenant, request)
    return Outcome(Aliases(aliases=found, cursor=found[-1].alias if more else None))


def _delete_collection(store: VectorStore, tenant: str, name: str, _request: None) -> Outcome:
    store.delete(tenant, name)
    return Outcome(Deleted(deleted=name))


def _write(store: VectorStore, tenant: str, name: str, request: Upsert | PatchRows) -> Outcome:
    return Outcome(store.write(tenant, name, request))


def _delete(store: VectorStore, tenant: str, name: str, request: DeleteRows) -> Outcome:
    done = store.delete_rows(tenant, name, request)
    return Outcome(done, 202 if isinstance(done, Deletion) else 200)


def _move(store: VectorStore, tenant: str, name: str, request: Move) -> Outcome:
    moved = store.move(tenant, name, request)
    return Outcome(moved, 200 if moved.stage is Stage.DONE else 202)


def _warm(store: VectorStore, tenant: str, name: str, _request: None) -> Outcome:
    try:
        return Outcome(Warmed(status="loaded", sequence=store.position(tenant, name)))
    except Problem as problem:
        if problem.code != Refusal.COLLECTION_LOADING:
            raise
        return Outcome(Warmed(status="loading"), 202)


def _delete_alias(store: VectorStore, tenant: str, _name: str, request: AliasName) -> Outcome:
    store.delete_alias(tenant, request.alias)
    return Outcome(Deleted(deleted=request.alias))


def _delete_snapshot(store: VectorStore, tenant: str, name: str, request: SnapshotName) -> Outcome:
    store.delete_snapshot(tenant, name, request.snapshot)
    return Outcome(Deleted(deleted=request.snapshot))


def _export(store: VectorStore, tenant: str, name: str, request: Export) -> Iterator[Rows]:
    cursor: str | None = None
    while True:
        page = store.scroll(
            tenant,
            name,
            Scroll(
                limit=EXPORT_ROWS,
                cursor=cursor,
                filter=request.filter,
                include=request.include,
                values_format=request.values_format,
                consistency=request.consistency,
                min_sequence=request.min_sequence,
            ),
        )
        yield page
        cursor = page.cursor
        if cursor is None:
            return


_CATALOGUE = frozenset({Refusal.CATALOGUE_UNAVAILABLE})
_GIVEN = frozenset({Refusal.INVALID_REQUEST, Refusal.MALFORMED_JSON, Refusal.TOO_LARGE})
_NAMED = _CATALOGUE | {Refusal.COLLECTION_NOT_FOUND}
_IN_MEMORY = _NAMED | {Refusal.STORAGE_UNAVAILABLE, Refusal.KEY_UNAVAILABLE, Refusal.LOG_CORRUPT, Refusal.LOG_GAP}
_LOADED = _IN_MEMORY | {Refusal.COLLECTION_LOADING}
_BY_ENGINE = frozenset({Refusal.NOT_SUPPORTED_BY_ENGINE})
_READ = _LOADED | _GIVEN | {Refusal.HISTORY_LOST, Refusal.POSITION_NOT_REACHED, Refusal.WRITTEN_ELSEWHERE}
_SHOWN = _READ | {Refusal.ANSWER_TOO_LARGE}
_ONCE = _LOADED | _GIVEN | {Refusal.NODE_LOST}
_WRITTEN = _ONCE | {
    Refusal.REQUEST_ID_REUSED,
    Refusal.TOO_MANY_WRITES,
    Refusal.BUILDER_BEHIND,
    Refusal.COLLECTION_FILLING,
    Refusal.COLLECTION_MOVED,
    Refusal.WRITES_PAUSED,
    Refusal.WRITTEN_ELSEWHERE,
    Refusal.BATCH_NOT_ATOMIC,
}
_MOVED = frozenset(
    {
        Refusal.ALIAS_NEEDED,
        Refusal.COLLECTION_CHANGED,
        Refusal.COLLECTION_MOVING,
        Refusal.FIELD_NOT_READY,
        Refusal.MOVE_BUSY,
        Refusal.WRITTEN_ELSEWHERE,
        Refusal.MOVE_REFUSED,
        Refusal.MOVE_TARGET_LOST,
        Refusal.MOVE_UNVERIFIED,
        Refusal.NO_ENGINE_CLASS,
    }
)
_FILTERED = frozenset({Refusal.FIELD_NOT_READY, Refusal.FILTER_TOO_SLOW})
_KEPT = frozenset(
    {
        Refusal.INVALID_REQUEST,
        Refusal.SNAPSHOT_NOT_FOUND,
        Refusal.SNAPSHOT_DAMAGED,
        Refusal.STORAGE_UNAVAILABLE,
        Refusal.KEY_UNAVAILABLE,
    }
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_collection",
        method="POST",
        path=_COLLECTIONS,
        summary="Create a collection; 201 where it is new, 200 where it exists with these settings",
        takes=CollectionSettings,
        answers={201: (Described,), 200: (Described,)},
        refusals=_CATALOGUE
        | _GIVEN
        | {Refusal.COLLECTION_EXISTS, Refusal.ALIAS_EXISTS, Refusal.NO_ENGINE_CLASS}
        | _BY_ENGINE,
        names_collection=False,
        run=_create,
    ),
    Operation(
        name="list_collections",
        method="GET",
        path=_COLLECTIONS,
        summary="The tenant's collections by name, page by page",
        takes=NamePage,
        answers={200: (Collections,)},
        refusals=_CATALOGUE | {Refusal.INVALID_REQUEST},
        names_collection=False,
        run=_list,
    ),
    Operation(
        name="describe_collection",
        method="GET",
        path=_COLLECTION,
        summary="A collection's settings",
        answers={200: (Described,)},
        refusals=_NAMED,
        run=lambda store, tenant, name, _: Outcome(describe(store.describe(tenant, name))),
    ),
    Operation(
        name="update_collection",
        method="PATCH",
        path=_COLLECTION,
        summary="Change ef_search or the declared fields; 202 where rows are still being looked through",
        takes=CollectionPatch,
        answers={200: (Described,), 202: (Described,)},
        refusals=_LOADED
        | _GIVEN
        | _BY_ENGINE
        | {
            Refusal.COLLECTION_CHANGED,
            Refusal.COLLECTION_FILLING,
            Refusal.COLLECTION_MOVING,
            Refusal.FIELD_CONTRADICTED,
            Refusal.WRITTEN_ELSEWHERE,
        },
        run=_update,
    ),
    Operation(
        name="delete_collection",
        method="DELETE",
        path=_COLLECTION,
        summary="Delete a collection with everything in it, and its aliases",
        answers={200: (Deleted,)},
        refusals=_NAMED | {Refusal.STORAGE_UNAVAILABLE, Refusal.QUEUE_UNAVAILABLE, Refusal.COLLECTION_MOVING},
        run=_delete_collection,
    ),
    Operation(
        name="stats",
        method="GET",
        path=f"{_COLLECTION}/stats",
        summary="Rows, segments, position",
        answers={200: (Stats,)},
        refusals=_LOADED,
        run=lambda store, tenant, name, _: Outcome(store.stats(tenant, name)),
    ),
    Operation(
        name="upsert",
        method="PUT",
        path=f"{_COLLECTION}/vectors",
        summary="Add or replace up to 1,000 rows: all or none",
        takes=Upsert,
        repetition=Repetition.BY_REQUEST_ID,
        answers={200: (Written,)},
        refusals=_WRITTEN | {Refusal.VERSION_CONFLICT} | _BY_ENGINE,
        run=_write,
    ),
    Operation(
        name="patch",
        method="PATCH",
        path=f"{_COLLECTION}/vectors",
        summary="Merge metadata into rows; null removes a member",
        takes=PatchRows,
        repetition=Repetition.BY_REQUEST_ID,
        answers={200: (Written,)},
        refusals=_WRITTEN | {Refusal.VERSION_CONFLICT} | _BY_ENGINE,
        run=_write,
    ),
    Operation(
        name="delete",
        method="POST",
        path=f"{_COLLECTION}/vectors/delete",
        summary="Delete rows by id or by filter; 202 where that goes on by itself",
        details="In collections of the engine `dynamodb`, deleting by filter is a job, which `show_deletion` shows.",
        takes=DeleteRows,
        repetition=Repetition.BY_REQUEST_ID,
        answers={200: (Written,), 202: (Deletion,)},
        refusals=_WRITTEN | _FILTERED | {Refusal.QUEUE_UNAVAILABLE} | _BY_ENGINE,
        run=_delete,
    ),
    Operation(
        name="show_deletion",
        method="GET",
        path=f"{_COLLECTION}/deletions/{{id}}",
        summary="How far a deletion by filter is",
        takes=DeletionId,
        answers={200: (Deletion,)},
        refusals=_NAMED | {Refusal.INVALID_REQUEST, Refusal.DELETION_NOT_FOUND, Refusal.STORAGE_UNAVAILABLE},
        run=lambda store, tenant, name, request: Outcome(store.deletion(tenant, name, request.id)),
    ),
    Operation(
        name="fetch",
        method="POST",
        path=f"{_COLLECTION}/vectors/fetch",
        summary="Rows by id",
        takes=Fetch,
        answers={200: (Rows,)},
        refusals=_SHOWN,
        run=lambda store, tenant, name, request: Outcome(store.fetch(tenant, name, request)),
        at_once=VectorStore.at_once,
    ),
    Operation(
        name="scroll",
        method="GET",
        path=f"{_COLLECTION}/vectors",
        summary="Rows in id order, page by page",
        details="Each page is one state of the collection. Its `cursor` pins a position: the next page is of a state "
        "at least as new, whichever node answers, and no snapshot of this one. The last page is the one without a "
        f"cursor: others may have fewer rows than asked for, or none. {_MEANWHILE}",
        takes=Scroll,
        answers={200: (Rows,)},
        refusals=_SHOWN | _FILTERED,
        run=lambda store, tenant, name, request: Outcome(store.scroll(tenant, name, request)),
    ),
    Operation(
        name="query",
        method="POST",
        path=f"{_COLLECTION}/query",
        summary="The nearest rows to a vector, several vectors, or a row",
        takes=Query,
        answers={200: (Answer, Results)},
        refusals=_SHOWN | {Refusal.ROW_NOT_FOUND} | _FILTERED | _BY_ENGINE,
        run=lambda store, tenant, name, request: Outcome(store.query(tenant, name, request)),
        at_once=VectorStore.at_once,
    ),
    Operation(
        name="count",
        method="POST",
        path=f"{_COLLECTION}/count",
        summary="How many rows match a filter",
        takes=Count,
        answers={200: (Counted,)},
        refusals=_READ | _FILTERED,
        run=lambda store, tenant, name, request: Outcome(store.count(tenant, name, request)),
    ),
    Operation(
        name="warm",
        method="POST",
        path=f"{_COLLECTION}/warm",
        summary="Bring a collection into memory; 202 where that takes longer than this call",
        answers={200: (Warmed,), 202: (Warmed,)},
        refusals=_IN_MEMORY,
        run=_warm,
    ),
    Operation(
        name="set_alias",
        method="POST",
        path=_ALIASES,
        summary="Let an alias stand for a collection, at once, whatever it stood for before",
        takes=Alias,
        answers={200: (Alias,)},
        refusals=_NAMED | _GIVEN | {Refusal.COLLECTION_EXISTS},
        names_collection=False,
        run=lambda store, tenant, _, request: Outcome(store.set_alias(tenant, request.alias, request.collection)),
    ),
    Operation(
        name="list_aliases",
        method="GET",
        path=_ALIASES,
        summary="The tenant's aliases by name, page by page",
        takes=NamePage,
        answers={200: (Aliases,)},
        refusals=_CATALOGUE | {Refusal.INVALID_REQUEST},
        names_collection=False,
        run=_list_aliases,
    ),
    Operation(
        name="delete_alias",
        method="DELETE",
        path=f"{_ALIASES}/{{alias}}",
        summary="Let an alias stand for nothing; the collection stays",
        takes=AliasName,
        answers={200: (Deleted,)},
        refusals=_CATALOGUE | {Refusal.INVALID_REQUEST, Refusal.ALIAS_NOT_FOUND},
        names_collection=False,
        run=_delete_alias,
    ),
    Operation(
        name="move_collection",
        method="POST",
        path=f"{_COLLECTION}/move",
        summary="Carry out a step of a move to another engine; 202 where there is more to do",
        details="Begins the move of what the alias in the path stands for, or carries it on; to be repeated until it "
        "is `done`. Callers read and write meanwhile; writers hear 503 `writes_paused` for a moment before every alias "
        "of the collection is switched to the new one. The old one stays, and takes no more writes.",
        takes=Move,
        answers={200: (Moved,), 202: (Moved,)},
        refusals=_LOADED | _GIVEN | _BY_ENGINE | _MOVED | {Refusal.COLLECTION_EXISTS, Refusal.ALIAS_EXISTS},
        run=_move,
    ),
    Operation(
        name="undo_move",
        method="POST",
        path=f"{_COLLECTION}/move/undo",
        summary="Give up a move that has not switched yet, and delete what was copied",
        answers={200: (Described,)},
        refusals=_NAMED
        | {
            Refusal.STORAGE_UNAVAILABLE,
            Refusal.QUEUE_UNAVAILABLE,
            Refusal.COLLECTION_CHANGED,
            Refusal.COLLECTION_MOVING,
            Refusal.MOVE_BUSY,
            Refusal.MOVE_SWITCHED,
        },
        run=lambda store, tenant, name, _: Outcome(describe(store.undo_move(tenant, name))),
    ),
    Operation(
        name="create_snapshot",
        method="POST",
        path=f"{_COLLECTION}/snapshots",
        summary="Keep the present state under a name, until that is deleted",
        takes=SnapshotName,
        repetition=Repetition.HARMFUL,
        answers={201: (NamedSnapshot,)},
        refusals=_ONCE | {Refusal.SNAPSHOT_EXISTS} | _BY_ENGINE,
        run=lambda store, tenant, name, request: Outcome(store.create_snapshot(tenant, name, request.snapshot), 201),
    ),
    Operation(
        name="list_snapshots",
        method="GET",
        path=f"{_COLLECTION}/snapshots",
        summary="A collection's named snapshots by name, page by page",
        takes=NamePage,
        answers={200: (NamedSnapshotList,)},
        refusals=_NAMED | (_KEPT - {Refusal.SNAPSHOT_NOT_FOUND, Refusal.SNAPSHOT_DAMAGED}) | _BY_ENGINE,
        run=lambda store, tenant, name, request: Outcome(store.snapshots(tenant, name, request)),
    ),
    Operation(
        name="delete_snapshot",
        method="POST",
        path=f"{_COLLECTION}/snapshots/delete",
        summary="Forget a named snapshot",
        takes=SnapshotName,
        answers={200: (Deleted,)},
        refusals=_NAMED | _GIVEN | _KEPT | _BY_ENGINE,
        run=_delete_snapshot,
    ),
    Operation(
        name="restore",
        method="POST",
        path=f"{_COLLECTION}/restore",
        summary="Make a new collection from a named snapshot: as a whole, or not at all",
        takes=Restore,
        repetition=Repetition.HARMFUL,
        answers={201: (Described,)},
        refusals=_NAMED | _GIVEN | _KEPT | {Refusal.COLLECTION_EXISTS, Refusal.ALIAS_EXISTS} | _BY_ENGINE,
        run=lambda store, tenant, name, request: Outcome(
            describe(store.restore(tenant, name, request.snapshot, request.into)), 201
        ),
    ),
)

STREAMS: tuple[Streamed, ...] = (
    Streamed(
        name="export",
        method="GET",
        path=f"{_COLLECTION}/export",
        summary="Every row in id order, one JSON object a line",
        details=_MEANWHILE,
        takes=Export,
        answers={200: (StoredRow,)},
        refusals=_SHOWN | _FILTERED,
        pages=_export,
    ),
)

_BY_NAME = {operation.name: operation for operation in OPERATIONS}


def named(name: object) -> Operation:
    """The operation of a direct event.

    :raises Problem: 400 listing the operations there are.
    """
    operation = _BY_NAME.get(name) if isinstance(name, str) else None
    if operation is None:
        raise invalid(f"There is no such operation; there are {', '.join(_BY_NAME)}.", field="operation")
    return operation
