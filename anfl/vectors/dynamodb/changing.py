"""How a change becomes transactions: one, or where it may go in parts, several beside each other."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, wait
from itertools import batched

from anfl.problems import Problem
from anfl.vectors.changes import Change, Prepared, prepare
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.fences import Guard
from anfl.vectors.dynamodb.items import check_slots
from anfl.vectors.dynamodb.parts import parts
from anfl.vectors.dynamodb.rounds import Rounds
from anfl.vectors.dynamodb.writing import Rows
from anfl.vectors.model import Collection
from anfl.vectors.requests import DeleteRows

WRITE_SECONDS = 15.0
"""After which a change begins no further transaction."""
BESIDE = 8
"""Transactions of one change that are under way at a time."""


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
        whole = prepare(change, collection)  # what is wrong is told before anything is done
        if not isinstance(change, DeleteRows):
            check_slots(collection.settings.fields, [row.metadata for row in change.vectors])
        guard = self._rounds.guard(collection, filling=filling)
        try:
            pieces = list(parts(change, collection))
        except Problem:
            earlier = self._rows.earlier(collection, whole)
            if earlier is None:
                raise
            return earlier
        if len(pieces) == 1:
            return self._rows.write(collection, whole, until=until, guard=guard)
        # As a whole it may have been carried out by the engine that it was moved from.
        earlier = self._rows.earlier(collection, whole)
        if earlier is not None:
            return earlier
        prepared = [prepare(piece, collection) for piece in pieces]
        return sum(sum(self._beside(collection, some, until, guard)) for some in batched(prepared, BESIDE))

    def _beside(self, collection: Collection, pieces: Sequence[Prepared], until: float, guard: Guard) -> Iterator[int]:
        begun = [self._together.submit(self._rows.write, collection, each, until=until, guard=guard) for each in pieces]
        wait(begun)
        return (each.result() for each in begun)
