"""Graphs as files: hnswlib's format (0.8, HierarchicalNSW::saveIndex) without the rows' values.

hnswlib stores each row beside its links. A segment has the values already, and a search compares sketches: they would
only be stored, sent and loaded twice. `strip` leaves them out, and `restore` puts them back for a builder that goes on
with the graph.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anfl.vectors.model import Values

_HEADER = struct.Struct("<6QiI3QdQ")
"""Offset of level 0, capacity, rows, bytes a row, offsets of its label and values, highest level, entry; most links, on
level 0, m, multiplier, ef."""
_STRIDE, _LABEL = 3, 4
_BLOCK_ROWS = 4096


def strip(full: Path, graph: Path) -> None:
    """Write what hnswlib saved to ``full`` without values to ``graph``, a new file."""
    data = np.memmap(full, dtype=np.uint8, mode="r")
    header = list(_HEADER.unpack_from(data))
    _, _, count, stride, label, values, *_ = header
    rows = data[_HEADER.size : _HEADER.size + count * stride].reshape(count, stride)
    header[_STRIDE], header[_LABEL] = stride - (label - values), values
    with graph.open("xb") as file:
        file.write(_HEADER.pack(*header))
        for first in range(0, count, _BLOCK_ROWS):
            block = rows[first : first + _BLOCK_ROWS]
            file.write(np.concatenate([block[:, :values], block[:, label:]], axis=1).data)
        file.write(data[_HEADER.size + count * stride :].data)


def restore(graph: Path, values: Values, full: Path, *, stored: Callable[[Values], Values]) -> None:
    """Write ``graph`` with the ``values`` (n, d) of its rows to ``full``, a new file, as hnswlib loads it.

    :param stored: what hnswlib was given for some of the values.
    """
    data = np.memmap(graph, dtype=np.uint8, mode="r")
    header = list(_HEADER.unpack_from(data))
    _, _, count, stride, label, *_ = header
    rows = data[_HEADER.size : _HEADER.size + count * stride].reshape(count, stride)
    numbers = np.ascontiguousarray(rows[:, label:]).view("<u8").ravel()
    size = values.dtype.itemsize * values.shape[1]
    header[_STRIDE], header[_LABEL] = stride + size, label + size
    with full.open("xb") as file:
        file.write(_HEADER.pack(*header))
        for first in range(0, count, _BLOCK_ROWS):
            block = rows[first : first + _BLOCK_ROWS]
            own = stored(values[numbers[first : first + _BLOCK_ROWS]]).view(np.uint8)
            file.write(np.concatenate([block[:, :label], own, block[:, label:]], axis=1).data)
        file.write(data[_HEADER.size + count * stride :].data)
