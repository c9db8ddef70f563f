"""Arrays in ``.npy`` files, read by ranges (NumPy Enhancement Proposal 1)."""

from io import BytesIO
from tokenize import TokenError

import numpy as np

from anfl.problems import Problem, invalid
from anfl.vectors.imports.model import Array
from anfl.vectors.model import Collection, Values

HEADER_BYTES = 16 * 2**10
"""The header ends before, or it is none that NumPy would read."""
_SIZES = frozenset({2, 4, 8})
NO_HEADER = (ValueError, LookupError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)
"""What NumPy raises of a header, which is Python's text for a dictionary, that is none."""


def header_of(start: bytes, *, size: int, collection: Collection, field: str) -> Array:
    """The array whose file begins with ``start`` and has ``size`` bytes.

    :param field: what the file is called in errors.
    :raises Problem: 400 for what is no array (n, dimension) of floats for ``collection``.
    """
    stream = BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_columns, dtype = read(stream)
    except NO_HEADER as error:
        raise invalid(f"The file is no .npy array: {error}.", field=field) from None
    if dtype.kind != "f" or dtype.itemsize not in _SIZES:
        raise invalid(f"Numbers of type {dtype}; float16, float32 or float64 are taken.", field=f"{field}.dtype")
    if len(shape) != 2 or shape[1] != collection.settings.dimension:
        detail = f"An array of shape {shape}; {collection.name} takes (n, {collection.settings.dimension})."
        raise invalid(detail, field=f"{field}.shape")
    if by_columns and min(shape) > 1:
        raise invalid("The array is stored column by column; store np.ascontiguousarray(…).", field=f"{field}.shape")
    array = Array(offset=stream.tell(), dtype=dtype.str, rows=int(shape[0]), dimension=int(shape[1]))
    wanted = array.offset + array.rows * row_bytes(array)
    if wanted != size:
        what = "is truncated" if size < wanted else "is longer than its array"
        raise invalid(f"The file {what}: {size} bytes instead of {wanted}.", field=f"{field}.bytes")
    return array


def row_bytes(array: Array) -> int:
    """Of one row in the file."""
    return np.dtype(array.dtype).itemsize * array.dimension


def range_of(array: Array, *, first_row: int, rows: int) -> tuple[int, int]:
    """The bytes of some rows in the file."""
    start = array.offset + first_row * row_bytes(array)
    return start, start + rows * row_bytes(array)


def values_of(array: Array, data: bytes) -> Values:
    """The rows (n, dimension) in ``data``; what no float32 can hold becomes infinite.

    :raises Problem: 409 where ``data`` is less than whole rows.
    """
    if len(data) % row_bytes(array):
        raise Problem(409, "import_expired", "The file of the array is not what it was.")
    with np.errstate(over="ignore"):
        return np.frombuffer(data, array.dtype).reshape(-1, array.dimension).astype(np.float32)
