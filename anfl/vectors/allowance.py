"""How much one answer may hold: a query can ask for far more than a node, or its caller, can take."""

from binascii import b2a_base64
from collections.abc import Collection, Iterable
from typing import Protocol

import msgspec

from anfl.problems import Problem, invalid
from anfl.vectors.model import Metadata, Values
from anfl.vectors.requests import MAX_K, Packed, Query, VectorValues

ANSWER_BYTES = 9 * 2**20
"""Most bytes of values and metadata in one answer, about. API Gateway passes on 10 MB, ids and names included, and what
is larger becomes an error of a server."""
_NUMBER_BYTES = 20
"""About what a float32 takes as JSON."""
_PACKED_NUMBER_BYTES = 6
"""What it takes as base64, rounded up."""
_MATCH_BYTES = 45
"""What a match takes beside its id: names, and a distance."""


class Readable(Protocol):
    """A row; what belongs to it may be read when it is asked for."""

    @property
    def values(self) -> Values:
        """The caller's numbers, shape (dimension,)."""

    @property
    def metadata(self) -> Metadata:
        """Its metadata; not to be changed."""


class Allowance:
    """Hands out what an answer includes of its rows until that is too much."""

    def __init__(self, include: Collection[str], *, packed: bool = False) -> None:
        """:param packed: values are base64 instead of lists."""
        self._packed = packed
        self._values = "values" in include
        self._metadata = "metadata" in include
        self._left = ANSWER_BYTES

    def most_rows(self, dimension: int) -> int:
        """At most so many rows fit into it, whatever their metadata, of an answer that has their values."""
        return max(self._left // (self._number_bytes * dimension), 1)

    def has_room(self, row: Readable) -> bool:
        """Whether `take` can hand out ``row``."""
        return self._size(row) <= self._left

    def take(self, row: Readable, *, field: str) -> tuple[VectorValues | None, Metadata | None]:
        """Values and metadata of ``row``, each None unless it is included.

        :raises Problem: 400 ``answer_too_large``.
        """
        size = self._size(row)
        if size > self._left:
            raise _too_large(field)
        self._left -= size
        return self._shown(row) if self._values else None, row.metadata if self._metadata else None

    def take_ids(self, ids: Iterable[str], request: Query) -> None:
        """Count the ids and distances of matches, where those of many queries may be far more than fit beside it.

        :raises Problem: 400 ``answer_too_large``.
        """
        if len(request.vectors or ()) * request.k <= MAX_K:
            return
        self._left -= sum(len(row_id) + _MATCH_BYTES for row_id in ids)
        if self._left < 0:
            raise _too_large("k")

    def _shown(self, row: Readable) -> VectorValues:
        if not self._packed:
            numbers: list[float] = row.values.tolist()
            return numbers
        return Packed(f32=b2a_base64(row.values.astype("<f4"), newline=False).decode())

    @property
    def _number_bytes(self) -> int:
        return _PACKED_NUMBER_BYTES if self._packed else _NUMBER_BYTES

    def _size(self, row: Readable) -> int:
        size = self._number_bytes * len(row.values) if self._values else 0
        return size + (len(msgspec.json.encode(row.metadata)) if self._metadata else 0)


def _too_large(field: str) -> Problem:
    detail = f"The answer would be larger than {ANSWER_BYTES} bytes; ask for fewer rows, or for less of each."
    return invalid(detail, field=field, code="answer_too_large")
