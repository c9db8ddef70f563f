"""Those who move what an alias stands for, and those who undo that."""

from typing import TYPE_CHECKING

from anfl.problems import Problem
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move
from anfl.vectors.refusals import Refusal
from anfl.vectors.store import VectorStore
from tests.fault.oracle import expect
from tests.fault.simulation.callers import ALIAS, NAME, TENANT

if TYPE_CHECKING:
    from tests.fault.simulation.moving import MoveRound

_UNDOING = (Refusal.MOVE_SWITCHED, Refusal.MOVE_BUSY, Refusal.COLLECTION_CHANGED, Refusal.COLLECTION_NOT_FOUND)
_MOST_ASTRAY = 20
"""How often, with a second in between, an alias may lead nowhere before that is for good."""


class Moving:
    """A process in the region ``at``, of a mover or of one who undoes."""

    def __init__(self, round_: "MoveRound", name: str, at: str = "") -> None:
        self._round = round_
        self._name = name
        self._at = at
        to = f"{NAME}-{at}" if at and round_.own_names else None
        self._request = Move(engine=round_.engines[1], to=to)

    def move(self) -> None:
        """Carry out steps until somebody has carried out the last."""
        name = self._name
        store = self._round.store(name, self._at)
        astray = 0
        while not self._round.moved:
            try:
                moved = store.move(TENANT, ALIAS, self._request)
                self._round.world.note(f"{name}: {moved.stage} {moved.passes} {moved.looked} {moved.changed}")
                self._round.moved, self._round.paused = moved.stage is Stage.DONE, moved.stage is Stage.PAUSED
                pause, astray = moved.wait, 0
            except Problem as problem:
                self._round.world.note(f"{name}: {problem}")
                expect(problem.status == 503 or problem.code in self._expected(), f"{name}: {problem}")
                if problem.code == Refusal.MOVE_TARGET_LOST or (
                    problem.code == Refusal.COLLECTION_MOVING and self._is_impatient()
                ):
                    while not self._undo_once(store) and self._round.is_far:  # perhaps whoever began to is gone
                        self._round.world.sleep(1.0)
                pause = problem.retry_after or 1.0
                astray = astray + 1 if problem.code == Refusal.COLLECTION_NOT_FOUND else 0
                expect(astray < _MOST_ASTRAY, f"{name}: {problem}")
            self._round.world.sleep(pause + 0.01)

    def _expected(self) -> frozenset[str]:
        expected = frozenset({Refusal.MOVE_BUSY, Refusal.COLLECTION_CHANGED})
        undone = frozenset({Refusal.COLLECTION_MOVING, Refusal.MOVE_TARGET_LOST, Refusal.COLLECTION_NOT_FOUND})
        if self._round.is_far:
            return expected | undone | {Refusal.WRITTEN_ELSEWHERE}
        return expected | undone if self._round.undone else expected

    def _is_impatient(self) -> bool:
        """Whether what is being moved, or undone, is undone at once. Elsewhere somebody carries it on, as a rule."""
        return not self._round.is_far or self._round.world.random.random() < 0.003

    def undo(self) -> None:
        """Undo the move, or hear that it is too late; often once writers wait."""
        store = self._round.store(self._name, self._at)
        soon, late = (0.0, 3.0) if self._round.are_rivals else (0.5, 10.0)
        self._round.world.sleep(self._round.world.random.uniform(soon, late))
        while self._round.waits_to_undo and not (self._is_time() or self._round.moved):
            self._round.world.sleep(self._round.world.random.uniform(0.1, 2.0 if self._round.aims else 8.0))
        while not self._undo_once(store):
            self._round.world.sleep(1.0)

    def _is_time(self) -> bool:
        return self._round.verified if self._round.aims else self._round.paused

    def _undo_once(self, store: VectorStore) -> bool:
        name = self._name
        try:
            store.undo_move(TENANT, ALIAS)
        except Problem as problem:
            self._round.world.note(f"{name}: {problem}")
            expect(problem.status == 503 or problem.code in _UNDOING, f"{name}: {problem}")
            return problem.code == Refusal.MOVE_SWITCHED
        self._round.world.note(f"{name}: undone")
        return True
