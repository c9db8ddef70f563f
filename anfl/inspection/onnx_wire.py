"""ONNX models by their wire format (protobuf): read as a stream, in little memory whatever their size.

`skeleton` is the model without the large tensors of its graph, which take nearly all of a file. What is left is small
enough for the library.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from anfl.inspection.codes import Code, Finding
from anfl.inspection.streams import Cursor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_GRAPH, _OPSETS = 7, 8
_INITIALIZER = 5
_DIMS, _TYPE, _RAW, _EXTERNAL, _PLACE = 1, 2, 9, 13, 14
_DATA = frozenset({4, 5, 6, 7, _RAW, 10, 11})
"""Members of a tensor that hold its values."""
_KEPT_BYTES = 1024
"""Of a tensor: smaller ones may be shapes, which the library reads."""
_SKELETON_BYTES = 128 * 1024**2
_BITS = (
    {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16}
    | dict.fromkeys((17, 18, 19, 20, 24), 8)
    | dict.fromkeys((21, 22, 23), 4)
    | dict.fromkeys((25, 26), 2)
)
"""``TensorProto.DataType`` → bits of an element."""


@dataclass(frozen=True)
class _Field:
    number: int
    wire: int
    value: int
    """A number; of ``_BYTES``, the payload's length, which the consumer reads or skips."""


def looks_like(head: bytes) -> bool:
    """Whether a file that begins with ``head`` may be an ONNX model: ``ir_version``, then a known field."""
    return len(head) >= 4 and head[0] == 0x08 and 1 <= head[1] <= 30 and (head[2] >> 3) in _MODEL_FIELDS


def skeleton(cursor: Cursor, *, size: int, placeholder: str, tick: Callable[[], None]) -> bytes:
    """An ONNX model of ``size`` bytes without large initializers: they become external data in ``placeholder``.

    :raises Finding: it cannot be read, or too much is left.
    """
    out = bytearray()
    seen: set[int] = set()
    for field in _fields(cursor, size, tick):
        if field.number not in _MODEL_FIELDS:
            raise Finding(Code.MALFORMED, f"an ONNX model has no field {field.number}")
        seen.add(field.number)
        if field.number == _GRAPH and field.wire == _BYTES:
            _put_bytes(out, _GRAPH, _graph(cursor, field.value, placeholder, tick))
        else:
            _copy(cursor, field, out)
    if not {_GRAPH, _OPSETS} <= seen:
        raise Finding(Code.MALFORMED, "an ONNX model needs a graph and operator sets")
    return bytes(out)


def _graph(cursor: Cursor, size: int, placeholder: str, tick: Callable[[], None]) -> bytearray:
    out = bytearray()
    for field in _fields(cursor, size, tick):
        if field.number == _INITIALIZER and field.wire == _BYTES:
            _put_bytes(out, _INITIALIZER, _tensor(cursor, field.value, placeholder, tick))
        else:
            _copy(cursor, field, out)
    return out


def _tensor(cursor: Cursor, size: int, placeholder: str, tick: Callable[[], None]) -> bytearray:
    out = bytearray()
    raw: int | None = None
    for field in _fields(cursor, size, tick):
        if field.number in _DATA and field.wire == _BYTES and field.value > _KEPT_BYTES:
            if raw is not None:
                raise Finding(Code.MALFORMED, "an ONNX tensor has two values")
            raw = field.value if field.number == _RAW else -1
            cursor.skip(field.value)
        else:
            _copy(cursor, field, out)
    if raw is not None:
        if raw >= 0:
            _check_size(bytes(out), raw)
        entry = bytearray()
        _put_bytes(entry, 1, b"location")
        _put_bytes(entry, 2, placeholder.encode())
        _put_bytes(out, _EXTERNAL, entry)
        _put(out, (_PLACE << 3) | _VARINT)
        _put(out, 1)
    return out


def _check_size(tensor: bytes, length: int) -> None:
    """:raises Finding: the raw values do not fill the tensor's shape."""
    from onnx import TensorProto

    try:
        proto = TensorProto.FromString(tensor)
    except Exception as error:
        raise Finding(Code.MALFORMED, f"an ONNX tensor cannot be read: {error}") from None
    bits = _BITS.get(proto.data_type)
    expected = None if bits is None else -(-math.prod(proto.dims) * bits // 8)
    if expected is not None and expected != length:
        code = Code.TRUNCATED if length < expected else Code.MALFORMED
        raise Finding(code, f"the tensor {proto.name!r} needs {expected} bytes and has {length}")


def _copy(cursor: Cursor, field: _Field, out: bytearray) -> None:
    _put(out, (field.number << 3) | field.wire)
    match field.wire:
        case 0:
            _put(out, field.value)
        case 1 | 5:
            out += field.value.to_bytes(8 if field.wire == _FIXED64 else 4, "little")
        case _:
            if len(out) + field.value > _SKELETON_BYTES:
                raise Finding(Code.TOO_COMPLEX, f"an ONNX graph of more than {_SKELETON_BYTES} bytes without weights")
            _put(out, field.value)
            out += cursor.read(field.value)


def _put_bytes(out: bytearray, number: int, content: bytes | bytearray) -> None:
    _put(out, (number << 3) | _BYTES)
    _put(out, len(content))
    out += content


def _put(out: bytearray, value: int) -> None:
    """A varint."""
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)


def _fields(cursor: Cursor, size: int, tick: Callable[[], None]) -> Iterator[_Field]:
    """The fields of a message of ``size`` bytes; the consumer reads or skips the payload of ``_BYTES`` fields."""
    left = size
    while left > 0:
        tick()
        tag, used = _varint(cursor)
        left -= used
        number, wire = tag >> 3, tag & 7
        match wire:
            case 0 | 2:
                value, used = _varint(cursor)
                left -= used + (value if wire == _BYTES else 0)
            case 1 | 5:
                width = 8 if wire == _FIXED64 else 4
                value = int.from_bytes(cursor.read(width), "little")
                left -= width
            case _:
                raise Finding(Code.MALFORMED, f"no protobuf field has wire type {wire}")
        if left < 0:
            raise Finding(Code.TRUNCATED, "a protobuf field reaches beyond its message")
        if number == 0:
            raise Finding(Code.MALFORMED, "a protobuf field has no number")
        yield _Field(number, wire, value)


def _varint(cursor: Cursor) -> tuple[int, int]:
    value = 0
    for used in range(10):
        byte = cursor.read(1)[0]
        value |= (byte & 0x7F) << (7 * used)
        if byte < 0x80:
            return value, used + 1
    raise Finding(Code.MALFORMED, "a protobuf number has more than 10 bytes")
