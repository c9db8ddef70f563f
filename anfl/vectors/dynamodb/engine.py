"""The engine ``dynamodb`` behind the vector store's interface."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from anfl.problems import invalid, not_found
from anfl.vectors.allowance import Allowance
from anfl.vectors.changes import Change, prepare
from anfl.vectors.dynamodb.capabilities import MOST_MATCHES, Capability, refuse
from anfl.vectors.dynamodb.conditions import searches
from anfl.vectors.dynamodb.items import SHARDS, StoredItem
from anfl.vectors.dynamodb.parts import parts
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection, FieldType, Position, Values
from anfl.vectors.reads import Cursor
from anfl.vectors.requests import (
    Answer,
    Count,
    Counted,
    DeleteRows,
    Fetch,
    Match,
    MatchList,
    PatchRows,
    Query,
    Read,
    Results,
    Scroll,
    Stats,
    StoredRow,
    Upsert,
    Written,
    vector_of,
    vectors_of,
)
from anfl.vectors.requests import Rows as Page

NAME = "dynamodb"
NOWHERE = str(Position(0, 0))
"""There are no positions: this one is reached by every read."""


class DynamoDbEngine:
    """See `anfl.vectors.engines.Engine`; for the collections of one class."""

    def __init__(self, rows: Rows, reader: Reader) -> None:
        self._rows = rows
        self._reader = reader

    def write(self, collection: Collection, change: Change) -> Written:
        """See `Engine.write`.

        :raises Problem: 413 ``batch_not_atomic`` where it is too much for one transaction.
        """
        if isinstance(change, DeleteRows) and change.filter is not None:
            raise refuse(Capability.DELETE_BY_FILTER, field="filter")
        prepare(change, collection)  # what is wrong is told before anything is done
        count = sum(self._rows.write(collection, prepare(part, collection)) for part in parts(change, collection))
        match change:
            case Upsert():
                return Written(sequence=NOWHERE, upserted=count)
            case PatchRows():
                return Written(sequence=NOWHERE, patched=count)
            case DeleteRows():
                return Written(sequence=NOWHERE, deleted=count)

    def query(self, collection: Collection, request: Query) -> Answer | Results:
        """See `Engine.query`: as the index was a moment ago."""
        _check_query(request)
        wanted = compile_filter(request.filter) if request.filter else None
        alternatives = searches(wanted, collection.settings.fields)
        queries = self._queries(collection, request)
        found = self._reader.nearest(collection, queries, request.k, alternatives, skip=request.id)
        limit = np.inf if request.max_distance is None else request.max_distance
        near = [[(distance, row) for distance, row in hits if distance <= limit] for hits in found]
        answers = self._matches(collection, near, request)
        if request.vectors is None:
            return Answer(matches=answers[0], sequence=NOWHERE)
        return Results(results=[MatchList(matches=each) for each in answers], sequence=NOWHERE)

    def fetch(self, collection: Collection, request: Fetch) -> Page:
        """See `Engine.fetch`; strong."""
        _check_position(request)
        found = self._reader.rows(collection, request.ids)
        allowance = Allowance(("values", "metadata"), packed=request.values_format == "f32")
        ids = dict.fromkeys(request.ids)
        shown = [_stored(found[row_id], allowance, "ids") for row_id in ids if row_id in found]
        return Page(vectors=shown, sequence=NOWHERE)

    def scroll(self, collection: Collection, request: Scroll) -> Page:
        """See `Engine.scroll`; strong, each page by itself."""
        _check_position(request)
        after = ""
        if request.cursor is not None:
            cursor = Cursor.parse(request.cursor)
            cursor.check(collection)
            after = cursor.after
        wanted = compile_filter(request.filter) if request.filter else None
        # Rows spread evenly over the shards: a page takes about as much of each.
        rows = self._reader.in_order(collection, after=after, page=2 * request.limit // SHARDS + 8)
        matching = (row for row in rows if wanted is None or wanted(row.metadata))
        allowance = Allowance(request.include, packed=request.values_format == "f32")
        page: list[StoredRow] = []
        for row in islice(matching, request.limit + 1):
            if len(page) == request.limit or (page and not allowance.has_room(row)):
                return Page(
                    vectors=page,
                    sequence=NOWHERE,
                    cursor=str(Cursor(collection.incarnation, NOWHERE, page[-1].id)),
                )
            page.append(_stored(row, allowance, "limit"))
        return Page(vectors=page, sequence=NOWHERE)

    def count(self, collection: Collection, request: Count) -> Counted:
        """See `Engine.count`; strong. It reads every row."""
        _check_position(request)
        if not request.filter:
            return Counted(count=self._reader.count(collection), sequence=NOWHERE)
        wanted = compile_filter(request.filter)
        matching = sum(wanted(row.metadata) for row in self._reader.in_order(collection))
        return Counted(count=matching, sequence=NOWHERE)

    def stats(self, collection: Collection) -> Stats:
        """See `Engine.stats`: nothing of it is in this process's memory."""
        return Stats(
            rows=self._reader.count(collection),
            expired=0,
            unmerged_rows=0,
            segments=0,
            private_bytes=0,
            mapped_bytes=0,
            sequence=NOWHERE,
        )

    def at_once(self, _collection: Collection, _request: Query | Fetch) -> None:
        """See `Engine.at_once`: everything waits for DynamoDB."""

    def warm(self, _collection: Collection) -> bool:
        """See `Engine.warm`: it always is."""
        return True

    def check_fields(self, _collection: Collection, _fields: Mapping[str, FieldType]) -> None:
        """See `Engine.check_fields`.

        :raises Problem: 400, slots are given out when a collection is created.
        """
        raise refuse(Capability.NEW_FIELDS, field="fields")

    def build_fields(self, collection: Collection) -> Collection:
        """See `Engine.build_fields`: there is never one to build."""
        return collection

    def drop(self, collection: Collection) -> None:
        """See `Engine.drop`."""
        self._rows.drop(collection)

    def _queries(self, collection: Collection, request: Query) -> Values:
        """What to search around, shape (queries, dimension)."""
        if sum(given is not None for given in (request.vector, request.vectors, request.id)) != 1:
            raise invalid("Give exactly one of vector, vectors and id.", field="vector")
        if request.vectors is not None:
            return vectors_of(request.vectors, collection, field="vectors[{}]")
        if request.vector is not None:
            return vector_of(request.vector, collection, field="vector")[np.newaxis]
        row_id = request.id or ""
        row = self._reader.rows(collection, [row_id]).get(row_id)
        if row is None:
            raise not_found(f"There is no row {row_id}.", code="row_not_found")
        return row.values[np.newaxis]

    def _matches(
        self, collection: Collection, found: Sequence[Sequence[tuple[float, StoredItem]]], request: Query
    ) -> list[list[Match]]:
        if not request.include:
            return [[Match(id=row.id, distance=distance) for distance, row in hits] for hits in found]
        # Values are no part of the index; a row that has gone since is no match any more.
        ids = [row.id for hits in found for _, row in hits]
        rows = self._reader.rows(collection, ids) if "values" in request.include else None
        allowance = Allowance(request.include, packed=request.values_format == "f32")
        answers: list[list[Match]] = []
        for hits in found:
            matches: list[Match] = []
            for distance, hit in hits:
                row = hit if rows is None else rows.get(hit.id)
                if row is not None:
                    values, metadata = allowance.take(row, field="k")
                    matches.append(Match(id=row.id, distance=distance, values=values, metadata=metadata))
            answers.append(matches)
        return answers


def _check_query(request: Query) -> None:
    if request.k > MOST_MATCHES:
        raise refuse(Capability.MANY_MATCHES, field="k")
    if request.consistency == "strong":
        raise refuse(Capability.FRESH_QUERY, field="consistency")
    if request.ef is not None:
        raise refuse(Capability.EF, field="ef")
    _check_position(request)


def _check_position(request: Read) -> None:
    if request.min_sequence not in (None, NOWHERE):
        raise refuse(Capability.POSITIONS, field="min_sequence")


def _stored(row: StoredItem, allowance: Allowance, field: str) -> StoredRow:
    values, metadata = allowance.take(row, field=field)
    return StoredRow(id=row.id, version=row.version, values=values, metadata=metadata, expires_at=row.expires_at)
