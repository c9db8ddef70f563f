"""Imports over an AWS in memory: files are sent as their owners send them, jobs are delivered by a test."""

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.dynamodb.engine import DynamoDbEngine
from anfl.vectors.dynamodb.jobs import DeletionJob, RemovalJob
from anfl.vectors.dynamodb.removing import Remover
from anfl.vectors.imports import tables
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.chunk_records import ChunkRecords
from anfl.vectors.imports.cutter import Cutter
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.imports import Imports
from anfl.vectors.imports.jobs import Message, decode
from anfl.vectors.imports.lines import Candidate
from anfl.vectors.imports.model import Chunk, Cut, Format, Job, Record, Span
from anfl.vectors.imports.ranges import RangeFile
from anfl.vectors.imports.records import Records
from anfl.vectors.imports.requests import Import, NewFile, NewImport, Uploads
from anfl.vectors.imports.table_messages import Shape
from anfl.vectors.imports.worker import Worker
from anfl.vectors.model import Collection
from anfl.vectors.store import VectorStore
from services.vector_store.jobs import FilesOfAnyFormat, ReadTables
from tests.unit.vectors.simulated import SimulatedTime

TABLE, BUCKET = "catalogue", "vectors"
MOST = 5
"""Attempts at a job."""


@dataclass
class MemoryQueue:
    """Jobs that were sent, as text."""

    bodies: list[str] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    """Of each."""

    def send(self, jobs: Iterable[Message], *, delay: int = 0) -> None:
        """See `anfl.vectors.imports.jobs.Queue`."""
        sent = [msgspec.json.encode(job).decode() for job in jobs]
        self.bodies += sent
        self.delays += [delay] * len(sent)

    def take(self) -> Job | None:
        """The next job of an import; None where none waits."""
        if not self.bodies:
            return None
        job = decode(self.bodies.pop(0))
        assert isinstance(job, Cut | Chunk)
        return job


def carry_out_all(queue: MemoryQueue, catalogue: Catalogue, engine: DynamoDbEngine) -> None:
    """Carry out what the engine ``dynamodb`` has left to others."""
    clock = SimulatedTime().clock()
    while queue.bodies:
        job = decode(queue.bodies.pop(0))
        assert isinstance(job, DeletionJob | RemovalJob)
        attempt = Attempt(number=1, most=MOST, deadline=clock.monotonic() + 60, clock=clock)
        Remover(catalogue, engine).carry_out(job, attempt)


