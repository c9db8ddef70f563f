"""How a change becomes transactions: one, or where it may go in parts, several beside each other."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched

from anfl.problems import Problem
from anfl.vectors.changes import Change, Prepared, prepare
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.fences import Guard
from anfl.vectors.dynamodb.items import check_slots
from anfl.vectors.dynamodb.parts import firsts, in_whole, parts
from anfl.vectors.dynamodb.requests import Done, Mark, part_marks
from anfl.vectors.dynamodb.rounds import Rounds
from anfl.vectors.dynamodb.writing import Rows, mark_of
from anfl.vectors.model import Collection
from anfl.vectors.requests import DeleteRows

WRITE_SECONDS = 15.0
"""After which a change begins no further transaction."""
BESIDE = 8
"""Transactions of one change that are under way at a time."""


def checked(collection: Collection, change: Change) -> Prepared:
    """``change``, whose form is right, and can be held.

    :raises Problem: 400 or 413 naming the row and field.
    """
    prepared = prepare(change, collection)
    if not isinstance(change, DeleteRows):
        check_slots(collection.settings.fields, [row.metadata for row in change.vectors])
    return prepared


@dataclass(frozen=True)
class _Portion:
    prepared: Prepared
    first: int
    """The place of its first row in the whole."""


class Changing:
    """Of one class's collections. Safe for threads."""

    def __init__(self, rows: Rows, rounds: Rounds, clock: Clock, together: Executor) -> None:
        """:param together: carries out transactions beside each other."""
        self._rows = rows
        self._rounds = rounds
        self._clock = clock
        self._together = together

    def carry_out(self, collection: Collection, change: Change, *, filling: int | None) -> int:
        """Carry out ``change``; returns how many rows there were to change.

        :param filling: the round of who fills the collection; None: an ordinary writer.
        :raises Problem: see `Rows.write`; 400, what is asked for is wrong. Nothing of it is under way any more then.
        """
        until = self._clock.monotonic() + WRITE_SECONDS
        whole = checked(collection, change)  # what is wrong is told before anything is done
        guard = self._rounds.guard(collection, filling=filling)
        try:
            pieces = parts(change, collection)
        except Problem:
            earlier = self._rows.earlier(collection, whole)
            if earlier is None:
                raise
            return earlier
        mark = mark_of(whole)
        if len(pieces) == 1:
            return self._rows.write(collection, whole, mark=mark, until=until, guard=guard).count
        write = partial(self._write, collection, until=until, guard=guard)
        portions = [
            _Portion(prepare(piece, collection), first) for piece, first in zip(pieces, firsts(pieces), strict=True)
        ]
        if mark is None:
            return self._beside(write, [(each, None) for each in portions])
        earlier = self._rows.earlier_whole(collection, mark)
        if earlier is not None:
            return earlier
        marks = part_marks(mark, [each.prepared.digest for each in portions])
        # The first goes ahead: once it is noted, the id is of this request and of no other one. With it all of them are
        # forgotten, so that none is left to stand in the way of whatever the id is used for then.
        first = write(portions[0], mark=marks[0])
        others = [replace(each, until=first.until) for each in marks[1:]]
        return first.count + self._beside(write, zip(portions[1:], others, strict=True))

    def _write(
        self, collection: Collection, portion: _Portion, *, mark: Mark | None, until: float, guard: Guard
    ) -> Done:
        """See `Rows.write`: what is wrong with a row names its place in the whole."""
        try:
            return self._rows.write(collection, portion.prepared, mark=mark, until=until, guard=guard)
        except Problem as problem:
            problem.field = in_whole(problem.field, portion.first)
            raise

    def _beside(self, write: Callable[..., Done], portions: Iterable[tuple[_Portion, Mark | None]]) -> int:
        """Carry them out, several at a time; returns how many rows there were to change."""
        count = 0
        for some in batched(portions, BESIDE):
            begun = [self._together.submit(write, each, mark=mark) for each, mark in some]
            wait(begun)
            count += sum(each.result().count for each in begun)
        return count
