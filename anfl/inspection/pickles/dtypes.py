"""NumPy's types as pickles make them: from a text, and a state that may say something else."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.machine import NEVER, Global, Instance

DTYPE = Global("numpy", "dtype")
_PLAIN = re.compile(r"[|<>=]?[biufcSUVOmM][0-9]+(?:\[\w+\])?", re.ASCII)
"""What NumPy writes, of one size everywhere: the rest of a type (names, parts) stands in the state."""
_OF_OBJECTS = 1 | 2 | 8 | 16
"""Flags of a type whose values hold objects: they are counted, and pickled as such; without, bytes become pointers."""
_HAS_OBJECT = 1 | 2
"""Those of them that no other type has."""
_PARTS, _NAMES, _FIELDS, _SIZE, _ALIGNMENT, _FLAGS = 2, 3, 4, 5, 6, 7
"""Places in the state: the type and shape of parts, names, fields by name, size and alignment in bytes, flags."""
_ALIGNMENTS = (-1, 1, 2, 4, 8, 16)
"""Of whatever NumPy has; it divides by them."""
_STATE = (8, 9)
"""How many members it has."""
_DATES = (9,)
"""The same of types of dates and durations: the last one is their unit, without which NumPy reads from nowhere."""


@dataclass(frozen=True)
class Type:
    """What a reader takes it for: ``size`` in bytes of one value, and whether values are pickled objects."""

    size: int
    has_object: bool


def size_of(value: object) -> int:
    """Bytes of one value, of what a pickle gives for a type: the larger one where it says two; 1 for anything else."""
    text, stated = value, 1
    if isinstance(value, Instance) and value.of == DTYPE and isinstance(value.arguments, tuple):
        text = next(iter(value.arguments), None)
        if isinstance(value.state, tuple) and len(value.state) > _SIZE and isinstance(value.state[_SIZE], int):
            stated = value.state[_SIZE]
    if not isinstance(text, str):
        return max(1, stated)
    try:
        return max(1, stated, np.dtype(text).itemsize)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        return max(1, stated)


def type_of(value: object) -> Type | None:
    """The type that a pickled ``numpy.dtype(...)`` is; None where it is none that NumPy itself would write.

    Parts of it were judged when they got their state.

    :raises RecursionError: it is part of itself.
    """
    if not isinstance(value, Instance) or value.of != DTYPE or not isinstance(value.arguments, tuple):
        return None
    if isinstance(value.told, Type):
        return value.told
    text = next(iter(value.arguments), None)
    if not isinstance(text, str) or _PLAIN.fullmatch(text) is None:
        return None
    try:
        dtype: np.dtype[Any] = np.dtype(text)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        return None
    plain = Type(dtype.itemsize, dtype.hasobject)
    return plain if value.state is NEVER else _stated(dtype.kind, plain, value.state)


def _stated(kind: str, plain: Type, state: object) -> Type | None:
    """The type with a state, where both say the same."""
    if not isinstance(state, tuple) or len(state) not in (_DATES if kind in "mM" else _STATE):
        return None
    size, flags = state[_SIZE], state[_FLAGS]
    if not isinstance(flags, int) or size not in (-1, plain.size) or (size == -1 and kind in "SUV"):
        return None
    if state[_ALIGNMENT] not in _ALIGNMENTS:
        return None
    parts = _parts(state, plain.size)
    if parts is None or (parts and kind != "V"):
        return None
    held = plain.has_object or any(part.has_object for part in parts)
    if flags & (_OF_OBJECTS if held else _HAS_OBJECT) != (_OF_OBJECTS if held else 0):
        return None
    return Type(plain.size, held)


def _parts(state: tuple[object, ...], size: int) -> list[Type] | None:
    """The types of what a value of that many bytes consists of; None where that is not told as NumPy tells it."""
    parts, names, fields = state[_PARTS], state[_NAMES], state[_FIELDS]
    if parts is not None:
        return _repeated(parts, size)
    if names is None and fields is None:
        return []
    if not isinstance(names, tuple) or not isinstance(fields, dict):
        return None
    if not all(isinstance(name, str) for name in (*names, *fields)) or not {*names} <= fields.keys():
        return None
    found: dict[str, tuple[int, Type]] = {}
    for name, field in fields.items():
        if not isinstance(field, tuple) or len(field) not in (2, 3):
            return None
        if name not in names and not (isinstance(field[-1], str) and field[-1] == name):  # a title
            return None
        part, offset = type_of(field[0]), field[1]
        if part is None or not isinstance(offset, int) or not 0 <= offset <= size - part.size:
            return None
        found[name] = (offset, part)
    return _beside_each_other([found[name] for name in names], found.values())


def _beside_each_other(named: Sequence[tuple[int, Type]], told: Iterable[tuple[int, Type]]) -> list[Type] | None:
    """The types of fields; None where an object shares bytes with another field, which would write over its address.

    :param told: by names and by titles, which stand for a name's.
    """
    parts = [part for _, part in told]
    if any(part.has_object for part in parts):
        placed = sorted((offset, offset + part.size) for offset, part in named)
        if not {*told} <= {*named} or any(end > begin for (_, end), (begin, _) in pairwise(placed)):
            return None
    return parts


def _repeated(parts: object, size: int) -> list[Type] | None:
    if not isinstance(parts, tuple) or len(parts) != 2:
        return None
    part, shape = type_of(parts[0]), parts[1] if isinstance(parts[1], tuple) else (parts[1],)
    if part is None or not all(isinstance(length, int) and length >= 0 for length in shape):
        return None
    return [part] if prod(shape) * part.size == size else None


def judge_type(made: Instance) -> Finding | None:
    """The finding that giving a type its state is: only one that was just made may get it, once, as NumPy writes it.

    Arrays share their type, so one that becomes another type afterwards has their bytes read as what they are not.
    """
    made.told = None
    if not made.shared and (found := type_of(made)) is not None:
        made.told = found
        return None
    return Finding(Code.FORGED_ARRAY, "a type of NumPy's gets a state that NumPy does not write")
