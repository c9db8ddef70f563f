"""Assembles what handles imports from a process's environment."""

import time
from typing import TYPE_CHECKING

import boto3
import msgspec

from anfl import aws
from anfl.vectors import build as vectors
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.chunks import LinesOf
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.jobs import SqsQueue
from anfl.vectors.imports.records import Records
from anfl.vectors.imports.worker import Worker
from anfl.vectors.store import VectorStore

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

READ_SECONDS = 30
"""SQS answers a long poll, and S3 a range of a file, well before."""


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, as far as imports go."""

    jobs_url: str = msgspec.field(name="JOBS_QUEUE_URL")
    chunks_url: str = msgspec.field(name="CHUNKS_QUEUE_URL")
    chunks_memory_mib: int = msgspec.field(name="CHUNKS_MEMORY_MIB")
    """Of the function that takes them."""


def files_of(settings: vectors.Settings, session: boto3.session.Session) -> Files:
    """The files of imports in the bucket of ``settings``."""
    config = aws.config(read_timeout=READ_SECONDS, signature_version="s3v4")
    return Files(session.client("s3", config=config), settings.bucket)


def sqs_of(session: boto3.session.Session) -> "SQSClient":
    """A client for sending and taking messages."""
    return session.client("sqs", config=aws.config(read_timeout=READ_SECONDS))


def build_imports(settings: vectors.Settings, queues: Queues, session: boto3.session.Session) -> Imports:
    """What the API's calls about imports are carried out by."""
    table = vectors.table_of(settings, session)
    return Imports(
        catalogue=vectors.catalogue_of(settings, session),
        records=Records(table),
        chunks=ChunkRecords(table),
        files=files_of(settings, session),
        jobs=SqsQueue(sqs_of(session), queues.jobs_url),
        now=time.time,
    )


def build_chunk_worker(store: VectorStore, settings: vectors.Settings, session: boto3.session.Session) -> Worker:
    """Stores chunks of JSON lines."""
    table, files = vectors.table_of(settings, session), files_of(settings, session)
    return Worker(
        store=store, records=Records(table), chunks=ChunkRecords(table), files=files, rows=LinesOf(files), cutter=None
    )
