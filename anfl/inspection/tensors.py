"""Formats that hold numbers only: safetensors and NumPy's npy."""

import ast
import math
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from safetensors import SafetensorError, safe_open

from anfl.inspection.codes import Code, Finding
from anfl.inspection.documents import no_duplicates
from anfl.inspection.pickles.files import pickle_stream
from anfl.inspection.streams import Cursor

NPY_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 100_000_000
"""safetensors' own limit."""
_MAX_NPY_HEADER = 65_536


class _Tensor(msgspec.Struct, frozen=True):
    data_offsets: tuple[int, int]


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file that begins with ``head`` may be a safetensors file: a length, then JSON."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32


def safetensors(path: Path) -> list[Finding]:
    """What is wrong with a safetensors file: the library checks the header, and that the tensors fill the file.

    :raises Finding: nothing more can be read from it.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(8)
        if len(prefix) < 8:
            raise Finding(Code.TRUNCATED, "a safetensors file has at least 8 bytes")
        length = struct.unpack("<Q", prefix)[0]
        if length > _MAX_HEADER:
            raise Finding(Code.OVERSIZE_HEADER, f"the header claims {length} bytes")
        if length > size - 8:
            raise Finding(Code.TRUNCATED, f"the header claims {length} bytes, {size - 8} follow its length")
        header = stream.read(length)
    _check_fill(header, size - 8 - length)
    try:
        with safe_open(path, framework="np"):
            return []
    except SafetensorError as error:
        raise Finding(Code.MALFORMED, str(error)) from None


def _check_fill(header: bytes, available: int) -> None:
    """:raises Finding: the tensors need another number of bytes than follow; names occur twice."""
    try:
        members = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        members.pop("__metadata__", None)
        end = max((msgspec.json.decode(raw, type=_Tensor).data_offsets[1] for raw in members.values()), default=0)
    except msgspec.MsgspecError as error:
        raise Finding(Code.MALFORMED, f"the header cannot be read: {error}") from None
    no_duplicates(header)
    if end > available:
        raise Finding(Code.TRUNCATED, f"the tensors need {end} bytes, the file has {available}")
    if end < available:
        raise Finding(Code.TRAILING_DATA, f"{available - end} bytes belong to no tensor")


def npy(cursor: Cursor, *, size: int, tick: Callable[[], None]) -> list[Finding]:
    """What is wrong with an npy array of ``size`` bytes; arrays of objects hold a pickle, which is walked.

    :raises Finding: it cannot be read.
    """
    start = cursor.read(8)
    version = (start[6], start[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise Finding(Code.MALFORMED, f"no npy format has version {version[0]}.{version[1]}")
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(cursor.read(width), "little")
    if length > _MAX_NPY_HEADER:
        raise Finding(Code.OVERSIZE_HEADER, f"the npy header claims {length} bytes")
    text = cursor.read(length).decode("latin-1" if version < (3, 0) else "utf-8", errors="replace")
    shape, dtype = _header(text)
    data = size - 8 - width - length
    if dtype.hasobject:
        return pickle_stream(cursor, tick=tick)
    expected = math.prod(shape) * dtype.itemsize
    if data < expected:
        raise Finding(Code.TRUNCATED, f"the array needs {expected} bytes, the file has {data}")
    if data > expected:
        raise Finding(Code.TRAILING_DATA, f"{data - expected} bytes follow the array")
    return []


def _header(text: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    try:
        header = ast.literal_eval(text.strip())
        shape = header["shape"]
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        if set(header) != {"shape", "descr", "fortran_order"} or not isinstance(shape, tuple):
            raise ValueError("unexpected members")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("shape")
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError) as error:
        raise Finding(Code.MALFORMED, f"the npy header cannot be read: {error}") from None
    return shape, dtype
