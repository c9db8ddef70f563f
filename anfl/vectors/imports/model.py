"""What an import is made of: the files it reads, the chunks they are cut into, what became of them."""

from enum import StrEnum

import msgspec

from anfl.problems import Problem

MAX_ERRORS = 100
"""Errors of rows that an import keeps; further ones are counted only."""
MAX_TEXT = 300
"""Characters of a detail or a field that are kept: either may quote a row."""


class Format(StrEnum):
    """Of a file."""

    JSONL = "jsonl"
    """A row a line: ``{"id", "values"?, "metadata"?, "expires_at"?}``."""
    NPY = "npy"
    """An array (n, dimension) of floats: the values of the n lines beside it."""
    PARQUET = "parquet"
    """Columns ``id``, ``values``, ``expires_at``?; every other one is a field of the metadata."""


class State(StrEnum):
    """Of an import."""

    UPLOADING = "UPLOADING"
    """It waits for its files, and to be started."""
    RUNNING = "RUNNING"
    DONE = "DONE"
    """Every row is stored or refused."""
    FAILED = "FAILED"
    """It cannot go on as it is; rows that are stored stay."""
    CANCELLED = "CANCELLED"
    """Nothing more is stored; rows that are stored stay."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an import; ``upload`` is S3's name of its upload in parts."""

    format: Format
    bytes: int
    upload: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a file, the first of them number ``first_row``, from 0: of JSON lines whole lines, bytes ``start`` to
    ``stop``, where blank ones are no rows; of a Parquet file rows ``start`` to ``stop`` of the row group ``group``.
    """

    start: int
    stop: int
    first_row: int
    rows: int
    group: int | None = None


class Array(msgspec.Struct, frozen=True, kw_only=True):
    """An array (rows, dimension) in a ``.npy`` file: where its numbers begin, and their NumPy type."""

    offset: int
    dtype: str
    rows: int
    dimension: int


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="chunk"):
    """One message: a span of an import's rows. ``incarnation`` is what the collection has to be still."""

    tenant: str
    import_id: str
    number: int
    collection: str
    incarnation: str
    format: Format
    span: Span
    array: Array | None = None
    """Where the values of JSON lines stand, if they do not stand in them."""


class Cut(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="cut"):
    """One message: look through an import's files, and have their chunks stored."""

    tenant: str
    import_id: str


Job = Cut | Chunk
IN_LINE = "in_line"
"""What an import waits for whose jobs nobody is at."""
IN_LINE_DETAIL = "Nobody is at it: others' jobs are before it, or no node takes any now."


class RowError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why one row was not stored; ``row`` counts from 0, lines that are blank aside."""

    row: int
    detail: str
    field: str | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an import cannot go on. ``code`` as in problem documents.

    ``final``: to try it again comes to the same; what is wrong, a file for example, has to be put right, and imported
    anew.
    """

    code: str
    detail: str
    field: str | None = None
    row: int | None = None
    final: bool = False


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What an import that runs waits for. ``code`` as in problem documents, or `IN_LINE`."""

    code: str
    detail: str


class ChunkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a chunk: rows stored, rows refused, and why the first of those were."""

    stored: int
    refused: int
    errors: tuple[RowError, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An import as the catalogue has it."""

    tenant: str
    id: str
    collection: str
    incarnation: str
    files: tuple[File, ...]
    created_at: float
    home: str | None = None
    """Region in whose bucket its files are."""
    started_at: float | None = None
    cancelled: bool = False
    rows: int | None = None
    chunks: int | None = None
    chunks_done: int = 0
    stored: int = 0
    refused: int = 0
    failure: Failure | None = None
    at_work_until: float = 0.0
    """Seconds since the epoch until which a job's last sign of life holds."""
    waiting: Waiting | None = None
    waiting_until: float = 0.0

    @property
    def state(self) -> State:
        """As its owner sees it."""
        if self.chunks is not None and self.chunks_done == self.chunks:
            return State.DONE
        if self.cancelled:
            return State.CANCELLED
        if self.failure is not None:
            return State.FAILED
        return State.UPLOADING if self.started_at is None else State.RUNNING

    def waits_for(self, now: float) -> Waiting | None:
        """What keeps it from going on ``now``, seconds since the epoch; None: nothing, or it is over."""
        if self.state is not State.RUNNING:
            return None
        if now < self.waiting_until:
            return self.waiting
        if now < self.at_work_until:
            return None
        return Waiting(code=IN_LINE, detail=IN_LINE_DETAIL)

    def has(self, wanted: Format) -> bool:
        """Whether a file of its has this format."""
        return any(file.format is wanted for file in self.files)

    def is_cut_into(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` is one of its own: of its collection, and of those that were counted when it was cut."""
        return (
            (chunk.tenant, chunk.import_id) == (self.tenant, self.id)
            and (chunk.collection, chunk.incarnation) == (self.collection, self.incarnation)
            and self.has(chunk.format)
            and 0 <= chunk.number < (self.chunks or 0)
        )

    def place_of(self, wanted: Format) -> int:
        """Number of its file of this format.

        :raises ValueError: it has none.
        """
        return [file.format for file in self.files].index(wanted)


def failure_of(problem: Problem, *, final: bool) -> Failure:
    """``problem`` as the reason of a failure; its extension ``row`` names the row."""
    row = problem.extensions.get("row")
    return Failure(
        code=problem.code,
        detail=short(problem.detail),
        field=None if problem.field is None else short(problem.field),
        row=row if isinstance(row, int) else None,
        final=final,
    )


def short(text: str) -> str:
    """``text`` as long as it may be kept."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
