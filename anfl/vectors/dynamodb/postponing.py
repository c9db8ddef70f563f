"""The engine's part that takes long, and is left to jobs where there can be any."""

from collections.abc import Iterator

from anfl.vectors.changes import prepare
from anfl.vectors.clock import Clock
from anfl.vectors.dynamodb.capabilities import Capability, refuse
from anfl.vectors.dynamodb.deletions import done
from anfl.vectors.dynamodb.jobs import REMOVAL_DELAY, DeletionJob, Queue, RemovalJob
from anfl.vectors.dynamodb.tables import Classes
from anfl.vectors.dynamodb.writing import mark_of
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import check_writable
from anfl.vectors.requests import DeleteRows, Deletion


class Postponing:
    """Deletions by filter, and of whole collections, of `anfl.vectors.engines.Engine`."""

    _classes: Classes
    _jobs: Queue | None
    """None: nothing can be left to others."""
    _clock: Clock

    def delete_later(self, collection: Collection, change: DeleteRows) -> Deletion:
        """See `Engine.delete_later`."""
        if self._jobs is None:
            raise refuse(Capability.DIRECT_DELETION, field="filter")
        check_writable(collection, filling=None)
        of = self._classes.of(collection)
        mark = mark_of(prepare(change, collection))
        earlier = None if mark is None else of.rows.earlier_whole(collection, mark)
        if earlier is not None:  # by the engine that the collection was moved from
            return done(change, earlier, self._clock.wall())
        deletion = of.deletions.begin(collection, change, of.moves.rounds.guard(collection, filling=None))
        if deletion.state != "DONE":
            job = DeletionJob(
                tenant=collection.tenant,
                collection=collection.name,
                incarnation=collection.incarnation,
                deletion_id=deletion.id,
            )
            self._jobs.send([job])
        return deletion

    def deletion(self, collection: Collection, deletion_id: str) -> Deletion:
        """See `Engine.deletion`."""
        return self._classes.of(collection).deletions.show(collection, deletion_id)

    def about_to_drop(self, collection: Collection) -> None:
        """See `Engine.about_to_drop`: its rows go after it has gone, however the deletion ends."""
        self._classes.of(collection)
        if self._jobs is not None:
            self._jobs.send([RemovalJob(collection=collection)], delay=REMOVAL_DELAY)

    def drop(self, collection: Collection) -> None:
        """See `Engine.drop`: a job does it, where there can be one."""
        self._classes.of(collection).moves.rounds.end(collection)
        if self._jobs is None:
            for _ in self.removed(collection):
                pass

    def removed(self, collection: Collection) -> Iterator[int]:
        """Remove everything of it; see `Rows.drop`."""
        of = self._classes.of(collection)
        yield from of.rows.drop(collection)
        of.moves.rounds.forget(collection)

    def deleted(self, collection: Collection, deletion_id: str) -> Iterator[int]:
        """Carry out a deletion by filter; see `Deletions.run`."""
        of = self._classes.of(collection)
        return of.deletions.run(collection, deletion_id, of.moves.rounds.guard(collection, filling=None))

    def give_up(self, collection: Collection, deletion_id: str, reason: str) -> None:
        """Note that nobody carries out a deletion any more; see `Deletions.fail`."""
        self._classes.of(collection).deletions.fail(collection, deletion_id, reason)
