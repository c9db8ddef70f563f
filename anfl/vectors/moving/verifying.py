"""Whether a collection that nobody writes to answers as the one that it was copied from."""

import logging
from collections.abc import Sequence

import numpy as np

from anfl.problems import Problem
from anfl.vectors.dynamodb.exact import nearest
from anfl.vectors.model import Metric, Values
from anfl.vectors.moving.copying import Side, values_of
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import Answer, Count, Match, Packed, Query

NEIGHBOURS = 10
LEAST_FOUND = 0.9
"""Of the nearest rows; an index that finds fewer is not complete yet, or not fit for these vectors."""
TOLERANCE = 1e-5
"""Between distances, for vectors of about length one; of longer ones in proportion to the numbers that are added."""
MOST_COUNTED = 250_000
"""Rows up to which both sides are counted once more. Of more, it has to do that all have been compared."""
MOST_READ = 1_000
"""Rows up to which all are read once more, for an exact search, of an engine that has them not in memory: some
milliseconds each, in one step. Of more, the search is among the rows of the other side, which have been compared one by
one, and the distances of what it finds are of the rows where they come from."""
_log = logging.getLogger(__name__)


def verify(source: Side, target: Side, samples: Sequence[str], *, looked: int) -> bool:
    """Compare counts, and the answers of ``target`` around ``samples`` with an exact search in ``source``.

    :param looked: rows that the last pass has seen.
    """
    if looked <= MOST_COUNTED and not _same_count(source, target):
        return False
    rows = source.rows(samples) if samples else []
    if not rows:
        return True
    if len(target.rows(samples)) != len(rows):  # (a strong read, which those that follow are not older than)
        return _differs("samples", "some are missing")
    queries = np.stack([values_of(row) for row in rows])
    truths = _nearest(source, target, queries, looked)
    found, all_of_them = 0, 0
    for row, query, truth in zip(rows, queries, truths, strict=True):
        answer = _search(target, row.values)
        distances = {row_id: distance for distance, row_id in truth}
        farthest = truth[-1][0] if truth else 0.0
        for match in answer:
            exact = distances.get(match.id)
            tolerance = _tolerance(source.collection.settings.metric, query, farthest if exact is None else exact)
            if exact is None and match.distance < farthest - tolerance:
                return _differs(row.id, f"{match.id} is not that near")
            if exact is not None and abs(exact - match.distance) > tolerance:
                return _differs(row.id, f"{match.id} is at {match.distance}, not {exact}")
            # Of rows that are as far as the last one any may be found.
            found += exact is not None or match.distance <= farthest + tolerance
        all_of_them += len(truth)
    if found < LEAST_FOUND * all_of_them:
        return _differs("all samples", f"{found} of {all_of_them} nearest rows are found")
    return True


def _nearest(source: Side, target: Side, queries: Values, looked: int) -> Sequence[Sequence[tuple[float, str]]]:
    """The nearest rows to each of the ``queries`` (q, dimension): distances, ascending, and ids."""
    if source.engine.on_nodes or looked <= MOST_READ:
        return source.engine.exact(source.collection, queries, NEIGHBOURS)
    ids = [[row_id for _, row_id in each] for each in target.engine.exact(target.collection, queries, NEIGHBOURS)]
    there = source.values({row_id for each in ids for row_id in each})
    metric = source.collection.settings.metric
    truths: list[Sequence[tuple[float, str]]] = []
    for query, each in zip(queries, ids, strict=True):
        rows = [(row_id, there[row_id]) for row_id in each if row_id in there]
        truths += nearest(rows, query[np.newaxis], NEIGHBOURS, metric)
    return truths


def _same_count(source: Side, target: Side) -> bool:
    request = Count(consistency="strong")
    before = source.engine.count(source.collection, request).count
    there = target.engine.count(target.collection, request).count
    after = source.engine.count(source.collection, request).count
    if after <= there <= before:  # rows may expire in between
        return True
    return _differs("all rows", f"{there} are there, of {after}")


def _search(target: Side, values: object) -> Sequence[Match]:
    request = Query(vector=values if isinstance(values, Packed) else [], k=NEIGHBOURS)
    answer = target.engine.query(target.collection, request)
    return answer.matches if isinstance(answer, Answer) else []


def _tolerance(metric: Metric, query: Values, distance: float) -> float:
    size = 1.0 if metric is Metric.COSINE else max(1.0, float(np.dot(query, query)), abs(distance))
    return TOLERANCE * size


def _differs(what: str, how: str) -> bool:
    _log.warning("a copy is not what it should be", extra={"what": what, "how": how})
    return False


def unverified(name: str, to: str) -> Problem:
    """409: it does not come to the same."""
    detail = (
        f"{to} does not answer as {name} does, though its rows were copied several times; nothing was switched. "
        "Undo the move, or try again later: its index may lag behind."
    )
    return Problem(409, Refusal.MOVE_UNVERIFIED, detail)
