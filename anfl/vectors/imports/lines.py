"""Rows that stand in JSON lines, with their values or with an array beside them."""

from binascii import b2a_base64
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from anfl.decoding import parse
from anfl.problems import Problem, invalid
from anfl.vectors.imports.model import RowError, short
from anfl.vectors.model import Metadata, Values
from anfl.vectors.requests import NewRow, Packed, Request


class Candidate(NamedTuple):
    """A row of a file, or why it is none; ``size`` in bytes, about."""

    number: int
    size: int
    row: NewRow | RowError


class _Whole(NewRow, frozen=True, kw_only=True):
    """A line with values. As an export has it, it may tell a version, which means nothing here."""

    version: int | None = None


class _Beside(Request, frozen=True, kw_only=True):
    """A line whose values stand in an array."""

    id: str
    values: Any = None
    metadata: Metadata = msgspec.field(default_factory=dict)
    expires_at: float | None = None
    if_version: int | None = None
    version: int | None = None


def rows_of(text: bytes, *, first_row: int, values: Values | None = None) -> Iterator[Candidate]:
    """The rows of ``text``, whole lines of which the first is row ``first_row``; ``values`` (n, dimension) of them."""
    lines = (line for line in text.split(b"\n") if line.strip())
    for index, line in enumerate(lines):
        number, size = first_row + index, len(line)
        try:
            if values is None:
                row: NewRow = _whole(line)
            else:
                row, size = _beside(line, values[index]), size + values[index].nbytes
            yield Candidate(number, size, row)
        except Problem as problem:
            yield Candidate(number, size, row_error(number, problem))


def row_error(number: int, problem: Problem) -> RowError:
    """Why row ``number`` is none."""
    field = (problem.field or "").removeprefix("vectors[0].") or None
    return RowError(row=number, detail=short(problem.detail), field=None if field is None else short(field))


def _whole(line: bytes) -> NewRow:
    found = parse(line, _Whole, what="line")
    _refuse_condition(found.if_version)
    return NewRow(id=found.id, values=found.values, metadata=found.metadata, expires_at=found.expires_at)


def _beside(line: bytes, values: Values) -> NewRow:
    found = parse(line, _Beside, what="line")
    _refuse_condition(found.if_version)
    if found.values is not None:
        raise invalid("The values of this import stand in the array.", field="values")
    return NewRow(id=found.id, values=Packed(**packed(values)), metadata=found.metadata, expires_at=found.expires_at)


def packed(values: Values) -> dict[str, str]:
    """``values`` as base64 of little-endian float32 numbers."""
    return {"f32": b2a_base64(values.astype("<f4"), newline=False).decode()}


def _refuse_condition(version: int | None) -> None:
    if version is not None:
        raise invalid("An import takes no conditions.", field="if_version")
