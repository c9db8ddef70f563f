"""The vector API's calls, as data: what is sent, whether that may be repeated, and how the answer is read.

Sync and async clients carry them out; nothing here waits for anything.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from anfl.client.errors import ConflictError
from anfl.client.finite import check_finite
from anfl.client.rows import Match, NewRow, Row, Sent, as_sent, encoded, packed, present, unpacked
from anfl.vectors.model import Metadata
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Moved
from anfl.vectors.naming import Alias, Aliases, NamedSnapshot, NamedSnapshotList
from anfl.vectors.requests import Collections, Counted, Deleted, Deletion, Described, Stats, Warmed, Written

T = TypeVar("T")


class Paged(Protocol):
    """Some of what there is."""

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None on the last one."""


PageT = TypeVar("PageT", bound=Paged)
COLLECTIONS = "/v1/collections"
ALIASES = "/v1/aliases"
FIRST_SECONDS = 0.1
"""First pause of who waits for fields; each next one is half as long again."""
LONGEST_SECONDS = 2.0
BUSY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request. Nearly all can be repeated: reads by nature, writes by their request id."""

    method: str
    path: str
    read: Callable[[bytes], T]
    body: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    collection: str | None = None
    """Whose position counts."""
    fresh: bool = False
    """Whether it reads rows, and so is to see what this client wrote."""
    repeatable: bool = True
    """Whether a repetition is harmless where the answer got lost."""
    if_gone: T | None = None
    """The answer where a repetition gets 404, because an earlier attempt had succeeded."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows in id order; ``cursor`` None on the last page."""

    rows: list[Row]
    cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A change of a row's metadata: members replace the row's, None removes one."""

    id: str
    metadata: Metadata
    if_version: int | None = None


class _Matches(msgspec.Struct):
    matches: list[dict[str, Any]]


class _Results(msgspec.Struct):
    results: list[_Matches]


class _Page(msgspec.Struct):
    vectors: list[dict[str, Any]]
    cursor: str | None = None


def answer(kind: type[T]) -> Callable[[bytes], T]:
    """Reads an answer of this type."""
    return msgspec.json.Decoder(kind).decode


def _written_or_begun(body: bytes) -> Written | Deletion:
    return answer(Deletion)(body) if "state" in msgspec.json.decode(body) else answer(Written)(body)


def path_of(name: str) -> str:
    """The API's path of a collection; whatever the name holds, it stays one segment."""
    return f"{COLLECTIONS}/{_segment(name)}"


def create(name: str, settings: Mapping[str, Any]) -> Call[Described]:
    """Create a collection, or find that it exists so."""
    body = {"name": name, **present(settings)}
    return Call(method="POST", path=COLLECTIONS, body=body, read=answer(Described))


def collections(cursor: str | None) -> Call[Collections]:
    """Some of the tenant's collections."""
    return Call(method="GET", path=COLLECTIONS, params=present({"cursor": cursor}), read=answer(Collections))


def is_building(described: Described) -> bool:
    """Whether some of its fields cannot be filtered by yet."""
    return any(field.state == "building" for field in described.pending_fields.values())


def pause_of(moved: Moved) -> float | None:
    """Seconds before the next step of a move; None: it is done."""
    return None if moved.stage is Stage.DONE else moved.wait


def pause_after(error: ConflictError) -> float:
    """Seconds before a step is tried again that another process has kept from being taken.

    :raises ConflictError: it is refused for another reason.
    """
    if error.code != "move_busy":
        raise error
    return BUSY_SECONDS


def set_alias(alias: str, collection: str) -> Call[Alias]:
    """Let an alias stand for a collection."""
    return Call(method="POST", path=ALIASES, body={"alias": alias, "collection": collection}, read=answer(Alias))


def aliases(cursor: str | None) -> Call[Aliases]:
    """Some of the tenant's aliases."""
    return Call(method="GET", path=ALIASES, params=present({"cursor": cursor}), read=answer(Aliases))


