"""Queries: what the index finds near, as callers see it."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from anfl.problems import invalid, not_found
from anfl.vectors.allowance import Allowance
from anfl.vectors.dynamodb.capabilities import MOST_MATCHES, Capability, refuse
from anfl.vectors.dynamodb.conditions import searches
from anfl.vectors.dynamodb.items import StoredItem
from anfl.vectors.dynamodb.reading import Reader
from anfl.vectors.dynamodb.table import MOST_READ
from anfl.vectors.filters import Filter, compile_filter
from anfl.vectors.model import Collection, Values
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import Match, Query, vector_of, vectors_of

_Hits = Sequence[tuple[float, StoredItem]]


def matches(reader: Reader, collection: Collection, request: Query) -> list[list[Match]]:
    """The nearest rows to each vector that ``request`` asks about, as the index was a moment ago.

    :raises Problem: 400; 404 ``row_not_found`` for an ``id`` that is not there; 503.
    """
    _check(request)
    wanted = compile_filter(request.filter) if request.filter else None
    alternatives = searches(wanted, collection.settings.fields)
    queries = _queries(reader, collection, request)
    # Values are no part of the index, and are read with the metadata of now.
    stored = "values" in request.include
    metadata = "metadata" in request.include and not stored
    found = reader.nearest(collection, queries, request.k, alternatives, skip=request.id, metadata=metadata)
    limit = np.inf if request.max_distance is None else request.max_distance
    near = ([(distance, row) for distance, row in hits if distance <= limit] for hits in found)
    return _shown(_as_stored(reader, collection, near, wanted) if stored else near, request)


def _check(request: Query) -> None:
    if request.k > MOST_MATCHES - (request.id is not None):
        raise refuse(Capability.MANY_MATCHES, field="k")
    if request.consistency == "strong":
        raise refuse(Capability.FRESH_QUERY, field="consistency")
    if request.ef is not None:
        raise refuse(Capability.EF, field="ef")
    if sum(given is not None for given in (request.vector, request.vectors, request.id)) != 1:
        raise invalid("Give exactly one of vector, vectors and id.", field="vector")


def _queries(reader: Reader, collection: Collection, request: Query) -> Values:
    """What to search around, shape (queries, dimension)."""
    if request.vectors is not None:
        return vectors_of(request.vectors, collection, field="vectors[{}]")
    if request.vector is not None:
        return vector_of(request.vector, collection, field="vector")[np.newaxis]
    row_id = request.id or ""
    row = reader.rows(collection, [row_id]).get(row_id)
    if row is None:
        raise not_found(f"There is no row {row_id}.", code=Refusal.ROW_NOT_FOUND)
    return row.values[np.newaxis]


def _as_stored(
    reader: Reader, collection: Collection, found: Iterable[_Hits], wanted: Filter | None
) -> Iterator[_Hits]:
    """The same with rows as the table has them now. One that has gone since, or is not ``wanted``, is no match."""
    for some in _together(found):
        now = reader.rows(collection, [row.id for hits in some for _, row in hits])
        rows = {row_id: row for row_id, row in now.items() if wanted is None or wanted(row.metadata)}
        yield from ([(distance, rows[row.id]) for distance, row in hits if row.id in rows] for hits in some)


def _together(found: Iterable[_Hits]) -> Iterator[Sequence[_Hits]]:
    """As many as make it worth while to read their rows: not all, since few of them may fit into an answer."""
    some: list[_Hits] = []
    for hits in found:
        some.append(hits)
        if sum(map(len, some)) >= MOST_READ:
            yield some
            some = []
    yield some


def _shown(found: Iterable[_Hits], request: Query) -> list[list[Match]]:
    """:raises Problem: 400 ``answer_too_large``, and nothing is searched for any more."""
    allowance = Allowance(request.include, packed=request.values_format == "f32")
    answers: list[list[Match]] = []
    for hits in found:
        allowance.take_ids((row.id for _, row in hits), request)
        shown: list[Match] = []
        for distance, row in hits:
            values, metadata = allowance.take(row, field="k")
            shown.append(Match(id=row.id, distance=distance, values=values, metadata=metadata))
        answers.append(shown)
    return answers
