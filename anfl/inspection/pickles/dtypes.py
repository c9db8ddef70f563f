"""NumPy's types as pickles make them: from a text, and a state that may say something else."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from anfl.inspection.pickles.machine import NEVER, Global, Instance

DTYPE = Global("numpy", "dtype")
_PLAIN = re.compile(r"[|<>=]?[biufcSUVOmM][0-9]+(?:\[\w+\])?", re.ASCII)
"""What NumPy writes, of one size everywhere: the rest of a type (names, parts) stands in the state."""
_HAS_OBJECT = 1
"""Of a type's flags."""
_PARTS, _NAMES, _FIELDS, _SIZE, _FLAGS = 2, 3, 4, 5, 7
"""Places in the state: the type and shape of parts, names, fields by name, size in bytes, flags."""
_STATE = (8, 9)
"""How many members it has."""


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

    :raises RecursionError: it is part of itself.
    """
    if not isinstance(value, Instance) or value.of != DTYPE or not isinstance(value.arguments, tuple):
        return None
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
    if not isinstance(state, tuple) or len(state) not in _STATE:
        return None
    size, flags = state[_SIZE], state[_FLAGS]
    if not isinstance(flags, int) or size not in (-1, plain.size) or (size == -1 and kind in "SUV"):
        return None
    has_object = bool(flags & _HAS_OBJECT)
    parts = _parts(state) if kind == "V" else []
    if parts is None or any(part is None or part.size > plain.size for part in parts):
        return None
    held = plain.has_object or any(part.has_object for part in parts if part is not None)
    return Type(plain.size, has_object) if has_object == held else None


def _parts(state: tuple[object, ...]) -> "list[Type | None] | None":
    """The types of what a value consists of; None where that is not told as NumPy tells it."""
    parts, names, fields = state[_PARTS], state[_NAMES], state[_FIELDS]
    if parts is not None:
        return [type_of(parts[0])] if isinstance(parts, tuple) and len(parts) == 2 else None
    if names is None and fields is None:
        return []
    if not isinstance(names, tuple) or not isinstance(fields, dict) or {*names} != fields.keys():
        return None
    return [type_of(field[0]) if isinstance(field, tuple) and field else None for field in fields.values()]
