"""Formats that hold numbers only: safetensors and NumPy's npy."""

import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from anfl.inspection.pickles import walk_file
from anfl.inspection.report import Finding, quarantine, reject
from anfl.inspection.streams import Cursor

NPY_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 100_000_000
"""safetensors' own limit."""


def safetensors(path: Path) -> list[Finding]:
    """What is wrong with a safetensors file: the library checks the header, and that the tensors fill the file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(8)
    if len(prefix) < 8:
        return [reject("truncated", "a safetensors file has at least 8 bytes")]
    header = struct.unpack("<Q", prefix)[0]
    if header > _MAX_HEADER:
        return [reject("oversize_header", f"the header claims {header} bytes")]
    if header > size - 8:
        return [reject("truncated", f"the header claims {header} bytes, the file has {size - 8} behind its length")]
    try:
        with safe_open(path, framework="np"):
            return []
    except SafetensorError as error:
        message = str(error)
        code = "truncated" if "IncompleteMetadata" in message or "TooSmall" in message else "malformed"
        return [reject(code, message)]


def npy(cursor: Cursor, *, size: int, tick: Callable[[], None]) -> list[Finding]:
    """What is wrong with an npy array of ``size`` bytes; arrays of objects hold a pickle, which is walked.

    :raises Finding: it cannot be read.
    """
    start = cursor.read(8)
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise reject("malformed", f"no npy format has version {version[0]}.{version[1]}")
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(cursor.read(width), "little")
    if length > 65_536:
        raise reject("oversize_header", f"the npy header claims {length} bytes")
    text = cursor.read(length).decode("latin-1" if version < (3, 0) else "utf-8", errors="replace")
    shape, dtype = _header(text)
    data = size - 8 - width - length
    if dtype.hasobject:
        return walk_file(cursor, torch=False, tick=tick)
    expected = math.prod(shape) * dtype.itemsize
    if data < expected:
        raise reject("truncated", f"the array needs {expected} bytes, the file has {data}")
    if data > expected:
        raise quarantine("trailing_data", f"{data - expected} bytes follow the array")
    return []


def _header(text: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    import ast

    try:
        header = ast.literal_eval(text.strip())
        shape = header["shape"]
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        if set(header) != {"shape", "descr", "fortran_order"} or not isinstance(shape, tuple):
            raise ValueError("unexpected members")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("shape")
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError) as error:
        raise reject("malformed", f"the npy header cannot be read: {error}") from None
    return shape, dtype
