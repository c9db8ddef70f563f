"""Parquet files, each read by a process of its own that has only so much memory and time.

A file of a kilobyte can hold a gigabyte, and pyarrow reads it without a limit. The process knows no credentials and
opens nothing: the bytes that it wants are fetched here.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from anfl.confined import frames, processes
from anfl.problems import Problem, invalid, too_large, unavailable
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.lines import Candidate
from anfl.vectors.imports.model import Chunk, Format, Record, Span
from anfl.vectors.imports.table_messages import (
    PIECE_BYTES,
    Asked,
    Cutting,
    End,
    Range,
    Reading,
    Refusal,
    Rows,
    Shape,
    Spans,
    Told,
)
from anfl.vectors.model import Collection

MEMORY_BYTES = 2**30
"""Of address space, beyond what the program takes. Pages of a hundred megabytes, as some programs write them, fit."""
SECONDS = 120.0
"""Of processor time for one chunk. Its row group is decoded from the beginning."""
SILENT_SECONDS = 300.0
"""A process that tells nothing for so long has none to spare, or hangs."""
ENDING_SECONDS = 5.0
"""One that can be told nothing more ends by itself within so long."""
_CODE = """
from anfl.vectors.imports.table_process import main
main(memory_bytes={memory_bytes}, seconds={seconds})
"""
_POOL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""The others reserve addresses of which they use little."""


class ConfinedTables:
    """Reads Parquet files of imports (`anfl.vectors.imports.cutting.Tables`, `anfl.vectors.imports.chunks.Rows`)."""

    def __init__(self, files: Files, *, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS) -> None:
        self._files = files
        self._code = _CODE.format(memory_bytes=memory_bytes, seconds=seconds)
        self._seconds = seconds

    def spans(self, record: Record, place: int, collection: Collection) -> list[Span]:
        """See `anfl.vectors.imports.cutting.Tables.spans`."""
        shape = Shape(collection=collection.name, dimension=collection.settings.dimension)
        asked = Cutting(size=record.files[place].bytes, field=_name(place), shape=shape)
        return [span for told in self._told(asked, record, place) if isinstance(told, Spans) for span in told.spans]

    def of(self, record: Record, chunk: Chunk) -> Iterator[Candidate]:
        """See `anfl.vectors.imports.chunks.Rows.of`."""
        place = record.place_of(Format.PARQUET)
        asked = Reading(size=record.files[place].bytes, field=_name(place), span=chunk.span)
        for told in self._told(asked, record, place):
            if isinstance(told, Rows):
                yield from (Candidate(number, size, row) for number, size, row in told.rows)
                yield from (Candidate(wrong.row, 0, wrong) for wrong in told.wrong)

    def _told(self, asked: Asked, record: Record, place: int) -> Iterator[Told]:
        """What a process tells of a file.

        :raises Problem: 400, 413 naming the file; 409 ``import_expired``; 503.
        """
        process = processes.start(self._code, folder=Path(tempfile.gettempdir()), environment=_POOL)
        try:
            self._send(process, msgspec.msgpack.encode(asked), asked)
            while not isinstance(told := self._next(process, asked), End):
                if isinstance(told, Refusal):
                    raise Problem(told.status, told.code, told.detail, field=told.field)
                if not isinstance(told, Range):
                    yield told
                    continue
                if not 0 <= told.start < told.stop <= min(asked.size, told.start + PIECE_BYTES):
                    raise _defeated(asked)
                self._send(process, self._files.read(record, place, told.start, told.stop), asked)
        finally:
            processes.end(process)

    def _send(self, process: subprocess.Popen[bytes], message: bytes, asked: Asked) -> None:
        try:
            frames.write(cast("IO[bytes]", process.stdin), message)
        except BrokenPipeError:
            raise self._ended(process, asked) from None

    def _next(self, process: subprocess.Popen[bytes], asked: Asked) -> Told:
        stream = frames.Timed(cast("IO[bytes]", process.stdout), time.monotonic() + SILENT_SECONDS)
        try:
            message = frames.read(stream)
            if message is None:
                raise self._ended(process, asked)
            told: Told = msgspec.msgpack.decode(message, type=Told)
        except TimeoutError:
            raise self._too_slow(asked) from None
        except (ValueError, msgspec.MsgspecError):
            raise _defeated(asked) from None
        return told

    def _ended(self, process: subprocess.Popen[bytes], asked: Asked) -> Exception:
        """Why a process ended before it had told all."""
        try:
            status = process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return _defeated(asked)
        if status >= 0:
            return RuntimeError(f"the process that reads Parquet files ended with {status}")
        if status == -signal.SIGXCPU:
            return self._too_slow(asked)
        if status in (-signal.SIGKILL, -signal.SIGTERM):  # somebody else's doing
            return unavailable("Reading the file was interrupted.", code="reading_interrupted")
        return _defeated(asked)

    def _too_slow(self, asked: Asked) -> Problem:
        detail = f"Reading a chunk of the file takes more than {self._seconds:g} s; use smaller row groups."
        return too_large(detail, field=asked.field)


def _defeated(asked: Asked) -> Problem:
    return invalid("Reading the file ended the process that read it: it is damaged, or too large.", field=asked.field)


def _name(place: int) -> str:
    return f"files[{place}]"
