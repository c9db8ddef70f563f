"""What callers of imports send and get."""

from typing import Annotated

import msgspec

from anfl.vectors.imports.model import Failure, Format, Record, RowError, State, Waiting
from anfl.vectors.model import Name
from anfl.vectors.requests import MAX_ROWS, Request

MAX_FILE_BYTES = 100 * 2**30
ID_PATTERN = r"^[0-9a-f]{32}$(?!\n)"
Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, description="Imports have ids of 32 hexadecimal digits")]


class NewFile(Request, frozen=True, kw_only=True):
    """A file that is to be uploaded."""

    format: Format
    bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE_BYTES)]


class NewImport(Request, frozen=True, kw_only=True):
    """``POST /v1/collections/{name}/imports``: JSON lines, JSON lines and an array, or a Parquet file."""

    files: Annotated[list[NewFile], msgspec.Meta(min_length=1, max_length=2)]


class ImportId(Request, frozen=True, kw_only=True):
    """What stands in the path of a call about one import."""

    id: Id


class ImportPage(Request, frozen=True, kw_only=True):
    """``GET /v1/imports``: the newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100
    cursor: Id | None = None
    collection: Name | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes ``offset`` to ``offset + bytes`` of a file, and where to ``PUT`` them, as they are and without a token."""

    number: int
    offset: int
    bytes: int
    url: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and the parts of it that are missing."""

    format: Format
    bytes: int
    missing: list[Part]


class Uploads(msgspec.Struct, frozen=True, kw_only=True):
    """What an import waits for. The addresses work for ``expires_in`` seconds; new ones can be asked for."""

    id: str
    collection: str
    files: list[Upload]
    expires_in: int


class Import(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An import for its owner. Times in seconds since the epoch."""

    id: str
    collection: str
    state: State
    formats: list[Format]
    bytes: int
    created_at: float
    started_at: float | None = None
    rows: int | None = None
    """In the files; None until they are looked through."""
    chunks: int | None = None
    chunks_done: int
    stored: int
    refused: int
    errors: list[RowError] = []
    """Why the first refused rows were; in a list of imports, nothing."""
    failure: Failure | None = None
    waiting: Waiting | None = None
    """While it runs: what keeps it from going on. None while it does."""


class ImportList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant's imports, the newest first, and where to go on; no cursor on the last page."""

    imports: list[Import]
    cursor: str | None = None


def described(record: Record, *, now: float, errors: tuple[RowError, ...] = ()) -> Import:
    """``record`` as its owner sees it ``now``, seconds since the epoch."""
    state = record.state
    return Import(
        id=record.id,
        collection=record.collection,
        state=state,
        formats=[file.format for file in record.files],
        bytes=sum(file.bytes for file in record.files),
        created_at=record.created_at,
        started_at=record.started_at,
        rows=record.rows,
        chunks=record.chunks,
        chunks_done=record.chunks_done,
        stored=record.stored,
        refused=record.refused,
        errors=list(errors),
        failure=record.failure if state is State.FAILED else None,
        waiting=record.waits_for(now),
    )
