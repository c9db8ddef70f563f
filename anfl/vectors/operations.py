"""Every operation once: its name for direct events, its route, what it takes and answers. Transports read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anfl.problems import invalid
from anfl.vectors.model import CollectionSettings
from anfl.vectors.requests import (
    Answer,
    CollectionPatch,
    Collections,
    Count,
    Counted,
    Deleted,
    DeleteRows,
    Described,
    Fetch,
    PatchRows,
    Query,
    Results,
    Rows,
    Scroll,
    Stats,
    Upsert,
    Written,
    describe,
)
from anfl.vectors.store import VectorStore

_COLLECTIONS = "/v1/collections"
_COLLECTION = f"{_COLLECTIONS}/{{name}}"


@dataclass(frozen=True)
class Outcome:
    """An answer and its HTTP status."""

    answer: Any
    status: int = 200


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that callers can do."""

    name: str
    """In direct events, and the OpenAPI ``operationId``."""
    method: str
    path: str
    summary: str
    answers: tuple[Any, ...]
    """Types of the answer, one of which it has."""
    takes: Any = None
    """Type of the body, or of the query string for GET; None for neither."""
    names_collection: bool = True
    run: Callable[[VectorStore, str, str, Any], Outcome]
    """``(store, tenant, name, request)``; ``name`` is empty where the operation names no collection."""


def _create(store: VectorStore, tenant: str, _name: str, request: CollectionSettings) -> Outcome:
    collection, new = store.create(tenant, request)
    return Outcome(describe(collection), 201 if new else 200)


def _list(store: VectorStore, tenant: str, _name: str, _request: None) -> Outcome:
    return Outcome(Collections(collections=[describe(each) for each in store.collections(tenant)]))


def _delete_collection(store: VectorStore, tenant: str, name: str, _request: None) -> Outcome:
    store.delete(tenant, name)
    return Outcome(Deleted(deleted=name))


def _write(store: VectorStore, tenant: str, name: str, request: Upsert | PatchRows | DeleteRows) -> Outcome:
    return Outcome(store.write(tenant, name, request))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_collection",
        method="POST",
        path=_COLLECTIONS,
        summary="Create a collection; 201 where it is new, 200 where it exists with these settings",
        takes=CollectionSettings,
        answers=(Described,),
        names_collection=False,
        run=_create,
    ),
    Operation(
        name="list_collections",
        method="GET",
        path=_COLLECTIONS,
        summary="The tenant's collections by name",
        answers=(Collections,),
        names_collection=False,
        run=_list,
    ),
    Operation(
        name="describe_collection",
        method="GET",
        path=_COLLECTION,
        summary="A collection's settings",
        answers=(Described,),
        run=lambda store, tenant, name, _: Outcome(describe(store.describe(tenant, name))),
    ),
    Operation(
        name="update_collection",
        method="PATCH",
        path=_COLLECTION,
        summary="Change ef_search or the declared fields",
        takes=CollectionPatch,
        answers=(Described,),
        run=lambda store, tenant, name, patch: Outcome(describe(store.update(tenant, name, patch))),
    ),
    Operation(
        name="delete_collection",
        method="DELETE",
        path=_COLLECTION,
        summary="Delete a collection with everything in it",
        answers=(Deleted,),
        run=_delete_collection,
    ),
    Operation(
        name="stats",
        method="GET",
        path=f"{_COLLECTION}/stats",
        summary="Rows, segments, position",
        answers=(Stats,),
        run=lambda store, tenant, name, _: Outcome(store.stats(tenant, name)),
    ),
    Operation(
        name="upsert",
        method="PUT",
        path=f"{_COLLECTION}/vectors",
        summary="Add or replace up to 1,000 rows: all or none",
        takes=Upsert,
        answers=(Written,),
        run=_write,
    ),
    Operation(
        name="patch",
        method="PATCH",
        path=f"{_COLLECTION}/vectors",
        summary="Merge metadata into rows; null removes a member",
        takes=PatchRows,
        answers=(Written,),
        run=_write,
    ),
    Operation(
        name="delete",
        method="POST",
        path=f"{_COLLECTION}/vectors/delete",
        summary="Delete rows by id or by filter",
        takes=DeleteRows,
        answers=(Written,),
        run=_write,
    ),
    Operation(
        name="fetch",
        method="POST",
        path=f"{_COLLECTION}/vectors/fetch",
        summary="Rows by id",
        takes=Fetch,
        answers=(Rows,),
        run=lambda store, tenant, name, request: Outcome(store.fetch(tenant, name, request)),
    ),
    Operation(
        name="scroll",
        method="GET",
        path=f"{_COLLECTION}/vectors",
        summary="Rows in id order, page by page",
        takes=Scroll,
        answers=(Rows,),
        run=lambda store, tenant, name, request: Outcome(store.scroll(tenant, name, request)),
    ),
    Operation(
        name="query",
        method="POST",
        path=f"{_COLLECTION}/query",
        summary="The nearest rows to a vector, several vectors, or a row",
        takes=Query,
        answers=(Answer, Results),
        run=lambda store, tenant, name, request: Outcome(store.query(tenant, name, request)),
    ),
    Operation(
        name="count",
        method="POST",
        path=f"{_COLLECTION}/count",
        summary="How many rows match a filter",
        takes=Count,
        answers=(Counted,),
        run=lambda store, tenant, name, request: Outcome(store.count(tenant, name, request)),
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
