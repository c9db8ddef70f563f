"""Group commit: changes that wait together go into the log as one batch."""

import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec

from anfl.problems import Problem, conflict, not_found, unavailable
from anfl.vectors.batch import AppliedRequest, Batch
from anfl.vectors.changes import Change, Draft, Prepared, prepare, resolve
from anfl.vectors.declarations import check_change
from anfl.vectors.model import Collection, Position
from anfl.vectors.moving.access import check_writable
from anfl.vectors.replica import Replica
from anfl.vectors.requests import DeleteRows, PatchRows, Upsert, Written
from anfl.vectors.state import State

BATCH_BYTES = 8 * 2**20
"""Most bytes of one batch; its last request may go beyond, as far as a transport allows or rows are matched."""
WAITING_BYTES = 64 * 2**20
"""Most bytes that wait for their turn; above it callers are told to slow down."""
LOCK_SECONDS = 2.0
"""How long a writer waits for the other processes of its node. Their puts would only get in each other's way."""


@dataclass
class _Ticket:
    prepared: Prepared
    prepared_for: Collection
    filling: int | None = None
    written: "Future[Written]" = field(default_factory=Future)


@dataclass(frozen=True)
class _Beside:
    """What goes into the log beside changes."""

    revision: int = 0
    """Of settings that have to be known from here on."""
    requests: Sequence[AppliedRequest] = ()
    """That another collection has carried out, if who says so still fills this one."""
    filling: int | None = None


_NOTHING = _Beside()


@dataclass(frozen=True)
class _Resolved:
    """A group against one state: the batch to log (None where nothing changes) and the outcome of each request that
    went into it, which are the first ones."""

    position: Position
    batch: Batch | None
    outcomes: list[Written | Problem]


class Writer:
    """Safe for threads. One put is in flight; the thread whose turn it is commits for all who wait."""

    def __init__(
        self,
        replica: Replica,
        *,
        waits_for_builder: bool = False,
        settings: Callable[[], Collection] | None = None,
    ) -> None:
        """:param waits_for_builder: whether somebody builds graphs, and writers slow down while he lags.

        :param settings: looks into the catalogue, for when the log demands to know newer ones; raises `Problem`.
        """
        self._replica = replica
        self._waits_for_builder = waits_for_builder
        self._settings = settings or (lambda: replica.collection)
        self._turn = threading.Lock()
        self._queue: deque[_Ticket] = deque()
        self._queue_lock = threading.Lock()
        self._waiting = 0
        self._closed = False

    def close(self) -> None:
        """The collection is deleted: wait for the put in flight, and let no other begin."""
        with self._turn:
            self._closed = True

    def write(self, change: Change, *, filling: int | None = None) -> Written:
        """Commit ``change``; when this returns, it is in the log for good.

        :param filling: the round of who fills the collection.
        :raises Problem: 400 or 413 for its form; 404 after `close`; 409 for a condition or a reused request id, and see
            `check_writable`; 429 under pressure; 503 where the store does not answer (the change may or may not be
            committed: repeat it with its request id).
        """
        collection = self._replica.collection
        ticket = _Ticket(prepare(change, collection), collection, filling)
        self._check_backlog()
        self._enqueue(ticket)
        with self._turn:
            while not ticket.written.done():
                self._commit_group()
        return ticket.written.result()

    def fence(self, revision: int) -> None:
        """See to it that whoever writes behind this knows the settings of ``revision``.

        :raises Problem: 404 after `close`; 503, the store or the catalogue does not answer.
        """
        with self._turn:
            self._commit([], _Beside(revision=revision))

    def remember(self, requests: Sequence[AppliedRequest], *, filling: int) -> None:
        """Take ``requests``, which another collection has carried out, for carried out.

        :raises Problem: as `write`.
        """
        with self._turn:
            self._commit([], _Beside(requests=requests, filling=filling))

    def _check_backlog(self) -> None:
        if self._waits_for_builder and self._replica.shown.rows.is_backlogged:
            detail = "More has been written to this collection than is indexed yet; slow down."
            raise Problem(429, "builder_behind", detail, retry_after=2)

    def _enqueue(self, ticket: _Ticket) -> None:
        with self._queue_lock:
            if self._queue and self._waiting + ticket.prepared.size > WAITING_BYTES:
                detail = "More is being written to this collection than its log takes; slow down."
                raise Problem(429, "too_many_writes", detail, retry_after=1)
            self._queue.append(ticket)
            self._waiting += ticket.prepared.size

    def _take_group(self) -> list[_Ticket]:
        with self._queue_lock:
            group = [self._queue.popleft()]
            size = group[0].prepared.size
            while self._queue and size + self._queue[0].prepared.size <= BATCH_BYTES:
                group.append(self._queue.popleft())
                size += group[-1].prepared.size
            self._waiting -= size
            return group

    def _put_back(self, group: Sequence[_Ticket]) -> None:
        with self._queue_lock:
            self._queue.extendleft(reversed(group))
            self._waiting += sum(ticket.prepared.size for ticket in group)

    def _commit_group(self) -> None:
        group = self._take_group()
        try:
            outcomes = self._commit(group)
        except BaseException as error:  # whatever it is, every waiting caller must hear of it
            for ticket in group:
                ticket.written.set_exception(error)
            return
        self._put_back(group[len(outcomes) :])
        for ticket, outcome in zip(group, outcomes, strict=False):
            if isinstance(outcome, Problem):
                ticket.written.set_exception(outcome)
            else:
                ticket.written.set_result(outcome)

    def _commit(self, group: list[_Ticket], beside: _Beside = _NOTHING) -> list[Written | Problem]:
        if self._closed:
            raise not_found(f"{self._replica.collection.name} is deleted.", code="collection_not_found")
        with self._replica.folder.lock("put", seconds=LOCK_SECONDS):
            self._replica.take_cached()
            return self._commit_alone(group, beside)

    def _commit_alone(self, group: list[_Ticket], beside: _Beside) -> list[Written | Problem]:
        replica = self._replica
        asked = replica.now()
        certain = False
        if replica.trouble is not None or not replica.in_touch():
            replica.level_with(asked)
        while True:
            resolved = _resolve(replica.shown, group, beside)  # a filter may take long, and the lock is for others
            if resolved is None:
                self._learn()
                continue
            if not certain and (resolved.batch is None or _any_failed(resolved.outcomes)):
                # A commit proves that the state was complete; without one, it has to be looked at.
                replica.level_with(asked)
                certain = True
                if replica.shown.position != resolved.position:
                    continue
            if resolved.batch is None:
                return resolved.outcomes
            started = replica.now()
            standing = replica.log.append(resolved.batch)
            ours = standing.batch_id == resolved.batch.batch_id
            if not replica.in_touch():  # so much time has passed that the slot may have been cut off meanwhile
                if not ours:
                    replica.level_with(replica.now())
                    continue
                if replica.came_too_late(standing.sequence):
                    detail = "The object store took so long that nobody knows whether this counts; try again."
                    raise unavailable(detail, code="storage_unavailable")
            replica.apply(standing)
            if ours:
                replica.mark_level(started)
                return resolved.outcomes

    def _learn(self) -> None:
        """Take over the settings that the log demands to know.

        :raises Problem: 404, the collection is gone; 503, they are not to be had.
        """
        found = self._settings()
        if found.incarnation != self._replica.collection.incarnation:
            raise not_found(f"{found.name} is deleted.", code="collection_not_found")
        if found.revision < self._replica.shown.revision:
            raise unavailable("The catalogue is behind the log here; try again.", code="catalogue_unavailable")
        self._replica.adopt(found)


