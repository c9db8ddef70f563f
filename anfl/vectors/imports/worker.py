"""Carries out jobs, wherever they are delivered, and however often: those of imports itself."""

import contextlib
import logging
from dataclasses import dataclass, replace

from anfl.problems import Problem
from anfl.vectors.dynamodb.jobs import DeletionJob, RemovalJob
from anfl.vectors.dynamodb.removing import Remover
from anfl.vectors.imports.attempts import Attempt, is_passing
from anfl.vectors.imports.chunk_records import ChunkRecords, name_of
from anfl.vectors.imports.chunks import Rows, store_chunk
from anfl.vectors.imports.cutter import Cutter
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.jobs import Message
from anfl.vectors.imports.model import Chunk, Cut, Failure, Job, Record, State, Waiting, failure_of, short
from anfl.vectors.imports.records import Records
from anfl.vectors.refusals import Refusal
from anfl.vectors.store import VectorStore

SIGN_SECONDS = 120.0
"""How long a job's sign of life is believed: longer than a chunk takes, and than `still_at` is called again."""
MORE_SECONDS = 3.0
"""What is asked again after a wait has taken: until then it still waits."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Safe for threads. A job that returned is over; one that raised is to be delivered again."""

    store: VectorStore
    records: Records
    chunks: ChunkRecords
    files: Files
    rows: Rows
    cutter: Cutter | None = None
    """None where only chunks come."""
    remover: Remover | None = None
    """None likewise."""

    def carry_out(self, job: Message, attempt: Attempt) -> None:
        """Carry out ``job``, unless it was before, or nobody wants it any more.

        What is wrong with the import as such fails it at once. What may pass fails it with the last attempt.

        :raises Problem: 429, 503: to be tried again.
        """
        if isinstance(job, DeletionJob | RemovalJob):
            if self.remover is None:
                raise RuntimeError("only chunks are to come here")
            self.remover.carry_out(job, attempt)
            return
        try:
            record = attempt.patiently(lambda: self.records.get(job.tenant, job.import_id))
        except Problem as problem:
            if problem.code != Refusal.IMPORT_NOT_FOUND:
                raise
            _log.info("nobody knows the import any more", extra={"import_id": job.import_id})
            return
        if isinstance(job, Chunk) and not record.is_cut_into(job):
            _log.error("a chunk is none of its import's", extra={"import_id": job.import_id, "job": name_of(job)})
            return
        if record.state in (State.DONE, State.CANCELLED):
            self._remove(record)  # whoever came to this end may have been cut short before it did
            return
        if attempt.is_last:
            attempt.patiently(lambda: self.chunks.last_attempt(job, until=attempt.until))
        self._at_work(job, attempt)
        try:
            self._do(record, job, self._telling(job, attempt))
        except Exception as error:
            again = not isinstance(error, Problem) or is_passing(error)
            if not again or attempt.is_last:
                self._fail(job, error, attempt)
            if again:
                raise
        if attempt.is_last:
            self.chunks.ended(job)

    def still_at(self, job: Message, attempt: Attempt) -> None:
        """It takes longer: somebody is at it, and where this is the last attempt, it has not lapsed."""
        if not isinstance(job, Cut | Chunk):
            return
        self._at_work(job, attempt)
        if attempt.is_last:
            self.chunks.last_attempt(job, until=attempt.until)

    def _at_work(self, job: Job, attempt: Attempt) -> None:
        with contextlib.suppress(Problem):  # nothing depends on it
            self.records.at_work(job.tenant, job.import_id, until=attempt.clock.wall() + SIGN_SECONDS)

    def _telling(self, job: Job, attempt: Attempt) -> Attempt:
        """``attempt``, whose waits the import's owner gets to see."""

        def told(problem: Problem, seconds: float) -> None:
            waiting = Waiting(code=problem.code, detail=short(problem.detail))
            until = attempt.clock.wall() + seconds + MORE_SECONDS
            with contextlib.suppress(Problem):
                self.records.wait(job.tenant, job.import_id, waiting, until=until)

        return replace(attempt, told=told)

    def _do(self, record: Record, job: Job, attempt: Attempt) -> None:
        if isinstance(job, Cut):
            if self.cutter is None:
                raise RuntimeError("only chunks are to come here")
            self.cutter.cut(record, attempt)
        elif not attempt.patiently(lambda: self.chunks.is_done(job)):
            outcome = store_chunk(self.store, job, self.rows.of(record, job), attempt)
            attempt.patiently(lambda: self.chunks.done(job, outcome))  # others count, too, in the very same item
        if attempt.patiently(lambda: self.records.get(record.tenant, record.id)).state is State.DONE:
            self._remove(record)

    def _remove(self, record: Record) -> None:
        """Remove the files, which nobody needs any more; what this leaves goes by itself."""
        try:
            self.files.remove(record)
        except Problem as problem:
            _log.info("files of an import are left", extra={"import_id": record.id, "code": problem.code})

    def _fail(self, job: Job, error: Exception, attempt: Attempt) -> None:
        """Note why the import cannot go on: after the last attempt nobody else does."""
        _log.error("an import fails", extra={"import_id": job.import_id, "job": name_of(job), "reason": str(error)})
        attempt.patiently(lambda: self.records.fail(job.tenant, job.import_id, _reason(job, error)))
        self.chunks.ended(job)


def _reason(job: Job, error: Exception) -> Failure:
    if isinstance(error, Problem):
        return failure_of(error, final=not is_passing(error))
    detail = f"{name_of(job)} ended with an error of ours, as often as it was tried."
    return Failure(code="internal_error", detail=detail)
