"""A chunk: where its rows stand, and how they are stored."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from anfl.problems import Problem, conflict
from anfl.vectors.imports import lines
from anfl.vectors.imports.arrays import range_of, values_of
from anfl.vectors.imports.attempts import Attempt
from anfl.vectors.imports.files import Files
from anfl.vectors.imports.lines import Candidate
from anfl.vectors.imports.model import Chunk, ChunkOutcome, Format, Record
from anfl.vectors.imports.storing import Check, store_rows
from anfl.vectors.model import Collection
from anfl.vectors.refusals import Refusal
from anfl.vectors.requests import Upsert
from anfl.vectors.store import VectorStore


class Rows(Protocol):
    """The rows of chunks."""

    def of(self, record: Record, chunk: Chunk) -> Iterable[Candidate]:
        """Those of ``chunk``.

        :raises Problem: 409 ``import_expired``, 503; also while they are read.
        """


class LinesOf:
    """`Rows` in JSON lines, with or without an array beside them."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def of(self, record: Record, chunk: Chunk) -> Iterator[Candidate]:
        """See `Rows.of`."""
        span, array = chunk.span, chunk.array
        text = self._files.read(record, record.place_of(Format.JSONL), span.start, span.stop)
        values = None
        if array is not None:
            start, stop = range_of(array, first_row=span.first_row, rows=span.rows)
            values = values_of(array, self._files.read(record, record.place_of(Format.NPY), start, stop))
        return lines.rows_of(text, first_row=span.first_row, values=values)


def store_chunk(store: VectorStore, chunk: Chunk, rows: Iterable[Candidate], attempt: Attempt) -> ChunkOutcome:
    """Store the rows of ``chunk``, with patience where the store is busy.

    :raises Problem: 404 ``collection_not_found``, or 409 ``collection_changed`` where the name belongs to another
        collection by now; 429 and 503 where ``attempt`` has no more time.
    """

    def write(upsert: Upsert) -> object:
        return store.write(chunk.tenant, chunk.collection, upsert, incarnation=chunk.incarnation)

    def checks() -> Check:
        collection = attempt.patiently(lambda: described(store, chunk.tenant, chunk.collection, chunk.incarnation))
        return lambda upsert: store.check(collection, upsert)

    return store_rows(
        chunk,
        rows,
        checks=checks,
        write=lambda upsert: attempt.patiently(lambda: write(upsert)),
    )


def described(store: VectorStore, tenant: str, name: str, incarnation: str) -> Collection:
    """The collection ``name``, where it is still that very one.

    :raises Problem: 404 ``collection_not_found``, 409 ``collection_changed``, 503.
    """
    collection = store.describe(tenant, name)
    if collection.incarnation != incarnation:
        raise changed(name)
    return collection


def changed(name: str) -> Problem:
    """409: another collection has the name."""
    return conflict(f"{name} is not the collection it was.", code=Refusal.COLLECTION_CHANGED)
