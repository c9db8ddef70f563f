"""What callers send and get: typed, strict, shared by the HTTP service and the function."""

import binascii
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
import pybase64

from anfl.problems import Problem, invalid, too_large
from anfl.vectors.dynamodb.capabilities import NAME as DYNAMODB
from anfl.vectors.model import (
    LONGEST,
    MAX_ID_BYTES,
    SHORTEST,
    Collection,
    CollectionSettings,
    Fields,
    FieldType,
    IndexSettings,
    Metadata,
    Metric,
    Name,
    Position,
    Values,
    matches_type,
)
from anfl.vectors.moving.records import Stage

MAX_ROWS = 1_000
MAX_QUERIES = 100
MAX_K = 1_000
MAX_METADATA_BYTES = 40_960
MAX_INTEGER = 2**53 - 1
"""RFC 8259 section 6: beyond it, programs disagree about the number."""
MAX_BODY_BYTES = 64 * 2**20

_FLOATS = np.dtype("<f4")
_SAFE_SQUARE = (1e-30, 1e30)
"""Squares of lengths well between `SHORTEST` and `LONGEST`, however float32 has rounded them."""

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES)]
_RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Filter = dict[str, Any]
Included = Literal["values", "metadata"]
T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all: unknown members are refused, so that a misspelt one is not silently ignored."""


class Packed(Request, frozen=True, kw_only=True):
    """Values as base64 of little-endian float32 numbers."""

    f32: str

    def unpacked(self) -> Values:
        """The numbers, shape (n,); not to be changed.

        :raises ValueError: it is not base64, or not of float32 numbers.
        """
        return np.frombuffer(pybase64.b64decode(self.f32, validate=True), _FLOATS).astype(np.float32, copy=False)


VectorValues = list[float] | Packed


class NewRow(Request, frozen=True, kw_only=True):
    """One row of an upsert. ``expires_at`` in seconds since the epoch; ``if_version`` 0 demands that it is new."""

    id: _Id
    values: VectorValues
    metadata: Metadata = {}
    expires_at: float | None = None
    if_version: Annotated[int, msgspec.Meta(ge=0)] | None = None


class CollectionPatch(Request, frozen=True, kw_only=True):
    """``PATCH /v1/collections/{name}``. ``fields`` are all that are declared from now on; 409 where rows contradict."""

    index: "IndexPatch | None" = None
    fields: Fields | None = None


class IndexPatch(Request, frozen=True, kw_only=True):
    """What can change without building graphs again."""

    ef_search: Annotated[int, msgspec.Meta(ge=1, le=4000)]


class NamePage(Request, frozen=True, kw_only=True):
    """``GET /v1/collections``, ``GET /v1/aliases``: by name, those behind ``cursor``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100
    cursor: Name | None = None


class Writing(Request, frozen=True, kw_only=True):
    """A change of rows: all or nothing.

    ``atomic`` false allows the engine ``dynamodb``, which changes 100 rows together at most, to do so in parts. Each of
    them is carried out once if there is a ``request_id``; where one fails, those before it and beside it stay. The
    engine ``hnsw`` takes it as well, and does all or nothing.
    """

    request_id: _RequestId | None = None
    atomic: bool = True


class Upsert(Writing, frozen=True, kw_only=True):
    """``PUT …/vectors``."""

    vectors: Annotated[list[NewRow], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class PatchRow(Request, frozen=True, kw_only=True):
    """Members of ``metadata`` replace those of the row; null removes one."""

    id: _Id
    metadata: Metadata
    if_version: Annotated[int, msgspec.Meta(ge=0)] | None = None


class PatchRows(Writing, frozen=True, kw_only=True):
    """``PATCH …/vectors``."""

    vectors: Annotated[list[PatchRow], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class DeleteRows(Writing, frozen=True, kw_only=True):
    """``POST …/vectors/delete``: by ids or by filter, which the engine ``dynamodb`` does afterwards."""

    ids: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=MAX_ROWS)] | None = None
    filter: _Filter | None = None


class Read(Request, frozen=True, kw_only=True):
    """How fresh an answer must be: at most a second old, newer than anything acknowledged, or at a position."""

    consistency: Literal["bounded", "strong"] = "bounded"
    min_sequence: str | None = None


class Shown(Read, frozen=True, kw_only=True):
    """How values are given back: as lists of numbers, or packed as they may be sent (a quarter of the bytes)."""

    values_format: Literal["list", "f32"] = "list"


class Fetch(Shown, frozen=True, kw_only=True):
    """``POST …/vectors/fetch``."""

    ids: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class Count(Read, frozen=True, kw_only=True):
    """``POST …/count``."""

    filter: _Filter | None = None


class Query(Shown, frozen=True, kw_only=True):
    """``POST …/query``: exactly one of ``vector``, ``vectors`` and ``id``."""

    vector: VectorValues | None = None
    vectors: Annotated[list[VectorValues], msgspec.Meta(min_length=1, max_length=MAX_QUERIES)] | None = None
    id: _Id | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 10
    filter: _Filter | None = None
    include: list[Included] = []
    ef: Annotated[int, msgspec.Meta(ge=1, le=4000)] | None = None
    max_distance: float | None = None


