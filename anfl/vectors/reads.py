"""What callers read, from a state that holds still."""

import base64
import binascii
import heapq

import msgspec

from anfl.problems import Problem, conflict, invalid, not_found
from anfl.vectors.allowance import Allowance
from anfl.vectors.engine.rows import Found, Matches
from anfl.vectors.filters import compile_filter
from anfl.vectors.model import Collection, Position, Values
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
    vector_of,
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
    matching = state.rows.matching(_predicate(request.filter), now=state.now())
    ids = heapq.nsmallest(request.limit + 1, (row_id for row_id in matching if row_id > after))
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    page: list[StoredRow] = []
    for row_id in ids[: request.limit]:
        row = state.rows.get(row_id)
        if row is None or (page and not allowance.has_room(row)):
            break
        page.append(_stored(row, allowance, "limit"))
    position = str(state.position)
    cursor = str(Cursor(state.collection.incarnation, position, page[-1].id)) if len(ids) > len(page) else None
    return Rows(vectors=page, sequence=position, cursor=cursor)


def count(state: State, request: Count) -> Counted:
    """How many rows match."""
    matching = state.rows.matching(_predicate(request.filter), now=state.now())
    return Counted(count=sum(1 for _ in matching), sequence=str(state.position))


def stats(state: State) -> Stats:
    """Sizes, expired rows included."""
    return Stats(
        rows=len(state.rows),
        unmerged_rows=state.rows.unmerged,
        segments=state.rows.segment_count,
        sequence=str(state.position),
    )


def query(state: State, request: Query) -> Answer | Results:
    """The nearest rows to one vector, several, or a row.

    :raises Problem: 400 for the vectors, 404 ``row_not_found`` for an ``id`` that is not there.
    """
    matches = _predicate(request.filter)
    position = str(state.position)
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    if sum(given is not None for given in (request.vector, request.vectors, request.id)) != 1:
        raise invalid("Give exactly one of vector, vectors and id.", field="vector")
    if request.vectors is not None:
        vectors = [
            vector_of(values, state.collection, field=f"vectors[{index}]")
            for index, values in enumerate(request.vectors)
        ]
        return Results(
            results=[MatchList(matches=_nearest(state, vector, request, matches, allowance)) for vector in vectors],
            sequence=position,
        )
    if request.vector is not None:
        vector = vector_of(request.vector, state.collection, field="vector")
    else:
        row = state.row(request.id or "")
        if row is None:
            raise _no_row(request.id or "")
        vector = row.values.copy()
    return Answer(matches=_nearest(state, vector, request, matches, allowance), sequence=position)


def _nearest(
    state: State, vector: Values, request: Query, matches: Matches | None, allowance: Allowance
) -> list[Match]:
    found = state.rows.search(vector, request.k, ef=request.ef, matches=matches, now=state.now(), skip=request.id)
    limit = request.max_distance
    answers: list[Match] = []
    for distance, row_id in found:
        row = state.rows.get(row_id)
        if row is None or (limit is not None and distance > limit):
            continue
        values, metadata = allowance.take(row, field="k")
        answers.append(Match(id=row_id, distance=distance, values=values, metadata=metadata))
    return answers


def _predicate(document: object) -> Matches | None:
    return None if not document else compile_filter(document)


def _stored(row: Found, allowance: Allowance, field: str) -> StoredRow:
    values, metadata = allowance.take(row, field=field)
    return StoredRow(id=row.id, version=row.version, values=values, metadata=metadata, expires_at=row.expires_at)


def _no_row(row_id: str) -> Problem:
    return not_found(f"There is no row {row_id}.", code="row_not_found")
