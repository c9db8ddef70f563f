"""Who may write to a collection that is being moved, or filled."""

from anfl.problems import Problem, conflict
from anfl.vectors.model import Collection
from anfl.vectors.moving.records import Moving, Stage
from anfl.vectors.refusals import Refusal

PAUSE_SECONDS = 60.0
"""A move that is not heard of for so long lets the writers go on, and does not go on itself where it was."""
FAR_SECONDS = 60.0
"""For so much longer they wait in other regions: what is noted of the move here and there at the same time does not
meet, and the later of both stays."""


def check_writable(collection: Collection, *, filling: int | None) -> None:
    """Refuse a write that must not be.

    :param filling: the round of who fills the collection; None: an ordinary writer.
    :raises Problem: 503 ``writes_paused``; 409 ``collection_moved``, ``collection_filling``, ``move_busy``.
    """
    filled = collection.filling
    if filling is not None:
        if filled is None or filled.ready or filled.round != filling:
            raise busy()
        return
    if filled is not None and not filled.ready:
        detail = f"{collection.name} is being filled from {filled.source}; write there until it is done."
        raise conflict(detail, code=Refusal.COLLECTION_FILLING)
    moving = collection.moving
    if moving is None:
        return
    if moving.is_waited_for or moving.stage is Stage.SWITCHING:
        raise paused(collection.name)
    if moving.stage is Stage.DONE:
        detail = f"{collection.name} was moved to {moving.to}; write there, or by an alias."
        raise conflict(detail, code=Refusal.COLLECTION_MOVED)


def paused(name: str) -> Problem:
    """503: what is written from now on would be lost to the collection that it becomes."""
    detail = f"{name} is being moved, and about to be another collection; try again in a moment."
    return Problem(503, Refusal.WRITES_PAUSED, detail, retry_after=1)


def arriving(name: str) -> Problem:
    """503: where it is moved it was switched, and here that is not known as a whole yet."""
    detail = f"{name} has part in a move, of whose end this region has not heard everything; try again in a moment."
    return Problem(503, Refusal.WRITES_PAUSED, detail, retry_after=1)


def busy() -> Problem:
    """409: another process is at it, or has taken over."""
    problem = conflict("Another process carries out this move at present; try again.", code=Refusal.MOVE_BUSY)
    problem.retry_after = 2
    return problem


def is_overdue(moving: Moving | None, now: float) -> bool:
    """Whether a pause has lasted for longer than it may."""
    return moving is not None and moving.is_waited_for and now > moving.paused_until


def check_not_moving(collection: Collection) -> Collection:
    """Refuse what must not be done to a collection while it is moved; returns it.

    :raises Problem: 409 ``collection_moving``.
    """
    moving = collection.moving
    if moving is not None and moving.stage is not Stage.DONE:
        detail = f"{collection.name} is being moved to {moving.to}; finish that, or undo it, first."
        raise conflict(detail, code=Refusal.COLLECTION_MOVING)
    return collection


def check_settled(collection: Collection) -> Collection:
    """The same for what must not be done while it is filled, either."""
    filling = collection.filling
    if filling is not None and not filling.ready:
        raise conflict(f"{collection.name} is being filled from {filling.source}.", code=Refusal.COLLECTION_FILLING)
    return check_not_moving(collection)
