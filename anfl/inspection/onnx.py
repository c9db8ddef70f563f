"""Recognises ONNX models by their wire format: a protobuf ``ModelProto`` with a graph and operator sets.

Only the message's outer structure and references to other files are looked at, without building the graph.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from anfl.inspection.report import Finding, reject
from anfl.inspection.streams import Cursor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_GRAPH, _OPSETS = 7, 8
_INITIALIZER, _SPARSE_INITIALIZER = 5, 15
_EXTERNAL_DATA = 13
_MAX_REFERENCE = 65_536


@dataclass(frozen=True)
class _Field:
    number: int
    wire: int
    length: int
    """Of the payload in bytes, for ``_BYTES``."""


def looks_like(head: bytes) -> bool:
    """Whether a file that begins with ``head`` may be an ONNX model: ``ir_version``, then a known field."""
    return len(head) >= 4 and head[0] == 0x08 and 1 <= head[1] <= 30 and (head[2] >> 3) in _MODEL_FIELDS


def model(cursor: Cursor, *, size: int, tick: Callable[[], None]) -> list[Finding]:
    """What is wrong with an ONNX model of ``size`` bytes.

    :raises Finding: it cannot be read.
    """
    findings: list[Finding] = []
    seen: set[int] = set()
    for field in _fields(cursor, size):
        tick()
        if field.number not in _MODEL_FIELDS:
            raise reject("malformed", f"an ONNX model has no field {field.number}")
        seen.add(field.number)
        if field.number == _GRAPH and field.wire == _BYTES:
            findings += _graph(cursor, field.length, tick)
        elif field.wire == _BYTES:
            cursor.skip(field.length)
    if not {_GRAPH, _OPSETS} <= seen:
        raise reject("malformed", "an ONNX model needs a graph and operator sets")
    return findings


def _graph(cursor: Cursor, size: int, tick: Callable[[], None]) -> Iterator[Finding]:
    for field in _fields(cursor, size):
        tick()
        if field.number == _INITIALIZER and field.wire == _BYTES:
            yield from _tensor(cursor, field.length)
        elif field.wire == _BYTES:
            cursor.skip(field.length)


def _tensor(cursor: Cursor, size: int) -> Iterator[Finding]:
    for field in _fields(cursor, size):
        if field.number == _EXTERNAL_DATA and field.wire == _BYTES and field.length <= _MAX_REFERENCE:
            entry = cursor.read(field.length)
            if re.search(rb"(?:^|[/\\\x00-\x1f])\.\.(?:[/\\]|$)", entry) or re.search(rb"\x12.[/\\]", entry, re.DOTALL):
                yield reject("path_escape", "a tensor's external data lies outside the model's folder")
        elif field.wire == _BYTES:
            cursor.skip(field.length)


def _fields(cursor: Cursor, size: int) -> Iterator[_Field]:
    """The fields of a message of ``size`` bytes; the consumer reads or skips the payload of ``_BYTES`` fields."""
    left = size
    while left > 0:
        tag, used = _varint(cursor)
        left -= used
        number, wire = tag >> 3, tag & 7
        length = 0
        match wire:
            case 0:
                _, used = _varint(cursor)
                left -= used
            case 1 | 5:
                width = 8 if wire == _FIXED64 else 4
                cursor.skip(width)
                left -= width
            case 2:
                length, used = _varint(cursor)
                left -= used + length
            case _:
                raise reject("malformed", f"no protobuf field has wire type {wire}")
        if number == 0 or left < 0:
            raise reject("truncated" if left < 0 else "malformed", "a protobuf field reaches beyond its message")
        yield _Field(number, wire, length)


def _varint(cursor: Cursor) -> tuple[int, int]:
    value = 0
    for used in range(10):
        byte = cursor.read(1)[0]
        value |= (byte & 0x7F) << (7 * used)
        if byte < 0x80:
            return value, used + 1
    raise reject("malformed", "a protobuf number has more than 10 bytes")
