"""What an import is made of: the file it reads, the chunks it is cut into, what became of them."""

from enum import StrEnum

import msgspec

MAX_ERRORS = 100
"""Errors of rows that an import keeps; further ones are counted only."""


class State(StrEnum):
    """Of an import."""

    PENDING = "PENDING"
    """Nothing is known of its file yet."""
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lines of a file: bytes ``start`` to ``stop``; ``first_row`` counts lines that are not blank, from 0."""

    start: int
    stop: int
    first_row: int
    rows: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One message: a span of an import's file. ``incarnation`` is what the collection has to be still."""

    tenant: str
    import_id: str
    number: int
    collection: str
    incarnation: str
    span: Span


class RowError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why one row was not stored; ``row`` counts from 0."""

    row: int
    detail: str
    field: str | None = None


class ChunkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a chunk: rows stored, rows refused, and why the first of those were."""

    stored: int
    refused: int
    errors: tuple[RowError, ...] = ()


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of an import. ``chunks`` is 0 before the file is cut."""

    id: str
    collection: str
    state: State
    chunks: int = 0
    chunks_done: int = 0
    stored: int = 0
    refused: int = 0
    errors: tuple[RowError, ...] = ()
    reason: str | None = None
    """Why it failed."""
