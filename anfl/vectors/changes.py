"""Resolves requests against the state before a commit: what a batch will hold, decided before it is logged.

Requests of one group see each other's effects in their order. A request that fails its conditions fails alone.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import batched

import msgspec

from anfl.problems import Problem, conflict, invalid
from anfl.vectors.batch import AppliedRequest, Batch, Patch
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection, Metadata, Row
from anfl.vectors.requests import (
    DeleteRows,
    NewRow,
    PatchRow,
    PatchRows,
    Upsert,
    check_expiry,
    check_metadata,
    check_metadata_size,
    check_names,
    check_row_id,
    vectors_of,
)
from anfl.vectors.state import State

Change = Upsert | PatchRows | DeleteRows
_PIECE = 100
"""Rows that are encoded at a time."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A change whose form is checked once, before it waits for its turn."""

    change: Change
    size: int
    """About its bytes in the log."""
    digest: bytes
    """Of what is asked for; empty without a request id."""
    values: tuple[bytes, ...] = ()
    """Of an upsert's rows."""


@dataclass(kw_only=True)
class Draft:
    """What the group has resolved to so far, all of it at the moment ``now``."""

    state: State
    now: float
    rows: dict[str, Row] = field(default_factory=dict)
    patches: dict[str, Patch] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    requests: list[AppliedRequest] = field(default_factory=list)
    size: int = 0
    """About its bytes in the log, which may be many more than the group's requests have: of patches and filters."""

    def request(self, request_id: str) -> AppliedRequest | None:
        """An earlier request of the group with this id."""
        return next((request for request in self.requests if request.request_id == request_id), None)

    def is_empty(self) -> bool:
        """Whether there is nothing to log."""
        return not (self.rows or self.patches or self.deleted or self.requests)

    def batch(self, *, batch_id: str, sequence: int) -> Batch:
        """The batch for slot ``sequence``."""
        collection = self.state.collection
        return Batch(
            batch_id=batch_id,
            tenant=collection.tenant,
            collection=collection.name,
            incarnation=collection.incarnation,
            epoch=collection.epoch,
            sequence=sequence,
            ts=self.now,
            rows=list(self.rows.values()),
            patches=list(self.patches.values()),
            deleted=sorted(self.deleted),
            requests=self.requests,
        )

    def metadata(self, row_id: str) -> Metadata | None:
        """A row's metadata as the group leaves it; None where there is no such row."""
        if row_id in self.deleted:
            return None
        if row_id in self.rows:
            return None if self._has_expired(row_id) else self.rows[row_id].metadata
        if row_id in self.patches:
            return self.patches[row_id].metadata
        found = self.state.row(row_id, now=self.now)
        return None if found is None else found.metadata

    def version(self, row_id: str) -> int:
        """A row's version as the group leaves it; 0 where there is no such row."""
        if row_id in self.deleted or self._has_expired(row_id):
            return 0
        if row_id in self.rows or row_id in self.patches:
            return self.state.sequence + 1
        found = self.state.row(row_id, now=self.now)
        return 0 if found is None else found.version

    def _has_expired(self, row_id: str) -> bool:
        """Whether the group has put a row whose expiry has passed: to everybody it is as if there were none."""
        row = self.rows.get(row_id)
        return row is not None and row.expires_at is not None and row.expires_at <= self.now


def prepare(change: Change, collection: Collection) -> Prepared:
    """Check everything that does not depend on the rows there are.

    :raises Problem: 400 or 413 naming the row and field.
    """
    digest = _digest(change) if change.request_id is not None else b""
    match change:
        case DeleteRows():
            return Prepared(change=change, size=_check_deletion(change), digest=digest)
        case PatchRows():
            return Prepared(change=change, size=_check_rows(change.vectors, collection), digest=digest)
        case Upsert():
            size = _check_rows(change.vectors, collection)
            for index, row in enumerate(change.vectors):
                if row.expires_at is not None:
                    check_expiry(row.expires_at, field=f"vectors[{index}].expires_at")
            given = [row.values for row in change.vectors]
            vectors = vectors_of(given, collection, field="vectors[{}].values").astype("<f4", copy=False)
            values = tuple(vector.tobytes() for vector in vectors)
            return Prepared(change=change, size=size + vectors.nbytes, digest=digest, values=values)


def _digest(change: Change) -> bytes:
    """Of everything that is asked for. In pieces: encoding all of it at once would keep other threads waiting."""
    digest = hashlib.sha256(type(change).__name__.encode())
    pieces = [(change.ids, change.filter)] if isinstance(change, DeleteRows) else batched(change.vectors, _PIECE)
    for piece in pieces:
        digest.update(msgspec.json.encode(piece))
    return digest.digest()


