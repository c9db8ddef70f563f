"""Those who write by the alias while what it stands for is moved."""

from typing import TYPE_CHECKING

from anfl.problems import Problem
from anfl.vectors.changes import Change
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import DeleteRows, NewRow, PatchRow, PatchRows, Upsert
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect

if TYPE_CHECKING:
    from tests.fault.simulation.moving import MoveRound

TENANT, ALIAS, NAME = "demo", "w", "words"
IDS = [f"row{number}" for number in range(9)]
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
            store.write(TENANT, ALIAS, round_.asked[request_id])
        except Problem as problem:
            if problem.code == Refusal.WRITTEN_ELSEWHERE:
                round_.world.note(f"{self._name}: {request_id} is refused here")
                self._open.remove(request_id)
                return
            expect(problem.status == 503 and problem.code != Refusal.LOG_GAP, f"{request_id}: {problem}")
            round_.world.note(f"{self._name}: {request_id} ends with {problem.code}")
            round_.world.sleep(problem.retry_after or 1.0)
            return
        round_.world.note(f"{self._name}: {request_id} is acknowledged")
        round_.acknowledged.add(request_id)
        self._open.remove(request_id)

    def _draw(self, request_id: str) -> Change:
        dice = self._round.world.random
        ids = dice.sample([*IDS, "new0", "new1"], dice.randint(1, 3))
        kind = dice.random()
        if kind < 0.5:
            lifetimes = [None, None, self._round.world.seconds + dice.choice([5.0, 1e6])]
            rows = [
                NewRow(
                    id=row_id,
                    values=[dice.random(), 1.0],
                    metadata={"by": request_id},
                    expires_at=dice.choice(lifetimes),
                )
                for row_id in ids
            ]
            return Upsert(vectors=rows, request_id=request_id)
        if kind < 0.75:
            patches = [PatchRow(id=row_id, metadata={"patched": request_id}) for row_id in ids]
            return PatchRows(vectors=patches, request_id=request_id)
        return DeleteRows(ids=ids, request_id=request_id)
