"""What callers read, from a state that holds still."""

import base64
import binascii
from collections.abc import Mapping

import msgspec
import numpy as np

from anfl.problems import Problem, conflict, invalid, not_found
from anfl.vectors.allowance import Allowance
from anfl.vectors.declarations import check_ready, contradicted
from anfl.vectors.engine.view import Found, Hit
from anfl.vectors.filters import Filter, compile_filter
from anfl.vectors.model import Collection, FieldType, Position, Values
from anfl.vectors.requests import (
    Answer,
    Count,
    Counted,
    Fetch,
    Match,
    MatchList,
    Query,
    Results,
    Rows,
    Scroll,
    Stats,
    StoredRow,
    can_be_an_id,
    vector_of,
    vectors_of,
)
from anfl.vectors.state import State


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a scroll of one incarnation goes on: behind ``after``, in a state not older than ``position``."""

    incarnation: str
    position: str
    after: str

    def __str__(self) -> str:
        """Opaque text for callers."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode()

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `__str__` wrote.

        :raises Problem: 400.
        """
        try:
            cursor = msgspec.msgpack.decode(base64.urlsafe_b64decode(text), type=cls)
            Position.parse(cursor.position)
            if cursor.after and not can_be_an_id(cursor.after):
                raise ValueError("no row is called so")
        except (binascii.Error, UnicodeEncodeError, ValueError, msgspec.MsgspecError):
            raise invalid("A cursor is what an answer's 'cursor' held.", field="cursor") from None
        return cursor

    def check(self, collection: Collection) -> None:
        """:raises Problem: 409 ``history_lost``, the cursor is of an earlier collection of the same name."""
        if self.incarnation != collection.incarnation:
            raise conflict("The cursor is of a collection that was deleted; begin again.", code="history_lost")


def fetch(state: State, request: Fetch) -> Rows:
    """Rows by id, in the order asked for; absent ones are left out."""
    found = [row for row_id in dict.fromkeys(request.ids) if (row := state.row(row_id)) is not None]
    allowance = Allowance(("values", "metadata"), packed=request.values_format == "f32")
    return Rows(vectors=[_stored(row, allowance, "ids") for row in found], sequence=str(state.position))


def scroll(state: State, request: Scroll) -> Rows:
    """One page of rows in id order; it ends early where an answer would be too large."""
    after = "" if request.cursor is None else Cursor.parse(request.cursor).after
    rows = state.rows.view.page(_filter(state, request.filter), now=state.now(), after=after, limit=request.limit + 1)
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    page: list[StoredRow] = []
    for row in rows[: request.limit]:
        if page and not allowance.has_room(row):
            break
        page.append(_stored(row, allowance, "limit"))
    position = str(state.position)
    cursor = str(Cursor(state.collection.incarnation, position, page[-1].id)) if len(rows) > len(page) else None
    return Rows(vectors=page, sequence=position, cursor=cursor)


def count(state: State, request: Count) -> Counted:
    """How many rows match."""
    matching = state.rows.view.count_matching(_filter(state, request.filter), now=state.now())
    return Counted(count=matching, sequence=str(state.position))


def stats(state: State) -> Stats:
    """Sizes. What has expired is not there any more for any other read, so it is no row here, either."""
    rows = state.rows.view.count_matching(None, now=state.now())
    return Stats(
        rows=rows,
        expired=len(state.rows) - rows,
        unmerged_rows=state.rows.unmerged,
        segments=len(state.rows.segments),
        private_bytes=state.private_bytes,
        mapped_bytes=state.mapped_bytes,
        sequence=str(state.position),
    )


def check_declarations(state: State, fields: Mapping[str, FieldType]) -> None:
    """Refuse declarations that rows contradict.

    :raises Problem: 409 ``field_contradicted`` naming the field.
    """
    for name, declared in fields.items():
        count = state.rows.view.count_against(name, declared, now=state.now())
        if count:
            raise contradicted(name, declared, count)


def query(state: State, request: Query) -> Answer | Results:
    """The nearest rows to one vector, several, or a row.

    :raises Problem: 400 for the vectors, 404 ``row_not_found`` for an ``id`` that is not there.
    """
    if sum(given is not None for given in (request.vector, request.vectors, request.id)) != 1:
        raise invalid("Give exactly one of vector, vectors and id.", field="vector")
    found = state.rows.view.search(
        _queries(state, request),
        request.k,
        now=state.now(),
        ef=request.ef,
        wanted=_filter(state, request.filter),
        skip=request.id,
    )
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    position = str(state.position)
    if request.vectors is None:
        return Answer(matches=_matches(found[0], request, allowance), sequence=position)
    return Results(results=[MatchList(matches=_matches(hits, request, allowance)) for hits in found], sequence=position)


def query_work(state: State, request: Query) -> float:
    """How long a query will take, in rows that a scan compares (about 30 ns each); infinite where that is not known,
    because its filter has to be evaluated first.

    :raises Problem: 400 for the filter.
    """
    vectors = len(request.vectors or [0])
    wanted = _filter(state, request.filter)
    return vectors * state.rows.view.work(request.k, ef=request.ef, wanted=wanted)


def _queries(state: State, request: Query) -> Values:
    """What to search around, shape (queries, dimension)."""
    if request.vectors is not None:
        return vectors_of(request.vectors, state.collection, field="vectors[{}]")
    if request.vector is not None:
        return vector_of(request.vector, state.collection, field="vector")[np.newaxis]
    row = state.row(request.id or "")
    if row is None:
        raise _no_row(request.id or "")
    return row.values[np.newaxis]


def _matches(hits: list[Hit], request: Query, allowance: Allowance) -> list[Match]:
    if request.max_distance is not None:
        limit = request.max_distance
        hits = [hit for hit in hits if hit.distance <= limit]
    allowance.take_ids((hit.id for hit in hits), request)
    if not request.include:
        return [Match(id=hit.id, distance=hit.distance) for hit in hits]
    answers: list[Match] = []
    for hit in hits:
        values, metadata = allowance.take(hit.row, field="k")
        answers.append(Match(id=hit.id, distance=hit.distance, values=values, metadata=metadata))
    return answers


def _filter(state: State, document: object) -> Filter | None:
    if not document:
        return None
    wanted = compile_filter(document)
    check_ready(wanted, state.collection)
    return wanted


def _stored(row: Found, allowance: Allowance, field: str) -> StoredRow:
    values, metadata = allowance.take(row, field=field)
    return StoredRow(id=row.id, version=row.version, values=values, metadata=metadata, expires_at=row.expires_at)


def _no_row(row_id: str) -> Problem:
    return not_found(f"There is no row {row_id}.", code="row_not_found")
