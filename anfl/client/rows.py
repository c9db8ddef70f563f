"""Rows as they are sent and come back: values are NumPy arrays of float32."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from anfl.client.errors import UnsendableError
from anfl.client.finite import check_finite
from anfl.vectors.model import Metadata
from anfl.vectors.requests import MAX_ROWS

Values = NDArray[np.float32]
Sent = Mapping[str, Any]
"""A row as the API takes it, for those who have it so."""
BATCH_ROWS = 500
BATCH_BYTES = 8_000_000
"""API Gateway takes 10 MB; a row larger than this still makes a request of its own, for the API to judge."""


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row to store. ``expires_at`` in seconds since the epoch; ``if_version`` 0 demands that it is new."""

    id: str
    values: ArrayLike
    metadata: Metadata = field(default_factory=dict)
    expires_at: float | None = None
    if_version: int | None = None

    def sent(self) -> dict[str, Any]:
        """As the API takes it.

        :raises ValueError: the values are no vector.
        """
        members = {"metadata": self.metadata or None, "expires_at": self.expires_at, "if_version": self.if_version}
        return {"id": self.id, "values": packed(self.values), **present(members)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A stored row. ``version`` grows with each change; ``values`` (dimension,)."""

    id: str
    version: int
    values: Values | None = None
    metadata: Metadata | None = None
    expires_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Match:
    """One answer of a query, the nearest first."""

    id: str
    distance: float
    values: Values | None = None
    metadata: Metadata | None = None


def new_rows(ids: Sequence[str], values: ArrayLike, metadata: Sequence[Metadata] | None = None) -> Iterator[NewRow]:
    """Rows from columns: ``values`` (n, dimension), memory-mapped or not, is read row by row.

    :raises ValueError: the columns are not equally long.
    """
    array = np.asarray(values)
    if array.ndim != 2 or len(array) != len(ids) or (metadata is not None and len(metadata) != len(ids)):
        raise ValueError(f"{len(ids)} ids, values of shape {array.shape}: one row of values, and metadata, for each id")
    for index, row_id in enumerate(ids):
        yield NewRow(id=row_id, values=array[index], metadata={} if metadata is None else metadata[index])


def as_sent(row: NewRow | Sent) -> Sent:
    """``row`` as the API takes it.

    :raises ValueError: the values are no vector, or a number beside them is not finite.
    """
    sent = row.sent() if isinstance(row, NewRow) else row
    for name in ("metadata", "expires_at", "if_version"):
        check_finite(sent.get(name), f"row {sent.get('id')!r}: {name}")
    return sent


def batches(rows: Iterable[NewRow | Sent], *, size: int = BATCH_ROWS) -> Iterator[list[msgspec.Raw]]:
    """Encoded rows, at most ``size`` and about `BATCH_BYTES` at a time.

    :raises ValueError: ``size`` is more than a request takes, or a row is none, see `as_sent`.
    :raises UnsendableError: see `encoded`.
    """
    if not 1 <= size <= MAX_ROWS:
        raise ValueError(f"{size} rows a batch; a request takes 1 to {MAX_ROWS}")
    block: list[msgspec.Raw] = []
    block_bytes = 0
    for row in rows:
        sent = as_sent(row)
        text = encoded(sent, f"row {sent.get('id')!r}")
        if block and (len(block) == size or block_bytes + len(text) > BATCH_BYTES):
            yield block
            block, block_bytes = [], 0
        block.append(msgspec.Raw(text))
        block_bytes += len(text)
    if block:
        yield block


def encoded(document: object, what: str) -> bytes:
    """``document`` as JSON.

    :param what: it is, for whoever gave it.
    :raises UnsendableError: it holds what JSON has not, or half a character (a lone surrogate), which no UTF-8 can say.
    """
    try:
        return msgspec.json.encode(document, enc_hook=_scalar)
    except (TypeError, UnicodeEncodeError) as error:
        raise UnsendableError(f"{what} cannot be sent: {error}") from error


def _scalar(value: object) -> object:
    """One of NumPy's, as Python has it."""
    match value:
        case np.floating():
            return float(value)
        case np.integer() | np.bool_() | np.str_():
            return value.item()
        case _:
            raise TypeError(f"JSON has nothing like {type(value).__name__}")


def packed(values: ArrayLike) -> dict[str, str]:
    """``values`` (dimension,) as base64 of little-endian float32.

    :raises ValueError: they have another shape, or are no real numbers.
    """
    array = np.asarray(values)
    no_vector = f"values of shape {array.shape} and type {array.dtype}; a vector is a row of real numbers"
    if array.ndim != 1 or array.dtype.kind not in "biufO":  # text and dates NumPy would make numbers of
        raise ValueError(no_vector)
    if array.dtype.kind == "O":
        try:
            array = np.array([float(each) for each in array])
        except (TypeError, ValueError, OverflowError):
            raise ValueError(no_vector) from None
    return {"f32": b2a_base64(np.ascontiguousarray(array, dtype="<f4").tobytes(), newline=False).decode()}


def unpacked(values: Mapping[str, str] | None) -> Values | None:
    """What `packed` made, or None for nothing."""
    return None if values is None else np.frombuffer(a2b_base64(values["f32"]), dtype="<f4").astype(np.float32)


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """``members`` without those that are None."""
    return {name: value for name, value in members.items() if value is not None}
