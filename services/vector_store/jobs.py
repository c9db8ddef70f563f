"""The process that takes the jobs of imports from their queue and carries them out, beside the workers of a node."""

import signal
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from anfl import aws
from anfl.vectors import build as vectors
from anfl.vectors.dynamodb.removing import Remover
from anfl.vectors.events import Events
from anfl.vectors.imports import build as importing
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.chunks import LinesOf, Rows
from anfl.vectors.imports.confined_tables import ConfinedTables
from anfl.vectors.imports.consuming import Consumer
from anfl.vectors.imports.cutter import FUNCTION_SHARE, Cutter
from anfl.vectors.imports.cutting import Tables
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.jobs import SqsQueue
from anfl.vectors.imports.lines import Candidate
from anfl.vectors.imports.model import Chunk, Format, Record, Span
from anfl.vectors.imports.records import Records
from anfl.vectors.imports.worker import Worker
from anfl.vectors.model import Collection
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.store import VectorStore

THREADS = 2
"""One reads and prepares while the other waits for S3."""
UNUSED_SECONDS = 60.0
"""After so long without a chunk of it a collection leaves memory: nobody reads here."""


class ReadTables(Tables, Rows, Protocol):
    """Whoever looks through Parquet files also tells their rows."""


class FilesOfAnyFormat:
    """Rows of every format."""

    def __init__(self, files: Files, tables: ReadTables) -> None:
        """:param tables: Parquet files."""
        self._tables = tables
        self._lines = LinesOf(files)

    def spans(self, record: Record, place: int, collection: Collection) -> list[Span]:
        """See `anfl.vectors.imports.cutting.Tables.spans`."""
        return self._tables.spans(record, place, collection)

    def of(self, record: Record, chunk: Chunk) -> Iterable[Candidate]:
        """See `anfl.vectors.imports.chunks.Rows.of`."""
        return (self._tables if chunk.format is Format.PARQUET else self._lines).of(record, chunk)


def run(settings: vectors.Settings, queues: importing.Queues, memory: NodeMemory, events: Events) -> None:
    """Take jobs until SIGTERM; what is being worked on then ends, or goes back to the queue."""
    session = aws.session()
    sqs = importing.sqs_of(session)
    service = SqsQueue(sqs, queues.jobs_url)
    store = vectors.build_store(settings, session, memory=memory, events=events, jobs=service)
    worker = build_worker(
        store,
        settings=settings,
        service=service,
        function=SqsQueue(sqs, queues.chunks_url),
        function_bytes=queues.chunks_memory_mib * 2**20 * FUNCTION_SHARE,
    )
    release = partial(store.hnsw.opened.release, unused_seconds=UNUSED_SECONDS)
    consumer = Consumer(client=sqs, url=queues.jobs_url, worker=worker, beat=release)
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    consumer.run(threads=THREADS)
    store.close()


def build_worker(
    store: VectorStore, *, settings: vectors.Settings, service: SqsQueue, function: SqsQueue, function_bytes: float
) -> Worker:
    """Carries out every job, and leaves chunks of small collections to the function."""
    table = vectors.table_of(settings, aws.session())
    files = importing.files_of(settings, aws.session())
    records, chunks, rows = Records(table), ChunkRecords(table), FilesOfAnyFormat(files, ConfinedTables(files))
    cutter = Cutter(
        store=store,
        records=records,
        chunks=chunks,
        files=files,
        tables=rows,
        function=function,
        function_bytes=function_bytes,
        service=service,
    )
    return Worker(
        store=store,
        records=records,
        chunks=chunks,
        files=files,
        rows=rows,
        cutter=cutter,
        remover=Remover(store.catalogue, store.distributed),
    )
