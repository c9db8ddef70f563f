"""Named arrays in one file that is read by mapping it: opening costs the same for any number of rows.

Format (version 1): ``ANFA``, version (uint32), place of the directory (uint64); the arrays, each at a multiple of 64;
the directory: MessagePack of name → [dtype, shape, place]. All numbers little-endian.
"""

import mmap
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_HEADER = struct.Struct("<4sIQ")
_MAGIC, _VERSION = b"ANFA", 1
_ALIGNMENT = 64
_NO_DESCRIPTOR: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""A mapping needs no open file; thousands of collections would have too many."""
_Directory = dict[str, tuple[str, list[int], int]]


class DamagedFileError(ValueError):
    """A file that is not what it should be; the message names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.parent.name}/{path.name}: {reason}")


def write(path: Path, arrays: Mapping[str, Sequence[Array]]) -> None:
    """Write each array's pieces, which are joined along the first axis, to a new file."""
    directory: _Directory = {}
    with path.open("xb") as file:
        file.write(bytes(_HEADER.size))
        for name, pieces in arrays.items():
            place = _pad(file.tell())
            file.seek(place)
            first = pieces[0]
            for piece in pieces:
                file.write(np.ascontiguousarray(piece, dtype=first.dtype).data)
            shape = [sum(len(piece) for piece in pieces), *first.shape[1:]]
            directory[name] = (first.dtype.str, shape, place)
        place = file.tell()
        file.write(msgspec.msgpack.encode(directory))
        file.seek(0)
        file.write(_HEADER.pack(_MAGIC, _VERSION, place))


def misfit(arrays: Mapping[str, Array], expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> str | None:
    """The name of an array that is missing, or of another dtype or shape than ``expected``."""
    for name, kind_and_shape in expected.items():
        array = arrays.get(name)
        if array is None or (array.dtype.str, array.shape) != kind_and_shape:
            return name
    return None


def read(path: Path) -> tuple[dict[str, Array], int]:
    """The arrays of a file, read-only views into its mapping, and the bytes mapped.

    :raises DamagedFileError: it is none, or its directory points elsewhere.
    :raises FileNotFoundError: there is none.
    """
    data = mapped(path)
    return views(path, data), len(data)


def views(path: Path, data: NDArray[np.uint8]) -> dict[str, Array]:
    """The arrays of a file whose bytes are ``data``, as views into it.

    :raises DamagedFileError: it is none, or its directory points elsewhere.
    """
    try:
        magic, version, place = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise DamagedFileError(path, f"no archive of format {_VERSION}")
        directory = msgspec.msgpack.decode(data[place:].data, type=_Directory)
        return {name: _view(data[:place], *entry) for name, entry in directory.items()}
    except (struct.error, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise error if isinstance(error, DamagedFileError) else DamagedFileError(path, str(error)) from error


def mapped(path: Path) -> NDArray[np.uint8]:
    """A file's bytes as a read-only view of its mapping, which lives as long as the view; empty for an empty file."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return np.empty(0, dtype=np.uint8)
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, **_NO_DESCRIPTOR)
        return np.frombuffer(mapping, dtype=np.uint8)


def _view(data: NDArray[np.uint8], dtype: str, shape: list[int], place: int) -> Array:
    kind = np.dtype(dtype)
    size = kind.itemsize
    for extent in shape:
        size *= extent
    if kind.hasobject or min([place, *shape]) < 0 or place + size > len(data):
        raise ValueError("the directory points outside")
    return data[place : place + size].view(kind).reshape(shape)


def _pad(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT
