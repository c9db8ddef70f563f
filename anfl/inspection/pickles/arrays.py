"""joblib's arrays: raw data between the opcodes of a pickle."""

from math import prod
from typing import Any

import numpy as np

from anfl.inspection.codes import Code, Finding
from anfl.inspection.pickles.machine import Global, Instance
from anfl.inspection.streams import Cursor


def skip_array(cursor: Cursor, state: dict[object, object]) -> bool:
    """Pass over the data that follows a ``NumpyArrayWrapper`` with ``state``.

    Whether a pickle follows instead: that is how arrays of objects are kept.

    :raises Finding: the array cannot be read.
    """
    shape, dtype = state.get("shape"), _dtype_of(state.get("dtype"))
    if dtype is None or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Finding(Code.UNREADABLE_ARRAY, "an array of joblib's with an unusual type or shape")
    if dtype.hasobject:
        return True
    if state.get("numpy_array_alignment_bytes") is not None:
        cursor.skip(cursor.read(1)[0])
    cursor.skip(prod(shape) * dtype.itemsize)
    return False


def _dtype_of(value: object) -> "np.dtype[Any] | None":
    """The NumPy type that a pickled ``numpy.dtype(...)`` stands for."""
    if not isinstance(value, Instance) or value.of != Global("numpy", "dtype"):
        return None
    arguments = value.arguments
    if not isinstance(arguments, tuple) or not arguments or not isinstance(arguments[0], str):
        return None
    try:
        return np.dtype(arguments[0])
    except (TypeError, ValueError, SyntaxError):
        return None
