"""Cuts an import's files into chunks, and sends those to whoever is to store them."""

from dataclasses import dataclass

import msgspec

from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.chunks import described
from anfl.vectors.imports.cutting import Plan, Tables, plan_of
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.jobs import Queue
from anfl.vectors.imports.model import Format, Record
from anfl.vectors.imports.records import Records
from anfl.vectors.store import VectorStore

FUNCTION_SHARE = 1 / 8
"""Part of the function's memory that a collection and what is to be imported into it may have: who writes to a
collection has all of it, some of it more than once, beside the program itself."""


@dataclass(frozen=True, kw_only=True)
class Cutter:
    """Where a crash leaves it, the next attempt goes on: with the plan it finds, and the chunks that are not done."""

    store: VectorStore
    records: Records
    chunks: ChunkRecords
    files: Files
    tables: Tables | None
    function: Queue
    """Takes chunks of small collections, each of which then has a process to itself."""
    function_bytes: float
    """Of collection and files together, the most that are small."""
    service: Queue
    """Takes all others."""

    def cut(self, record: Record, attempt: Attempt) -> None:
        """Look through the files, and have stored what they hold.

        :raises Problem: as `plan_of`; 404 ``collection_not_found``; 409 ``collection_changed``.
        """
        plan = attempt.patiently(lambda: self._plan(record))
        self.records.cut(record.tenant, record.id, chunks=len(plan.spans), rows=plan.rows)
        done = self.chunks.finished(record.id)
        waiting = (chunk for chunk in plan.chunks(record) if chunk.number not in done)
        if plan.spans:
            attempt.patiently(lambda: self._taker(record, plan)).send(waiting)

    def _plan(self, record: Record) -> Plan:
        kept = self.files.plan(record)
        if kept is not None:
            return msgspec.msgpack.decode(kept, type=Plan)
        collection = described(self.store, record.tenant, record.collection, record.incarnation)
        plan = plan_of(record, self.files, collection, self.tables)
        self.files.put_plan(record, msgspec.msgpack.encode(plan))
        return plan

    def _taker(self, record: Record, plan: Plan) -> Queue:
        if plan.format is Format.PARQUET:
            return self.service
        collection = described(self.store, record.tenant, record.collection, record.incarnation)
        if not self.store.lives_on_nodes(collection):
            return self.function
        stats = self.store.stats(record.tenant, record.collection)
        size = stats.private_bytes + stats.mapped_bytes + sum(file.bytes for file in record.files)
        return self.function if size <= self.function_bytes else self.service
