"""How much one answer may hold: a query can ask for far more than a node, or its caller, can take."""

from collections.abc import Collection

import msgspec

from anfl.problems import Problem, invalid
from anfl.vectors.engine.view import Found
from anfl.vectors.model import Metadata

ANSWER_BYTES = 32 * 2**20
"""Most bytes of values and metadata in one answer; API Gateway passes on 10 MB."""
_NUMBER_BYTES = 20
"""About what a float32 takes as JSON."""


class Allowance:
    """Hands out what an answer includes of its rows until that is too much."""

    def __init__(self, include: Collection[str]) -> None:
        self._values = "values" in include
        self._metadata = "metadata" in include
        self._left = ANSWER_BYTES

    def has_room(self, row: Found) -> bool:
        """Whether `take` can hand out ``row``."""
        return self._size(row) <= self._left

    def take(self, row: Found, *, field: str) -> tuple[list[float] | None, Metadata | None]:
        """Values and metadata of ``row``, each None unless it is included.

        :raises Problem: 400 ``answer_too_large``.
        """
        size = self._size(row)
        if size > self._left:
            raise _too_large(field)
        self._left -= size
        return row.values.tolist() if self._values else None, row.metadata if self._metadata else None

    def _size(self, row: Found) -> int:
        size = _NUMBER_BYTES * len(row.values) if self._values else 0
        return size + (len(msgspec.json.encode(row.metadata)) if self._metadata else 0)


def _too_large(field: str) -> Problem:
    detail = f"The answer would be larger than {ANSWER_BYTES} bytes; ask for fewer rows, or for less of each."
    return invalid(detail, field=field, code="answer_too_large")
