"""Pickle opcodes that only make values: numbers, texts, bytes, and collections of what is on the stack."""

import codecs
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.machine import KEPT_ITEMS, UNKNOWN, Machine, Several, merge
from anfl.inspection.streams import Cursor

_LINE_BYTES = 65_536
"""Of a line that are kept. Lines have no limit: what is longer is no name and no number that matters."""
_KEPT_TEXT = 512
"""Texts longer than this are no names of modules."""
_KEPT_DIGITS = 20
_KEPT_LONG = 64
_HUGE: Final = 1 << 512
"""For a number of more digits or bytes than are kept: what matters of it is that it is large."""
_BYTES = {"BINBYTES": 4, "BINBYTES8": 8, "BYTEARRAY8": 8, "SHORT_BINBYTES": 1}
"""Payloads whose content does not matter: width of their count in bytes."""
_TEXTS = {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8, "SHORT_BINSTRING": 1, "BINSTRING": 4}
_LONGS = {"LONG1": 1, "LONG4": 4}
_INTEGERS = {"BININT": 4, "BININT1": 1, "BININT2": 2}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def line(cursor: Cursor) -> str:
    """A line of a pickle, as it stands there, or how a very long one begins.

    :raises Finding: it does not end.
    """
    return cursor.line(_LINE_BYTES).decode("utf-8", errors="replace")


def memo_index(cursor: Cursor) -> int:
    """The index in a line: C takes blanks, signs and underscores, and all up to a zero byte.

    :raises Finding: it is none.
    """
    digits = cursor.line(_LINE_BYTES).partition(b"\0")[0]
    try:
        index = int(digits)
    except ValueError:
        index = -1
    if index < 0:
        raise Finding(Code.MALFORMED, "a pickle's memo index is no number")
    return index


def count(cursor: Cursor, width: int) -> int:
    """A length or index of ``width`` bytes.

    :raises Finding: the pickle ends before.
    """
    return int.from_bytes(cursor.read(width), "little")


def push_value(name: str, cursor: Cursor, machine: Machine) -> None:
    """Do what the opcode ``name`` does.

    :raises Finding: the pickle is malformed, or ends before.
    """
    if name in _TEXTS:
        machine.push(_text(cursor, count(cursor, _TEXTS[name])))
    elif name in _BYTES:
        cursor.skip(count(cursor, _BYTES[name]))
        machine.push(UNKNOWN)
    elif name in _CONSTANTS:
        machine.push(_CONSTANTS[name])
    elif name in _INTEGERS:
        machine.push(int.from_bytes(cursor.read(_INTEGERS[name]), "little", signed=name == "BININT"))
    elif name in _LONGS:
        machine.push(_long(cursor, count(cursor, _LONGS[name])))
    elif name == "BINFLOAT":
        cursor.read(8)
        machine.push(UNKNOWN)
    elif name in _LINES:
        machine.push(_LINES[name](cursor.line(_LINE_BYTES)))
    else:
        _collect(name, machine)


def _string(raw: bytes) -> object:
    """Protocol 0 writes byte strings as Python source, quoted and escaped."""
    if len(raw) >= _LINE_BYTES:
        return UNKNOWN
    if len(raw) < 2 or raw[:1] not in b"'\"" or raw[:1] != raw[-1:]:
        raise Finding(Code.MALFORMED, "a pickle's string has no quotes")
    try:
        decoded, _ = codecs.escape_decode(raw[1:-1])
    except ValueError:
        raise Finding(Code.MALFORMED, "a pickle's string cannot be read") from None
    return _short(bytes(decoded).decode("utf-8", errors="replace"))


def _unicode(raw: bytes) -> object:
    if len(raw) >= _LINE_BYTES:
        return UNKNOWN
    try:
        return _short(raw.decode("raw-unicode-escape"))
    except ValueError:
        raise Finding(Code.MALFORMED, "a pickle's text cannot be read") from None


def _integer(raw: bytes) -> object:
    """C takes what begins like a number of its own (``0x10``, ``010``, nothing), and Python what is one of its own."""
    digits = raw.removesuffix(b"L").partition(b"\0")[0].strip()
    if raw in (b"00", b"01"):
        return raw == b"01"
    if len(digits) > _KEPT_DIGITS:
        return _HUGE
    for base in (0, 8, 10):
        with suppress(ValueError):
            return int(digits, base)
    return UNKNOWN


_LINES: dict[str, Callable[[bytes], object]] = {
    "STRING": _string,
    "UNICODE": _unicode,
    "INT": _integer,
    "LONG": _integer,
    "FLOAT": lambda _: UNKNOWN,
}


def _long(cursor: Cursor, length: int) -> int:
    if length > _KEPT_LONG:
        cursor.skip(length)
        return _HUGE
    return int.from_bytes(cursor.read(length), "little", signed=True)


def _text(cursor: Cursor, length: int) -> object:
    if length > _KEPT_TEXT:
        cursor.skip(length)
        return UNKNOWN
    return cursor.read(length).decode("utf-8", errors="replace")


def _short(text: str) -> object:
    return text if len(text) <= _KEPT_TEXT else UNKNOWN


def _collect(name: str, machine: Machine) -> None:
    match name:
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            items = [machine.pop() for _ in range(int(name[-1]))]
            machine.push(tuple(reversed(items)))
        case "TUPLE":
            values = machine.group()
            machine.push(tuple(values) if len(values) <= KEPT_ITEMS else UNKNOWN)
        case "EMPTY_LIST" | "EMPTY_SET":
            machine.push(Several())
        case "LIST" | "FROZENSET":
            machine.push(Several(len(machine.group())))
        case "EMPTY_DICT":
            machine.push({})
        case "DICT":
            machine.push(merge({}, machine.group()))
        case _:
            raise Finding(Code.MALFORMED, f"unexpected pickle opcode {name}")
