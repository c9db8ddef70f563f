"""What passes between who wants a Parquet file read and the process that reads it (`anfl.confined.frames`).

First comes a `Cutting` or a `Reading`. Each `Range` is answered with its bytes; the others are what was asked for, up
to an `End`, or a `Refusal` instead.
"""

import msgspec

from anfl.vectors.imports.model import RowError, Span
from anfl.vectors.requests import NewRow

PIECE_BYTES = 4 * 2**20
"""Of a file, the most that are asked for at a time."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection takes."""

    collection: str
    dimension: int


class Cutting(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Say how the file of ``size`` bytes is cut; ``field`` is what it is called in errors."""

    size: int
    field: str
    shape: Shape


class Reading(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tell the rows of ``span``."""

    size: int
    field: str
    span: Span


class Range(msgspec.Struct, frozen=True, tag=True):
    """Bytes of the file that are wanted."""

    start: int
    stop: int


class Spans(msgspec.Struct, frozen=True, tag=True):
    """How the file is cut."""

    spans: list[Span]


class Rows(msgspec.Struct, frozen=True, tag=True):
    """Some rows, each with its number and its size, and what is none."""

    rows: list[tuple[int, int, NewRow]]
    wrong: list[RowError]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A problem with the file."""

    status: int
    code: str
    detail: str
    field: str | None


class End(msgspec.Struct, frozen=True, tag=True):
    """That was all."""


Asked = Cutting | Reading
Told = Range | Spans | Rows | Refusal | End
