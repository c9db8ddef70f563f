"""Those who write by the alias while what it stands for is moved."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anfl.problems import Problem, unavailable
from anfl.vectors.changes import Change
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows, Deletion, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect

if TYPE_CHECKING:
    from anfl.vectors.model import Metadata
    from tests.fault.simulation.moving import MoveRound

TENANT, ALIAS, NAME = "demo", "w", "words"
IDS = [f"row{number}" for number in range(9)]
_ALL = [*IDS, "new0", "new1"]
_ENDED = (Refusal.DELETION_NOT_FOUND, Refusal.COLLECTION_MOVED)
"""What who waits for a deletion is told once the collection has moved: asked for again, it is carried out there."""
_LOOKS = 20
"""How often one looks whether a deletion is done before one asks for it again: whoever was at it may be gone."""
_PAUSES, _LONG_PAUSES = (0.0, 0.0, 0.5, 3.0), (0.2, 1.0, 5.0, 20.0)
LAST_WRITES = 4
"""Of a writer, where there are several regions, after the move."""


class Writing:
    """A process that writes by the alias, and does not give up on what it has begun."""

    def __init__(self, round_: "MoveRound", name: str, at: str) -> None:
        self._round = round_
        self._name = name
        self._at = at
        self._left = 12
        self._asked = 0
        self._open: list[str] = []

    def live(self) -> None:
        """From a start to the end, or to a crash."""
        world = self._round.world
        store = self._round.store(f"{self._name} {world.random.random()}", self._at)
        while self._left or self._open:
            # Of several regions in each somebody writes when it is switched.
            waits = self._round.is_far and not self._round.moved and self._left <= LAST_WRITES
            if not self._open:
                self._left -= not waits
                self._open.append(self._next())
            self._write(store, self._open[0])
            if waits and not self._open:
                world.sleep(world.random.choice(_LONG_PAUSES))
            else:
                world.sleep(world.random.choice(_PAUSES))
        self._round.writing.discard(self._name)

    def _next(self) -> str:
        """A request: at times one that was acknowledged before, as if that had not been heard."""
        world = self._round.world
        own = sorted(each for each in self._round.acknowledged if each.startswith(self._name))
        if own and world.random.random() < 0.3:
            return world.random.choice(own)
        self._asked += 1
        request_id = f"{self._name}/{self._asked}"
        self._round.asked[request_id] = self._draw(request_id)
        return request_id

    def _write(self, store: VectorStore, request_id: str) -> None:
        round_ = self._round
        round_.sent.setdefault(request_id, []).append(round_.world.seconds)
        try:
            self._carry_out(store, round_.asked[request_id])
        except Problem as problem:
            if problem.code == Refusal.WRITTEN_ELSEWHERE:
                round_.world.note(f"{self._name}: {request_id} is refused here")
                self._open.remove(request_id)
                return
            awaited = problem.status == 503 and problem.code != Refusal.LOG_GAP
            expect(awaited or (round_.varied and problem.code in _ENDED), f"{request_id}: {problem}")
            round_.world.note(f"{self._name}: {request_id} ends with {problem.code}")
            round_.world.sleep(problem.retry_after or 1.0)
            return
        round_.world.note(f"{self._name}: {request_id} is acknowledged")
        round_.acknowledged.add(request_id)
        self._open.remove(request_id)

    def _carry_out(self, store: VectorStore, change: Change) -> None:
        """:raises Problem: it was not, or is under way."""
        if not isinstance(change, DeleteRows) or change.filter is None:
            store.write(TENANT, ALIAS, change)
            return
        begun = store.delete_rows(TENANT, ALIAS, change)
        for _ in range(_LOOKS):
            if not isinstance(begun, Deletion) or begun.state == "DONE":
                return
            self._round.world.sleep(1.0)
            begun = store.deletion(TENANT, ALIAS, begun.id)
        raise unavailable("It is not done.", code=Refusal.STORAGE_UNAVAILABLE)

    def _draw(self, request_id: str) -> Change:
        dice = self._round.world.random
        if self._round.varied and dice.random() < 0.5:
            return self._draw_large(request_id)
        ids = dice.sample(_ALL, dice.randint(1, 3))
        kind = dice.random()
        if kind < 0.5:
            lifetimes = [None, None, self._round.world.seconds + dice.choice([5.0, 1e6])]
            rows = [self._row(row_id, request_id, lifetimes) for row_id in ids]
            return Upsert(vectors=rows, request_id=request_id)
        if kind < 0.75:
            patches = [PatchRow(id=row_id, metadata={"patched": request_id}) for row_id in ids]
            return PatchRows(vectors=patches, request_id=request_id)
        return DeleteRows(ids=ids, request_id=request_id)

    def _draw_large(self, request_id: str) -> Change:
        """One that the engine ``dynamodb`` carries out in several transactions."""
        dice = self._round.world.random
        ids = dice.sample(_ALL, dice.randint(4, 7))
        match dice.randrange(5):
            case 0:
                number = {"n": dice.randrange(3)}
                patches = [PatchRow(id=row_id, metadata={"patched": request_id, **number}) for row_id in ids]
                return PatchRows(vectors=patches, request_id=request_id, atomic=False)
            case 1:
                return DeleteRows(ids=ids, request_id=request_id, atomic=False)
            case 2 | 3:
                return DeleteRows(filter={"n": {"$lt": dice.randrange(1, 3)}}, request_id=request_id)
            case _:
                rows = [self._row(row_id, request_id, [None]) for row_id in ids]
                return Upsert(vectors=rows, request_id=request_id, atomic=False)

    def _row(self, row_id: str, request_id: str, lifetimes: Sequence[float | None]) -> NewRow:
        dice = self._round.world.random
        number: Metadata = {"n": dice.randrange(3)} if self._round.varied else {}
        metadata = {"by": request_id, **number}
        return NewRow(id=row_id, values=[dice.random(), 1.0], metadata=metadata, expires_at=dice.choice(lifetimes))
