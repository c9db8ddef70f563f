"""joblib's arrays: raw data between the opcodes of a pickle.

Where the data ends, and opcodes go on, stands in the wrapper before it. A wrapper that says one thing to joblib and
another one here would hide opcodes among data, so none is taken that joblib itself would not write.
"""

from math import prod

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.dtypes import type_of
from anfl.inspection.pickles.machine import NEVER, Global, Instance, Machine
from anfl.inspection.streams import Cursor

WRAPPER = Global("joblib.numpy_pickle", "NumpyArrayWrapper")
_MEMBERS = frozenset({"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"})
"""Others would take the place of its methods."""


class ArrayMachine(Machine):
    """A machine that notices a wrapper which is used for anything but an array: it may come back under another name."""

    def pop(self) -> object:
        """See `Machine.pop`."""
        value = super().pop()
        _only_called(value)
        return value

    def group(self) -> list[object]:
        """See `Machine.group`."""
        items = super().group()
        for item in items:
            _only_called(item)
        return items


def is_wrapper(value: object) -> bool:
    """Whether joblib would read an array once ``value`` has its state."""
    return isinstance(value, Instance) and value.of == WRAPPER


def skip_array(cursor: Cursor, wrapper: Instance, state: object) -> bool:
    """Pass over the data that follows a wrapper which gets its ``state``.

    Whether a pickle follows instead: that is how arrays of objects are kept.

    :raises Finding: the array cannot be read.
    """
    if wrapper.arguments != () or wrapper.state is not NEVER or not isinstance(state, dict):
        raise _unusual("made in an unusual way")
    if not state.keys() <= _MEMBERS:
        raise _unusual("with unusual members")
    shape, kind, alignment = state.get("shape"), type_of(state.get("dtype")), state.get("numpy_array_alignment_bytes")
    if kind is None or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise _unusual("with an unusual type or shape")
    if kind.has_object:
        return True
    if alignment is not None:
        if not isinstance(alignment, int):
            raise _unusual("with an unusual alignment")
        cursor.skip(cursor.read(1)[0])
    cursor.skip(prod(shape) * kind.size)
    return False


def _only_called(value: object) -> None:
    """:raises Finding: it is a wrapper, or the class of wrappers."""
    if value == WRAPPER or is_wrapper(value):
        raise _unusual("passed on before it is read")


def _unusual(how: str) -> Finding:
    return Finding(Code.UNREADABLE_ARRAY, f"an array of joblib's {how}")