def delete_alias(alias: str) -> Call[Deleted]:
    """Let an alias stand for nothing."""
    path = f"{ALIASES}/{_segment(alias)}"
    return Call(method="DELETE", path=path, read=answer(Deleted), if_gone=Deleted(deleted=alias))


@dataclass(frozen=True)
class CollectionCalls:
    """Those about one collection."""

    name: str

    def describe(self) -> Call[Described]:
        """Its settings."""
        return Call(method="GET", path=path_of(self.name), read=answer(Described))

    def update(self, *, ef_search: int | None, fields: Mapping[str, str] | None) -> Call[Described]:
        """Change settings."""
        index = None if ef_search is None else {"ef_search": ef_search}
        body = present({"index": index, "fields": fields})
        return Call(method="PATCH", path=path_of(self.name), body=body, read=answer(Described))

    def delete_collection(self) -> Call[Deleted]:
        """Delete it all."""
        return Call(method="DELETE", path=path_of(self.name), read=answer(Deleted), if_gone=Deleted(deleted=self.name))

    def upsert(
        self, rows: Iterable[NewRow | Sent | msgspec.Raw], request_id: str | None, *, atomic: bool
    ) -> Call[Written]:
        """Store rows, all or none."""
        sent = [row if isinstance(row, msgspec.Raw) else as_sent(row) for row in rows]
        return self._write("PUT", "vectors", {"vectors": sent}, request_id, atomic, answer(Written))

    def patch(self, rows: Iterable[Patch], request_id: str | None, *, atomic: bool) -> Call[Written]:
        """Merge metadata.

        :raises ValueError: a number of it is not finite.
        """
        rows = list(rows)
        for row in rows:
            check_finite(row.metadata, f"row {row.id!r}: metadata")
        sent = [present({"id": row.id, "metadata": row.metadata, "if_version": row.if_version}) for row in rows]
        return self._write("PATCH", "vectors", {"vectors": sent}, request_id, atomic, answer(Written))

    def delete(
        self, ids: Sequence[str] | None, where: Mapping[str, Any] | None, request_id: str | None, *, atomic: bool
    ) -> Call[Written | Deletion]:
        """Delete rows, or begin to.

        :raises ValueError: a number of the filter is not finite.
        """
        check_finite(where, "filter")
        body = present({"ids": ids, "filter": where})
        return self._write("POST", "vectors/delete", body, request_id, atomic, _written_or_begun)

    def deletion(self, deletion_id: str) -> Call[Deletion]:
        """How far one is."""
        path = f"{path_of(self.name)}/deletions/{_segment(deletion_id)}"
        return Call(method="GET", path=path, read=answer(Deletion))

    def query(self, target: Mapping[str, Any], options: Mapping[str, Any]) -> Call[list[Match]]:
        """Search around one vector or row."""
        return self._read("query", {**target, **_shown(options)}, lambda body: _matches(answer(_Matches)(body)))

    def query_many(self, vectors: ArrayLike, options: Mapping[str, Any]) -> Call[list[list[Match]]]:
        """Search around several vectors."""
        body = {"vectors": [packed(vector) for vector in np.asarray(vectors)], **_shown(options)}
        return self._read("query", body, lambda body: [_matches(each) for each in answer(_Results)(body).results])

    def fetch(self, ids: Sequence[str], options: Mapping[str, Any]) -> Call[list[Row]]:
        """Rows by id."""
        return self._read(
            "vectors/fetch", {"ids": ids, **_shown(options)}, lambda body: _page(answer(_Page)(body)).rows
        )

    def count(self, where: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Call[int]:
        """How many rows match.

        :raises ValueError: a number of the filter is not finite.
        """
        check_finite(where, "filter")
        body = present({"filter": where, **options})
        return self._read("count", body, lambda body: answer(Counted)(body).count)

    def scroll(self, limit: int, cursor: str | None, options: Mapping[str, Any]) -> Call[Page]:
        """One page."""
        params = _as_text({"limit": limit, "cursor": cursor, **_shown(options)})
        path = f"{path_of(self.name)}/vectors"
        return Call(
            method="GET",
            path=path,
            params=params,
            read=lambda body: _page(answer(_Page)(body)),
            collection=self.name,
            fresh=True,
        )

    def stats(self) -> Call[Stats]:
        """Sizes."""
        return Call(method="GET", path=f"{path_of(self.name)}/stats", read=answer(Stats))

    def warm(self) -> Call[Warmed]:
        """Load it."""
        return Call(method="POST", path=f"{path_of(self.name)}/warm", read=answer(Warmed))

    def move(self, engine: str, to: str | None) -> Call[Moved]:
        """A step of a move."""
        body = present({"engine": engine, "to": to})
        return Call(method="POST", path=f"{path_of(self.name)}/move", body=body, read=answer(Moved))

    def undo_move(self) -> Call[Described]:
        """Give it up."""
        return Call(method="POST", path=f"{path_of(self.name)}/move/undo", read=answer(Described))

    def create_snapshot(self, snapshot: str) -> Call[NamedSnapshot]:
        """Keep the present state; the name is taken once it is done."""
        return self._once("snapshots", {"snapshot": snapshot}, answer(NamedSnapshot))

    def snapshots(self, cursor: str | None) -> Call[NamedSnapshotList]:
        """Some of those that have a name."""
        path = f"{path_of(self.name)}/snapshots"
        return Call(method="GET", path=path, params=present({"cursor": cursor}), read=answer(NamedSnapshotList))

    def delete_snapshot(self, snapshot: str) -> Call[Deleted]:
        """Forget a named snapshot."""
        path = f"{path_of(self.name)}/snapshots/delete"
        gone = Deleted(deleted=snapshot)
        return Call(method="POST", path=path, body={"snapshot": snapshot}, read=answer(Deleted), if_gone=gone)

    def restore(self, snapshot: str, into: str) -> Call[Described]:
        """A new collection; its name is taken once it is done."""
        return self._once("restore", {"snapshot": snapshot, "into": into}, answer(Described))

    def _once(self, path: str, body: Mapping[str, Any], read: Callable[[bytes], T]) -> Call[T]:
        return Call(method="POST", path=f"{path_of(self.name)}/{path}", body=body, read=read, repeatable=False)

    def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        request_id: str | None,
        atomic: bool,
        read: Callable[[bytes], T],
    ) -> Call[T]:
        in_parts = {} if atomic else {"atomic": False}
        identified = {**body, **in_parts, "request_id": request_id or uuid.uuid4().hex}
        return Call(
            method=method,
            path=f"{path_of(self.name)}/{path}",
            body=identified,
            read=read,
            collection=self.name,
        )

    def _read(self, path: str, body: Mapping[str, Any], read: Callable[[bytes], T]) -> Call[T]:
        return Call(
            method="POST",
            path=f"{path_of(self.name)}/{path}",
            body=body,
            read=read,
            collection=self.name,
            fresh=True,
        )


def target_of(vector: ArrayLike | None, row_id: str | None) -> dict[str, Any]:
    """What a query is around.

    :raises ValueError: not exactly one is given.
    """
    if (vector is None) == (row_id is None):
        raise ValueError("give either a vector or the id of a row")
    return {"id": row_id} if vector is None else {"vector": packed(vector)}


def _segment(name: str) -> str:
    return quote(name, safe="", errors="replace")


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, option in options.items():
        check_finite(option, name)
    return present(options) | {"values_format": "f32"}


def _as_text(members: Mapping[str, Any]) -> dict[str, Any]:
    """As a query string has them."""
    text = present(members)
    if "filter" in text:
        text["filter"] = encoded(text["filter"], "filter").decode()
    if "include" in text:
        text["include"] = ",".join(text["include"])
    return text


def _matches(found: _Matches) -> list[Match]:
    return [Match(**member | {"values": unpacked(member.get("values"))}) for member in found.matches]


def _page(found: _Page) -> Page:
    return Page(rows=[_row(member) for member in found.vectors], cursor=found.cursor)


def _row(member: dict[str, Any]) -> Row:
    return Row(**member | {"values": unpacked(member.get("values"))})
