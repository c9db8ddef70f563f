"""Who may write to a collection that is filled, or moved (`anfl.vectors.moving`), as transactions have to know it.

Whoever fills a collection does so in a *round*, and anybody else by what the catalogue says in some *revision* of the
collection. The move counts up the one where it takes over from another process, and demands the other where it has
paused the writers.
"""

from anfl.problems import Problem
from anfl.vectors.dynamodb.fences import Fence, Guard
from anfl.vectors.dynamodb.table import Table
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import busy, paused


class Rounds:
    """Safe for threads."""

    def __init__(self, table: Table) -> None:
        self._rounds = Fence(table, "round")
        self._revisions = Fence(table, "revision")

    def guard(self, collection: Collection, *, filling: int | None) -> Guard:
        """What a write's transactions check.

        :param filling: the round of who fills the collection; None: an ordinary writer.
        """
        if filling is not None:
            return Guard(fence=self._rounds, collection=collection, number=filling, only=True, refusal=busy)

        def refusal() -> Problem:
            return paused(collection.name)

        revision = collection.revision
        return Guard(fence=self._revisions, collection=collection, number=revision, only=False, refusal=refusal)

    def begin(self, collection: Collection) -> None:
        """Let writes of earlier rounds than the collection's be refused; can be repeated."""
        if collection.filling is not None:
            self._rounds.advance(collection, collection.filling.round)

    def demand(self, collection: Collection) -> None:
        """Let writes be refused whose writers know less than what ``collection`` says of its move; can be repeated."""
        if collection.moving is not None:
            self._revisions.advance(collection, collection.revision)

    def end(self, collection: Collection) -> None:
        """Refuse writes of all rounds: the collection is gone."""
        self._rounds.remove(collection)

    def forget(self, collection: Collection) -> None:
        """Remove what is left."""
        self._revisions.remove(collection)