def _resolve(state: State, group: list[_Ticket], beside: _Beside) -> _Resolved | None:
    """None where newer settings have to be known."""
    if state.revision > state.collection.revision:
        return None
    draft = Draft(state=state, now=state.now())
    slot = Position(state.collection.epoch, state.sequence + 1)
    outcomes: list[Written | Problem] = []
    for ticket in group:
        if draft.size >= BATCH_BYTES:
            break
        try:
            outcomes.append(_repeated(state, draft, ticket.prepared, slot) or _fresh(state, draft, ticket, slot))
        except Problem as problem:
            outcomes.append(problem)
    if beside.requests:
        check_writable(state.collection, filling=beside.filling)
        draft.requests += [each for each in beside.requests if state.applied(each.request_id, now=draft.now) is None]
    if draft.is_empty() and beside.revision <= state.revision:
        return _Resolved(state.position, None, outcomes)
    batch = draft.batch(batch_id=uuid.uuid4().hex, sequence=slot.sequence)
    if beside.revision > state.revision:
        batch = msgspec.structs.replace(batch, revision=beside.revision)
    return _Resolved(state.position, batch, outcomes)


def _fresh(state: State, draft: Draft, ticket: _Ticket, slot: Position) -> Written:
    prepared = ticket.prepared
    check_writable(state.collection, filling=ticket.filling)
    check_change(prepared.change, state.collection, prepared_for=ticket.prepared_for)
    untouched = draft.is_empty()
    count = resolve(draft, prepared)
    return _written(prepared.change, count, state.position if untouched and draft.is_empty() else slot)


def _repeated(state: State, draft: Draft, prepared: Prepared, slot: Position) -> Written | None:
    """The answer to a request whose id has been carried out already; None for a new one."""
    request_id = prepared.change.request_id
    if request_id is None:
        return None
    if (waiting := draft.request(request_id)) is not None:
        return _same(prepared, waiting, slot)
    if (known := state.applied(request_id, now=draft.now)) is not None:
        return _same(prepared, known[0], state.collection.position(known[1]))
    return None


def _same(prepared: Prepared, earlier: AppliedRequest, position: Position) -> Written:
    if earlier.digest != prepared.digest:
        raise conflict("This request_id was used for another request.", code="request_id_reused")
    return _written(prepared.change, earlier.count, position)


def _written(change: Change, count: int, position: Position) -> Written:
    match change:
        case Upsert():
            return Written(sequence=str(position), upserted=count)
        case PatchRows():
            return Written(sequence=str(position), patched=count)
        case DeleteRows():
            return Written(sequence=str(position), deleted=count)


def _any_failed(outcomes: list[Written | Problem]) -> bool:
    return any(isinstance(outcome, Problem) for outcome in outcomes)
