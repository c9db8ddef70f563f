"""Makes the rows of one collection those of another, whatever engines they are of."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched

import msgspec
import numpy as np

from anfl.problems import Problem, conflict
from anfl.vectors.batch import AppliedRequest
from anfl.vectors.changes import Change
from anfl.vectors.engines import Engine
from anfl.vectors.model import Collection, Metadata, Values
from anfl.vectors.reads import Cursor
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows, Fetch, NewRow, Packed, Rows, Scroll, StoredRow, Upsert

SAMPLES = 16
"""Rows of a collection, about, that are searched around in the end."""
FETCHED_ROWS = 200
"""By id: all of them have to fit into one answer, however large they are."""


@dataclass(frozen=True)
class Side:
    """A collection with its engine."""

    engine: Engine
    collection: Collection

    def page(self, after: str, limit: int) -> Rows:
        """Up to ``limit`` of the rows behind ``after``, as they are now."""
        cursor = None
        if after:
            cursor = str(Cursor(self.collection.incarnation, str(self.collection.position(0)), after))
        request = Scroll(
            limit=limit,
            cursor=cursor,
            include=["values", "metadata"],
            values_format="f32",
            consistency="strong",
        )
        return self.engine.scroll(self.collection, request)

    def rows(self, ids: Sequence[str]) -> list[StoredRow]:
        """Those of ``ids`` that there are now."""
        request = Fetch(ids=list(ids), values_format="f32", consistency="strong")
        return self.engine.fetch(self.collection, request).vectors

    def values(self, ids: Iterable[str]) -> dict[str, Values]:
        """The values (dimension,) of those of ``ids`` that there are."""
        rows = (row for some in batched(ids, FETCHED_ROWS) for row in self.rows(some))
        return {row.id: values_of(row) for row in rows}


@dataclass(frozen=True, kw_only=True)
class Looked:
    """At so many rows, of which so many were ``changed``; ``after``: go on behind it, ``""``: that was the last one.

    ``samples``: some of the ids.
    """

    rows: int
    changed: int
    after: str = ""
    samples: Sequence[str] = ()


@dataclass(frozen=True)
class Copier:
    """Fills ``target`` from ``source`` in one round. Everything may be done again."""

    source: Side
    target: Side

    @property
    def _round(self) -> int:
        filling = self.target.collection.filling
        return 0 if filling is None else filling.round

    def page(self, after: str, limit: int) -> Looked:
        """Look at the rows behind ``after`` on both sides, ``limit`` at most."""
        theirs = self.target.page(after, limit)
        ours = self.source.page(after, limit)
        ends = [Cursor.parse(page.cursor).after for page in (ours, theirs) if page.cursor is not None]
        end = min(ends) if ends else None
        wanted = [row for row in ours.vectors if end is None or row.id <= end]
        there = [row for row in theirs.vectors if end is None or row.id <= end]
        changed = self._make(wanted, there)
        samples = [row.id for row in wanted[:: max(limit // SAMPLES, 1)]]
        return Looked(rows=len(wanted), changed=changed, after=end or "", samples=samples)

    def ids(self, ids: Iterable[str]) -> int:
        """Look at these rows; returns how many were others."""
        changed = 0
        for some in batched(ids, FETCHED_ROWS):
            there = self.target.rows(some)
            changed += self._make(self.source.rows(some), there)
        return changed

    def remember(self, requests: Sequence[AppliedRequest]) -> None:
        """Let requests that the source has carried out not be carried out again by the target."""
        if requests:
            self.target.engine.remember(self.target.collection, requests, filling=self._round)

    def _make(self, wanted: Sequence[StoredRow], there: Sequence[StoredRow]) -> int:
        """Let the target have the rows ``wanted`` instead of those that are ``there``; returns how many differed."""
        before = {row.id: row for row in there}
        new = [row for row in wanted if not _same(row, before.pop(row.id, None))]
        self._write(new)
        gone = list(before)
        if gone:
            self._change(DeleteRows(ids=gone, atomic=False))
        return len(new) + len(gone)

    def _write(self, rows: Sequence[StoredRow]) -> None:
        vectors = [
            NewRow(id=row.id, values=row.values or [], metadata=row.metadata or {}, expires_at=row.expires_at)
            for row in rows
        ]
        if not vectors:
            return
        try:
            self._change(Upsert(vectors=vectors, atomic=False))
        except Problem as problem:
            if problem.status in (400, 413):
                raise _refused(self.target.collection, rows, problem) from problem
            raise

    def _change(self, change: Change) -> None:
        self.target.engine.write(self.target.collection, change, filling=self._round)


def _refused(target: Collection, rows: Sequence[StoredRow], problem: Problem) -> Problem:
    found = re.match(r"vectors\[(\d+)\]\.?(.*)", problem.field or "")
    what = "A row" if found is None else f"Row {rows[int(found[1])].id}, {found[2]},"
    detail = f"{what} cannot be held by {target.name}: {problem.detail} Change it, or undo the move."
    return conflict(detail, code=Refusal.MOVE_REFUSED)


def _same(row: StoredRow, other: StoredRow | None) -> bool:
    """Whether they are the same but for the version."""
    if other is None or _written(row.metadata) != _written(other.metadata) or row.expires_at != other.expires_at:
        return False
    # DynamoDB has one zero.
    return row.values == other.values or np.array_equal(values_of(row), values_of(other))


def _written(metadata: Metadata | None) -> bytes:
    """To Python, 1 is True and 1.0; to callers they are not."""
    return msgspec.msgpack.encode(metadata or {}, order="sorted")


def values_of(row: StoredRow) -> Values:
    """The values (dimension,) of a row that was asked for with packed ones."""
    return msgspec.convert(row.values, Packed).unpacked()