class Scroll(Shown, frozen=True, kw_only=True):
    """``GET …/vectors``; ``filter`` is JSON text in the query string.

    Each page is one state of the collection. ``cursor`` pins a position: its page is of a state at least as new as the
    one before it, and no snapshot of that.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)] = 100
    cursor: str | None = None
    filter: _Filter | None = None
    include: list[Included] = msgspec.field(default_factory=lambda: ["metadata"])


class Export(Shown, frozen=True, kw_only=True):
    """``GET …/export``; ``filter`` is JSON text in the query string."""

    filter: _Filter | None = None
    include: list[Included] = msgspec.field(default_factory=lambda: ["values", "metadata"])


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A committed write. ``sequence`` is a position to read from."""

    sequence: str
    upserted: int | None = None
    patched: int | None = None
    deleted: int | None = None


class DeletionId(Request, frozen=True, kw_only=True):
    """What stands in the path of a call about one deletion."""

    id: Annotated[
        str,
        msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)", description="Deletions have ids of 32 hexadecimal digits"),
    ]


class Deletion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deletion by filter that goes on by itself. ``deleted`` rows so far; times in seconds since the epoch.

    ``FAILED``: it was tried often; the same request, with its ``request_id``, has it go on.
    """

    id: str
    state: Literal["RUNNING", "DONE", "FAILED"]
    deleted: int
    created_at: float
    reason: str | None = None


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """The name of what is no more."""

    deleted: str


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a query."""

    id: str
    distance: float
    values: VectorValues | None = None
    metadata: Metadata | None = None


class StoredRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row as it is stored. ``version`` is the sequence of its last change."""

    id: str
    version: int
    values: VectorValues | None = None
    metadata: Metadata | None = None
    expires_at: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one vector."""

    matches: list[Match]
    sequence: str


class MatchList(msgspec.Struct, frozen=True, kw_only=True):
    """One of several answers."""

    matches: list[Match]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to several vectors, in their order."""

    results: list[MatchList]
    sequence: str


class Rows(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows, and where to go on; no cursor on the last page."""

    vectors: list[StoredRow]
    sequence: str
    cursor: str | None = None


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows match."""

    count: int
    sequence: str


class Warmed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a collection is in the answering node's memory by now; if so, up to which position."""

    status: Literal["loaded", "loading"]
    sequence: str | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Size and state of a collection on the answering node.

    ``rows`` are those that reads find. ``expired`` ones take room until what holds them is written anew; those that no
    segment holds are among the ``unmerged_rows``.
    ``private_bytes`` of memory each of its processes has for it, about; ``mapped_bytes`` of files all of them share.
    With ``trouble`` (``log_corrupt``, ``log_gap``) it can be read as far as ``sequence`` says, and not be written to.
    """

    rows: int
    expired: int
    unmerged_rows: int
    segments: int
    private_bytes: int
    mapped_bytes: int
    sequence: str
    trouble: str | None = None


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field that has been declared and is not among the ``fields`` yet.

    ``building``: rows are being looked through, and filters that name it are refused. ``contradicted``: nothing came of
    it, since ``contradicting_rows`` hold another type; change or delete them, and declare it again.
    """

    type: FieldType
    state: Literal["building", "contradicted"]
    contradicting_rows: int | None = None


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """Where a collection is being moved to, or was, and how far that is."""

    to: str
    stage: Stage


