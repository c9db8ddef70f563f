"""The process that reads one Parquet file: with bounded memory and time, and without network, files or credentials."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, cast

import msgspec
import pyarrow.compute  # noqa: F401 - pyarrow would import it once it wants it, and then no file can be opened

from anfl.confined import confinement, frames
from anfl.problems import Problem, too_large
from anfl.vectors.imports import tables
from anfl.vectors.imports.lines import Candidate
from anfl.vectors.imports.model import MAX_TEXT, RowError
from anfl.vectors.imports.ranges import RangeFile
from anfl.vectors.imports.table_messages import PIECE_BYTES, Asked, Cutting, End, Range, Refusal, Rows, Spans, Told
from anfl.vectors.requests import MAX_ROWS, NewRow

MESSAGE_BYTES = 2 * 2**20
"""Of rows in one message, as JSON; with one more row of a MiB, and the nine bytes that MessagePack has for JSON's four
of ``0.0,``, it is below `frames.MAX_BYTES`."""
ERROR_BYTES = 8 * MAX_TEXT
"""Of what is no row, the most: a detail and a field."""

_MEMORY = "Reading the file takes more than {:.0f} MiB of memory: write it in smaller pages."


def main(*, memory_bytes: int, seconds: float) -> None:
    """Read what is asked for on standard input, and tell it on standard output."""
    telling = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no message
    confinement.limit(memory_bytes=memory_bytes, file_bytes=0, seconds=seconds, open_files=0)
    confinement.forbid_calls()

    def tell(told: Told) -> None:
        frames.write(telling, msgspec.msgpack.encode(told))

    def received() -> bytes:
        message = frames.read(sys.stdin.buffer)
        if message is None:
            os._exit(1)  # nobody wants it any more
        return message

    def read(start: int, stop: int) -> bytes:
        pieces = []
        for first in range(start, stop, PIECE_BYTES):
            tell(Range(first, min(first + PIECE_BYTES, stop)))
            pieces.append(received())
        return b"".join(pieces)

    asked = msgspec.msgpack.decode(received(), type=Asked)
    try:
        _answer(asked, cast("BinaryIO", RangeFile(read, size=asked.size)), tell)
    except Problem as problem:
        tell(_refusal(problem))
    except MemoryError:
        tell(_refusal(too_large(_MEMORY.format(memory_bytes / 2**20), field=asked.field)))


def _refusal(problem: Problem) -> Refusal:
    return Refusal(status=problem.status, code=problem.code, detail=problem.detail, field=problem.field)


def _answer(asked: Asked, source: BinaryIO, tell: Callable[[Told], None]) -> None:
    if isinstance(asked, Cutting):
        tell(Spans(tables.spans_of(source, field=asked.field, shape=asked.shape)))
    else:
        for some in _grouped(tables.rows_of(source, asked.span, field=asked.field)):
            tell(some)
    tell(End())


def _grouped(candidates: Iterable[Candidate]) -> Iterator[Rows]:
    rows, wrong, total = list[tuple[int, int, NewRow]](), list[RowError](), 0
    for number, size, row in candidates:
        if isinstance(row, RowError):
            wrong.append(row)
            total += ERROR_BYTES
        else:
            rows.append((number, size, row))
            total += size
        if len(rows) + len(wrong) >= MAX_ROWS or total >= MESSAGE_BYTES:
            yield Rows(rows, wrong)
            rows, wrong, total = [], [], 0
    yield Rows(rows, wrong)
