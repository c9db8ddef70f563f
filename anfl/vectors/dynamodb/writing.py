"""Changes of rows as transactions: all or nothing, and with a ``request_id`` once only."""

import random
from collections.abc import Iterator, Sequence
from itertools import batched

from anfl.problems import Problem, unavailable
from anfl.vectors.changes import Change, Prepared
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb import items
from anfl.vectors.dynamodb.fences import Guard
from anfl.vectors.dynamodb.items import PARTITION, SORT
from anfl.vectors.dynamodb.plans import Plan, Planner
from anfl.vectors.dynamodb.requests import Done, Mark, Requests
from anfl.vectors.dynamodb.table import MOST_TOGETHER, MOST_WRITTEN, ConditionError, Table
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows

ATTEMPTS = 16
"""How often what others change meanwhile is read and written anew."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
"""Seconds in between at most, so that many who change one row do not meet again and again."""
_BUSY = "The rows are being changed too often; try again."
_SLOW = "The table of the collection is slow, and there was no time left; try again."


class Rows:
    """Changes the rows of one class's collections. Safe for threads."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._requests = Requests(table)
        self._planner = Planner(table)

    def write(
        self, collection: Collection, prepared: Prepared, *, mark: Mark | None, until: float, guard: Guard
    ) -> Done:
        """Carry out a change of up to 100 rows; says how many there were to change.

        A transaction that is full has no room for the check of ``guard``, and looks afterwards: what it has done may
        have come too late then, and is not acknowledged.

        :param mark: under which it is carried out once; None: it has no ``request_id``.
        :param until: monotonic seconds; later nothing is begun.
        :raises Problem: 409 ``version_conflict``, ``request_id_reused``, ``move_busy``; 413 ``batch_not_atomic``; 503,
            also ``writes_paused``.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
                self._clock.sleep(random.uniform(0, longest))  # noqa: S311 - jitter
            now = self._clock.wall()
            earlier = self._find(collection, mark, now)
            if earlier is not None:
                if _may_be_full(prepared.change):
                    guard.look()
                return earlier
            try:
                plan = self._planner.plan(collection, prepared, now, attempt=attempt)
                if self._clock.monotonic() > until:
                    raise unavailable(_BUSY if attempt else _SLOW, code=Refusal.STORAGE_UNAVAILABLE)
                return self._carry_out(collection, prepared, plan, mark, now, guard)
            except ConditionError:
                continue  # somebody changed what was read, or carries out the same request
            except Problem as problem:
                # Of versions that are others because of this very request, which another process carries out.
                if problem.code == Refusal.VERSION_CONFLICT and self._find(collection, mark, now) is not None:
                    continue
                raise
        raise unavailable(_BUSY, code=Refusal.STORAGE_UNAVAILABLE)

    def _carry_out(
        self, collection: Collection, prepared: Prepared, plan: Plan, mark: Mark | None, now: float, guard: Guard
    ) -> Done:
        writes, done = list(plan.writes), Done(count=plan.count)
        if mark is not None:
            write, done = self._requests.mark(collection, mark, plan.count, now)
            writes.append(write)
        if not writes:
            return done
        has_room = len(writes) < MOST_TOGETHER
        try:
            if has_room:
                guard.transact(self._table, writes, by=_first(prepared.change))
            else:
                self._table.transact(writes)
        except ConditionError as error:
            for place in error.failed:
                if place < len(plan.writes) and plan.demanded[place] is not None:
                    raise self._planner.conflict(collection, plan, place, self._clock.wall()) from error
            raise
        if not has_room:
            guard.look()
        return done

    def earlier(self, collection: Collection, prepared: Prepared) -> int | None:
        """The answer to a request that was carried out already; None to another.

        :raises Problem: 409 ``request_id_reused``.
        """
        done = self._find(collection, mark_of(prepared), self._clock.wall())
        return None if done is None else done.count

    def earlier_whole(self, collection: Collection, mark: Mark) -> int | None:
        """See `Requests.find_whole`."""
        done = self._requests.find_whole(collection, mark, self._clock.wall())
        return None if done is None else done.count

    def drop(self, collection: Collection) -> Iterator[int]:
        """Delete everything of a collection; yields how many items have gone, again and again. Can be repeated."""
        shards = (items.partition_of(collection, shard) for shard in range(items.SHARDS))
        gone = 0
        others = (items.requests_of(collection), items.parts_of(collection), items.deletions_of(collection))
        for partition in (*shards, *others):
            found = self._table.partition(partition, dict, attributes=(PARTITION, SORT))
            for some in batched(found, MOST_WRITTEN):
                self._table.write({"DeleteRequest": {"Key": key}} for key in some)
                gone += len(some)
                yield gone

    def _find(self, collection: Collection, mark: Mark | None, now: float) -> Done | None:
        return None if mark is None else self._requests.find(collection, mark, now)


def mark_of(prepared: Prepared) -> Mark | None:
    """Of a request that goes as a whole; None: it has no id."""
    request_id = prepared.change.request_id
    return None if request_id is None else Mark(id=request_id, digest=prepared.digest)


def _may_be_full(change: Change) -> bool:
    """Whether its transaction may have no room for a check."""
    rows: Sequence[object] = (change.ids or []) if isinstance(change, DeleteRows) else change.vectors
    return len(rows) + (change.request_id is not None) >= MOST_TOGETHER


def _first(change: Change) -> str:
    """A row's id."""
    if isinstance(change, DeleteRows):
        return (change.ids or [""])[0]
    return change.vectors[0].id if change.vectors else ""