class Described(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A collection for its owner. ``created_at`` in seconds since the epoch."""

    name: str
    dimension: int
    metric: Metric
    index: IndexSettings | None = None
    """None for an engine without such parameters."""
    fields: dict[str, FieldType]
    engine: str
    created_at: float
    home: str | None = None
    """Region in which it is written; None for an engine that is written in every one."""
    engine_class: str | None = None
    pending_fields: dict[str, Pending] = {}
    moving: Moving | None = None
    """Once that is ``done``, it takes no more writes."""
    filled_from: str | None = None
    """The collection of which a move makes it, as long as nobody else may write to it."""


class Collections(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tenant's collections by name, and where to go on; no cursor on the last page."""

    collections: list[Described]
    cursor: str | None = None


def describe(collection: Collection) -> Described:
    """``collection`` as its owner sees it."""
    settings: CollectionSettings = collection.settings
    moving, filling = collection.moving, collection.filling
    return Described(
        name=settings.name,
        dimension=settings.dimension,
        metric=settings.metric,
        index=None if settings.engine == DYNAMODB else settings.index,
        fields=dict(settings.fields),
        engine=settings.engine,
        created_at=collection.created_at,
        home=None if settings.engine == DYNAMODB else collection.home,
        engine_class=collection.engine_class,
        pending_fields={
            name: Pending(
                type=field.type,
                state="building" if field.is_building else "contradicted",
                contradicting_rows=field.contradicting,
            )
            for name, field in collection.pending.items()
        },
        moving=None if moving is None else Moving(to=moving.to, stage=moving.stage),
        filled_from=None if filling is None or filling.ready else filling.source,
    )


def vector_of(values: VectorValues, collection: Collection, *, field: str) -> Values:
    """``values`` as float32 (dimension,).

    :raises Problem: 400 for a wrong dimension, NaN, infinity, what overflows, or a zero vector under cosine.
    """
    if isinstance(values, Packed):
        try:
            vector = values.unpacked()
        except ValueError as error:
            raise invalid(f"Not base64 of float32 numbers: {error}.", field=f"{field}.f32") from None
    else:
        with np.errstate(over="ignore"):
            vector = np.asarray(values, dtype=np.float32)
    dimension = collection.settings.dimension
    if len(vector) != dimension:
        raise invalid(f"{len(vector)} numbers; {collection.name} takes {dimension}.", field=field)
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(vector.dot(vector))
    if not _SAFE_SQUARE[0] < square < _SAFE_SQUARE[1]:  # which NaN and infinity are not, either
        _check_length(vector, collection, field=field)
    return vector


def vectors_of(rows: Sequence[VectorValues], collection: Collection, *, field: str) -> Values:
    """``rows`` as float32 (n, dimension), as `vector_of` makes each of them; ``field`` has a ``{}`` for the number.

    :raises Problem: 400 as there, for the first row that is none.
    """
    vectors = _all_packed(rows, collection.settings.dimension)
    if vectors is not None:
        return vectors
    return np.stack([vector_of(row, collection, field=field.format(number)) for number, row in enumerate(rows)])


def _all_packed(rows: Sequence[VectorValues], dimension: int) -> Values | None:
    """All rows at once; None where one of them wants to be looked at alone."""
    size = 4 * dimension
    try:
        packed = [pybase64.b64decode(row.f32, validate=True) for row in rows if isinstance(row, Packed)]
    except (binascii.Error, ValueError):
        return None
    if len(packed) < len(rows) or any(len(row) != size for row in packed):
        return None
    vectors = np.frombuffer(b"".join(packed), _FLOATS).astype(np.float32, copy=False).reshape(-1, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors)
    return vectors if ((squares > _SAFE_SQUARE[0]) & (squares < _SAFE_SQUARE[1])).all() else None


def _check_length(vector: Values, collection: Collection, *, field: str) -> None:
    if not np.isfinite(vector).all():
        raise invalid("NaN, infinity and what float32 cannot hold are no values.", field=field)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length > LONGEST:
        raise invalid(f"A vector of length {length:.3g}; distances go up to {LONGEST:.3g}.", field=field)
    if collection.settings.metric is Metric.COSINE and length < SHORTEST:
        raise invalid(f"A vector of length {length:.3g} has no direction; cosine cannot compare it.", field=field)


def check_row_id(row_id: str, *, field: str) -> None:
    """Refuse an id that is empty, over 512 bytes of UTF-8, or with a lone surrogate.

    :raises Problem: 400.
    """
    try:
        size = len(row_id.encode())
    except UnicodeEncodeError:
        raise invalid("An id is UTF-8 text.", field=field) from None
    if not size:
        raise invalid("An id has at least one character.", field=field)
    if size > MAX_ID_BYTES:
        raise invalid(f"{size} bytes; an id takes at most {MAX_ID_BYTES}.", field=field)


def can_be_an_id(text: str) -> bool:
    """Whether a row can have it."""
    try:
        check_row_id(text, field="id")
    except Problem:
        return False
    return True


def check_metadata(metadata: Metadata, collection: Collection, *, field: str) -> int:
    """Refuse metadata that is too large or against the declared types; returns its bytes as JSON.

    :raises Problem: 400 or 413.
    """
    for name, value in metadata.items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, int) and not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise invalid("Integers go to ±(2^53 − 1), as JSON's do; use a string.", field=f"{field}.{name}")
    size = check_metadata_size(metadata, field=field)
    for name, declared in collection.enforced.items():
        if name in metadata and not matches_type(metadata[name], declared):
            raise invalid(f"{collection.name} declares {name} as {declared}.", field=f"{field}.{name}")
    return size


def check_names(names: Iterable[str], *, field: str) -> None:
    """Refuse names of fields that no filter could name.

    :raises Problem: 400.
    """
    for name in names:
        if name.startswith("$"):
            raise invalid("Names that begin with $ are filters' operators, not fields'.", field=f"{field}.{name}")


def check_metadata_size(metadata: Metadata, *, field: str) -> int:
    """Refuse metadata that is too large; returns its bytes as JSON.

    :raises Problem: 413.
    """
    size = len(msgspec.json.encode(metadata))
    if size > MAX_METADATA_BYTES:
        raise too_large(f"{size} bytes; a row's metadata takes at most {MAX_METADATA_BYTES}.", field=field)
    return size


def check_expiry(moment: float | None, *, field: str) -> None:
    """Refuse an expiry that is no moment.

    :raises Problem: 400.
    """
    if moment is not None and not 0 <= moment < 2**40:
        raise invalid("Seconds since the epoch.", field=field)


def position_of(text: str, *, field: str = "min_sequence") -> Position:
    """Read a caller's position.

    :raises Problem: 400.
    """
    try:
        return Position.parse(text)
    except ValueError:
        raise invalid("A position is what an answer's 'sequence' held.", field=field) from None
