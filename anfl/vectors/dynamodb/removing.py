"""Carries out what the engine leaves to jobs, however often it is delivered."""

import logging

from anfl.problems import Problem, unavailable
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import DeletionJob, EngineJob, RemovalJob
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.model import Collection
from anfl.vectors.moving.access import check_writable
from anfl.vectors.refusals import Refusal

_log = logging.getLogger(__name__)


class Remover:
    """Safe for threads."""

    def __init__(self, catalogue: Catalogue, engine: DynamoDbEngine) -> None:
        self._catalogue = catalogue
        self._engine = engine

    def carry_out(self, job: EngineJob, attempt: Attempt) -> None:
        """Carry out ``job``, or what is left of it.

        :raises Problem: 503, it is to be tried again.
        """
        if isinstance(job, RemovalJob):
            self._remove(job.collection, attempt)
            return
        collection = self._current(job.tenant, job.collection)
        if collection is not None and collection.incarnation == job.incarnation:
            self._delete(collection, job, attempt)

    def _remove(self, collection: Collection, attempt: Attempt) -> None:
        if not self._catalogue.has(collection):
            for _ in self._engine.removed(collection):
                attempt.clock.sleep(0)  # where the process is to stop, it goes back to the queue
        elif not attempt.is_last:
            raise unavailable(f"{collection.name} is still there.", code=Refusal.STORAGE_UNAVAILABLE)
        else:  # whoever asked for it was cut short before the catalogue forgot it
            _log.info("a collection was not deleted in the end", extra={"collection": collection.name})

    def _delete(self, collection: Collection, job: DeletionJob, attempt: Attempt) -> None:
        try:
            check_writable(collection, filling=None)
            for _ in self._engine.deleted(collection, job.deletion_id):
                attempt.clock.sleep(0)
                check_writable(self._catalogue.find(job.tenant, job.collection), filling=None)
        except Problem as problem:
            if problem.code == Refusal.DELETION_NOT_FOUND:  # it has expired
                return
            if problem.code == Refusal.COLLECTION_MOVED:  # what is left of it is to be asked for there
                self._engine.give_up(collection, job.deletion_id, problem.detail)
                return
            if attempt.is_last:
                self._engine.give_up(collection, job.deletion_id, problem.detail)
            raise

    def _current(self, tenant: str, name: str) -> Collection | None:
        try:
            return self._catalogue.find(tenant, name)
        except Problem as problem:
            if problem.code == Refusal.COLLECTION_NOT_FOUND:
                return None
            raise
