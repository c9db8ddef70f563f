"""Looks through an import's files before anything is stored: how they are cut, and what is wrong with them as such."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from anfl.problems import Problem, invalid
from anfl.vectors.imports.arrays import HEADER_BYTES, header_of, row_bytes
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.model import Array, Chunk, Format, Record, Span
from anfl.vectors.imports.spans import CHUNK_BYTES, CHUNK_ROWS, spans
from anfl.vectors.model import Collection


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How an import's files are cut."""

    format: Format
    spans: list[Span]
    array: Array | None = None

    @property
    def rows(self) -> int:
        """In the files."""
        return sum(span.rows for span in self.spans)

    def chunks(self, record: Record) -> Iterator[Chunk]:
        """The chunks, by number."""
        for number, span in enumerate(self.spans):
            yield Chunk(
                tenant=record.tenant,
                import_id=record.id,
                number=number,
                collection=record.collection,
                incarnation=record.incarnation,
                format=self.format,
                span=span,
                array=self.array,
            )


class Tables(Protocol):
    """Reads Parquet files, where a part can."""

    def spans(self, record: Record, place: int, collection: Collection) -> list[Span]:
        """How a file is cut.

        :raises Problem: 400 naming the column, what its rows have is no vector with metadata for ``collection``.
        """


def plan_of(record: Record, files: Files, collection: Collection, tables: Tables | None) -> Plan:
    """How the files of ``record`` are cut; whoever looks comes to the same.

    :raises Problem: 400, 413 naming file and row, what is wrong with the files; 409 ``import_expired``; 503.
    """
    if record.has(Format.PARQUET):
        if tables is None:
            raise RuntimeError("this part reads no Parquet files")
        return Plan(format=Format.PARQUET, spans=tables.spans(record, record.place_of(Format.PARQUET), collection))
    place = record.place_of(Format.JSONL)
    array = _array(record, files, collection)
    rows = CHUNK_ROWS if array is None else max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes(array)))
    found = list(spans(files.blocks(record, place), field=f"files[{place}]", rows=rows))
    plan = Plan(format=Format.JSONL, spans=found, array=array)
    if array is not None and array.rows != plan.rows:
        raise _unequal(record, lines=plan.rows, values=array.rows)
    return plan


def _array(record: Record, files: Files, collection: Collection) -> Array | None:
    if not record.has(Format.NPY):
        return None
    place = record.place_of(Format.NPY)
    start = files.read(record, place, 0, HEADER_BYTES)
    return header_of(start, size=record.files[place].bytes, collection=collection, field=f"files[{place}]")


def _unequal(record: Record, *, lines: int, values: int) -> Problem:
    shorter = Format.NPY if values < lines else Format.JSONL
    detail = f"The array has {values} rows, and there are {lines} lines."
    problem = invalid(detail, field=f"files[{record.place_of(shorter)}]")
    problem.extensions["row"] = min(lines, values)
    return problem