def _check_deletion(change: DeleteRows) -> int:
    """:returns: about its bytes in the log."""
    if (change.ids is None) == (change.filter is None):
        raise invalid("Give either ids or a filter.", field="ids")
    if change.filter is not None:
        if not change.filter:
            raise invalid("An empty filter matches every row; delete the collection instead.", field="filter")
        compile_filter(change.filter)
    for index, row_id in enumerate(change.ids or ()):
        check_row_id(row_id, field=f"ids[{index}]")
    return len(msgspec.json.encode(change))


def _check_rows(rows: Sequence[NewRow | PatchRow], collection: Collection) -> int:
    """:returns: about the bytes of their ids and metadata in the log."""
    _check_distinct([row.id for row in rows])
    size = 0
    for index, row in enumerate(rows):
        try:
            check_row_id(row.id, field="id")
            check_names(_set_by(row), field="metadata")
            size += len(row.id) + check_metadata(row.metadata, collection, field="metadata")
        except Problem as problem:
            problem.field = f"vectors[{index}].{problem.field}"
            raise
    return size


def _set_by(row: NewRow | PatchRow) -> Iterable[str]:
    """Names of the fields that a row has afterwards because of this."""
    if isinstance(row, NewRow):
        return row.metadata
    return (name for name, value in row.metadata.items() if value is not None)


def resolve(draft: Draft, prepared: Prepared) -> int:
    """Add one change to ``draft`` and return how many rows it touches.

    :raises Problem: 409 ``version_conflict``, 413 for what a patch would make too large; ``draft`` is unchanged.
    """
    change = prepared.change
    match change:
        case Upsert():
            count = _upsert(draft, change, prepared.values)
            draft.size += prepared.size
        case PatchRows():
            count = _patch(draft, change)
        case DeleteRows():
            count = _delete(draft, change)
    if change.request_id is not None:
        applied = AppliedRequest(request_id=change.request_id, digest=prepared.digest, count=count)
        draft.requests.append(applied)
    return count


def _upsert(draft: Draft, change: Upsert, values: tuple[bytes, ...]) -> int:
    _check_versions(draft, ((row.id, row.if_version) for row in change.vectors))
    for row, packed in zip(change.vectors, values, strict=True):
        draft.deleted.discard(row.id)
        draft.patches.pop(row.id, None)
        draft.rows[row.id] = Row(id=row.id, values=packed, metadata=row.metadata, expires_at=row.expires_at)
    return len(change.vectors)


def _patch(draft: Draft, change: PatchRows) -> int:
    _check_versions(draft, ((row.id, row.if_version) for row in change.vectors))
    patched: dict[str, Metadata] = {}
    size = 0
    for index, row in enumerate(change.vectors):
        before = draft.metadata(row.id)
        if before is not None:
            patched[row.id] = merged(before, row.metadata)
            size += len(row.id) + check_metadata_size(patched[row.id], field=f"vectors[{index}].metadata")
    draft.size += size
    for row_id, metadata in patched.items():
        if row_id in draft.rows:
            draft.rows[row_id] = msgspec.structs.replace(draft.rows[row_id], metadata=metadata)
        else:
            draft.patches[row_id] = Patch(id=row_id, metadata=metadata)
    return len(patched)


def merged(before: Metadata, patch: Metadata) -> Metadata:
    """Metadata with the members of ``patch``; null removes one."""
    kept = {name: value for name, value in before.items() if name not in patch}
    return kept | {name: value for name, value in patch.items() if value is not None}


def _delete(draft: Draft, change: DeleteRows) -> int:
    if change.ids is not None:
        doomed = [row_id for row_id in dict.fromkeys(change.ids) if draft.metadata(row_id) is not None]
    else:
        matches = compile_filter(change.filter)
        touched = {*draft.rows, *draft.patches}
        matching = draft.state.rows.view.matching(matches, now=draft.now)
        doomed = [row_id for row_id in matching if row_id not in touched and row_id not in draft.deleted]
        doomed += [row_id for row_id in touched if (found := draft.metadata(row_id)) is not None and matches(found)]
    for row_id in doomed:
        draft.rows.pop(row_id, None)
        draft.patches.pop(row_id, None)
        draft.deleted.add(row_id)
        draft.size += len(row_id)
    return len(doomed)


def _check_versions(draft: Draft, conditions: Iterable[tuple[str, int | None]]) -> None:
    for index, (row_id, wanted) in enumerate(conditions):
        if wanted is not None and (actual := draft.version(row_id)) != wanted:
            raise version_conflict(row_id, actual, wanted, index)


def version_conflict(row_id: str, actual: int, wanted: int | None, index: int) -> Problem:
    """409: a row has another version than its ``if_version`` demands. :param index: of the row in the request."""
    problem = conflict(f"Row {row_id} has version {actual}, not {wanted}.", code="version_conflict")
    problem.field = f"vectors[{index}].if_version"
    return problem


def _check_distinct(ids: Sequence[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    for index, row_id in enumerate(ids):
        if row_id in seen:
            raise invalid(f"{row_id} stands twice in one request.", field=f"vectors[{index}].id")
        seen.add(row_id)