class TablesHere:
    """Reads Parquet files as `ConfinedTables` does, without a process for each, which takes half a second."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def spans(self, record: Record, place: int, collection: Collection) -> list[Span]:
        """See `anfl.vectors.imports.cutting.Tables.spans`."""
        shape = Shape(collection=collection.name, dimension=collection.settings.dimension)
        return tables.spans_of(self._source(record, place), field=f"files[{place}]", shape=shape)

    def of(self, record: Record, chunk: Chunk) -> Iterator[Candidate]:
        """See `anfl.vectors.imports.chunks.Rows.of`."""
        place = record.place_of(Format.PARQUET)
        return tables.rows_of(self._source(record, place), chunk.span, field=f"files[{place}]")

    def _source(self, record: Record, place: int) -> Any:
        size = record.files[place].bytes
        return RangeFile(lambda start, stop: self.files.read(record, place, start, stop), size=size)


class Place:
    """Everything that imports are made of; ``client`` is S3's."""

    def __init__(
        self,
        session: boto3.session.Session,
        catalogue: Catalogue,
        store: VectorStore,
        *,
        function_bytes: float,
        tables: Callable[[Files], ReadTables] = TablesHere,
    ) -> None:
        self.client = session.client("s3", config=Config(signature_version="s3v4"))
        table = session.resource("dynamodb").Table(TABLE)
        self.store = store
        self.time = SimulatedTime()
        self.records, self.chunks = Records(table), ChunkRecords(table)
        self.files = Files(self.client, BUCKET)
        self.service, self.function = MemoryQueue(), MemoryQueue()
        self.imports = Imports(
            catalogue=catalogue,
            records=self.records,
            chunks=self.chunks,
            files=self.files,
            jobs=self.service,
            now=lambda: self.time.seconds,
        )
        rows = FilesOfAnyFormat(self.files, tables(self.files))
        self.cutter = Cutter(
            store=store,
            records=self.records,
            chunks=self.chunks,
            files=self.files,
            tables=rows,
            function=self.function,
            function_bytes=function_bytes,
            service=self.service,
        )
        self.worker = Worker(
            store=store,
            records=self.records,
            chunks=self.chunks,
            files=self.files,
            rows=rows,
            cutter=self.cutter,
        )

    def begin(self, **files: bytes) -> Uploads:
        """An import into ``words`` of files by format."""
        new = [NewFile(format=Format(name), bytes=len(data)) for name, data in files.items()]
        return self.imports.create("demo", "words", NewImport(files=new))

    def upload(self, uploads: Uploads, **files: bytes) -> None:
        """Put the missing parts where their addresses say."""
        for file, data in zip(uploads.files, files.values(), strict=True):
            for part in file.missing:
                place = urlsplit(part.url)
                query = parse_qs(place.query)
                self.client.upload_part(
                    Bucket=BUCKET,
                    Key=place.path.removeprefix(f"/{BUCKET}/").removeprefix("/"),
                    UploadId=query["uploadId"][0],
                    PartNumber=int(query["partNumber"][0]),
                    Body=data[part.offset : part.offset + part.bytes],
                )

    def started(self, **files: bytes) -> str:
        """The id of an import whose files are uploaded, and that is started."""
        uploads = self.begin(**files)
        self.upload(uploads, **files)
        self.imports.start("demo", uploads.id)
        return uploads.id

    def attempt(self, number: int = 1) -> Attempt:
        """One at a job."""
        clock = self.time.clock()
        return Attempt(number=number, most=MOST, deadline=clock.monotonic() + 60, clock=clock)

    def carry_out(self, job: Message, number: int = 1) -> None:
        """Deliver ``job`` once."""
        self.worker.carry_out(job, self.attempt(number))

    def work(self) -> None:
        """Carry out what waits, and what comes of it."""
        while (job := self.service.take() or self.function.take()) is not None:
            self.carry_out(job)

    def show(self, import_id: str) -> Import:
        """As its owner sees it."""
        return self.imports.show("demo", import_id)

    def kept(self) -> list[str]:
        """Keys of the files that are there."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=BUCKET, Prefix="_").get("Contents", [])]


def text_of(*rows: Any) -> bytes:
    """Rows as JSON lines; bytes as they are."""
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def row(name: str, **more: Any) -> dict[str, Any]:
    """A row of two dimensions."""
    return {"id": name, "values": [1, 2], **more}


def npy_of(array: Any) -> bytes:
    """``array`` as a ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def parquet_of(columns: dict[str, Any], **options: Any) -> bytes:
    """A file of these columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


class Door(ThreadingHTTPServer):
    """Where parts are put: hands them to S3, after as many refusals as a test wants."""

    def __init__(self, client: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Putting)
        self.client = client
        self.refusals: list[int] = []
        """Statuses that are answered first."""
        self.seen: list[tuple[str, str | None]] = []
        """Path and authorization of each request."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def signed(self, target: dict[str, str], piece: Any) -> str:
        """In place of S3's own addresses."""
        query = urlencode({"uploadId": target["UploadId"], "partNumber": piece.number})
        return f"http://127.0.0.1:{self.server_port}/{target['Key']}?{query}"


class _Putting(BaseHTTPRequestHandler):
    server: Door

    def do_PUT(self) -> None:
        """Take one part."""
        data = self.rfile.read(int(self.headers["content-length"]))
        place, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        self.server.seen.append((place.path, self.headers.get("authorization")))
        status = self.server.refusals.pop(0) if self.server.refusals else 200
        if status == 200:
            self.server.client.upload_part(
                Bucket=BUCKET,
                Key=place.path.removeprefix("/"),
                UploadId=query["uploadId"][0],
                PartNumber=int(query["partNumber"][0]),
                Body=data,
            )
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quietly."""
