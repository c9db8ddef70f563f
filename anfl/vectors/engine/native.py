"""`native.cpp` through ctypes: calls release the GIL, so threads search beside each other. But for brief ones: another
thread that computes would keep what they gave up for longer than they take.

Arrays are passed as they lie in memory, and their owner is held as long as a `Block` that points into them.
"""

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.model import Metric, Values

LIBRARY = Path(__file__).with_name("libnative.so")
VERSION = 1
"""Of the interface; `native.cpp` has the same number."""
EVERYTHING = 2**63
"""A budget that no search uses up."""
BRIEF_EF = 256
"""Up to it, a search for one query by the graph takes a fraction of a millisecond."""
_SPARE = 8
"""Candidates beside the k wanted: of rows that are equally far the ids decide, and float64 about the nearly equal."""
_USUAL_ROOM = 256
_METRICS = {Metric.COSINE: 0, Metric.L2: 1, Metric.IP: 2}
_EXHAUSTED = -(2**63)

Rows = NDArray[np.int64]
Answers = list[list[tuple[float, int]]]
"""For each query (distance, row), ascending; where several are as far as the last one wanted, all of them."""


class _Struct(ctypes.Structure):
    _fields_ = [
        ("values", ctypes.c_void_p),
        ("codes", ctypes.c_void_p),
        ("sketches", ctypes.c_void_p),
        ("count", ctypes.c_uint64),
        ("dimension", ctypes.c_uint32),
        ("metric", ctypes.c_uint32),
        ("graph", ctypes.c_void_p),
    ]


class LibraryError(RuntimeError):
    """The compiled library is missing, or of another version than this code."""


class DamagedGraphError(ValueError):
    """A file that is no graph of these rows."""


@cache
def _library(kind: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL:
    """:param kind: `ctypes.PyDLL`, whose calls hold the GIL, or `ctypes.CDLL`."""
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    hint = "'python -m bundling.native', which 'make' runs as well, compiles it"
    try:
        library = kind(str(LIBRARY))
    except OSError as error:
        raise LibraryError(f"{LIBRARY.name} cannot be loaded: {hint}. ({error})") from error
    if library.anfl_version() != VERSION:
        raise LibraryError(f"{LIBRARY.name} is of another version: {hint}.")
    library.sketch.argtypes = [pointer, number, number, pointer, pointer]
    library.graph_open.argtypes = [pointer, number, pointer]
    library.graph_open.restype = pointer
    library.graph_close.argtypes = [pointer]
    library.graph_search.argtypes = [pointer, pointer, *[number] * 4, pointer, number, *[pointer] * 3]
    library.scan.argtypes = [pointer, pointer, *[number] * 3, *[pointer] * 4]
    library.find_ids.argtypes = [pointer, pointer, pointer, number, pointer, pointer, number, pointer]
    for name in ("sketch", "graph_close", "graph_search", "scan", "find_ids"):
        getattr(library, name).restype = None
    return library


def sketch(values: Values) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """What `Block` wants beside ``values`` (n, d): codes (n, d), and scale, residual and length of each row (n, 3)."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    codes = np.empty(values.shape, dtype=np.int8)
    sketches = np.empty((len(values), 3), dtype=np.float32)
    _library().sketch(_address(values), *values.shape, _address(codes), _address(sketches))
    return codes, sketches


class Block:
    """Rows that are searched where they lie: values (n, d), codes and sketches as of `sketch`, perhaps a graph."""

    def __init__(
        self,
        metric: Metric,
        values: Values,
        codes: NDArray[np.int8],
        sketches: NDArray[np.float32],
        *,
        graph: NDArray[np.uint8] | None = None,
    ) -> None:
        """
        :param graph: a file of `graphs`, whose labels are row numbers, of the values (under cosine: of unit length)
            with hnswlib's inner product or l2 space.
        :raises DamagedGraphError: it is none.
        """
        self._library = _library()
        self._brief = _library(ctypes.PyDLL)
        self._held = (values, codes, sketches, graph)
        count, self._dimension = values.shape
        self._struct = _Struct(
            _address(values), _address(codes), _address(sketches), count, self._dimension, _METRICS[metric], None
        )
        self._at = ctypes.addressof(self._struct)
        if graph is not None:
            self._struct.graph = self._library.graph_open(_address(graph), len(graph), self._at)
            if self._struct.graph is None:
                raise DamagedGraphError("no graph of these rows")

    def __del__(self) -> None:
        if getattr(self, "_struct", None) is not None and self._struct.graph is not None:
            self._library.graph_close(self._struct.graph)

    @property
    def has_graph(self) -> bool:
        """Whether `search_graph` works."""
        return self._struct.graph is not None

    def scan(self, queries: Values, k: int, allowed: Bits) -> Answers:
        """The nearest k of the ``allowed`` rows to each query (q, d): exact, the distances in float64."""
        room = k + _SPARE

        def call(rows: int, distances: int, found: int) -> None:
            self._library.scan(
                self._at, _address(queries), len(queries), k, room, _address(allowed), rows, distances, found
            )

        answers, counts = _call(call, len(queries), room)
        for number, count in enumerate(counts):
            if count < 0:  # more rows than there is room for are as far as the k-th
                answers[number] = self._scan_again(queries[number : number + 1], k, -count, allowed)
        return answers

    def search_graph(
        self, queries: Values, k: int, ef: int, allowed: Bits | None, *, budget: int = EVERYTHING
    ) -> list[list[tuple[float, int]] | None]:
        """About the nearest k rows to each query (q, d); None where ``budget`` comparisons did not lead to them.

        :param ef: how many candidates the search keeps.
        :param allowed: rows that may be found; None: every row.
        """
        room = k + _SPARE
        mask = None if allowed is None else _address(allowed)
        library = self._brief if len(queries) == 1 and ef <= BRIEF_EF else self._library

        def call(rows: int, distances: int, found: int) -> None:
            library.graph_search(
                self._at, _address(queries), len(queries), k, room, ef, mask, budget, rows, distances, found
            )

        answers, counts = _call(call, len(queries), room)
        return [answer if count >= 0 else None for answer, count in zip(answers, counts, strict=True)]

    def _scan_again(self, query: Values, k: int, room: int, allowed: Bits) -> list[tuple[float, int]]:
        def call(rows: int, distances: int, found: int) -> None:
            self._library.scan(self._at, _address(query), 1, k, room, _address(allowed), rows, distances, found)

        return _call(call, 1, room)[0][0]


def find_ids(
    ids: NDArray[np.uint8],
    offsets: NDArray[np.uint64],
    order: NDArray[np.uint32],
    wanted: tuple[NDArray[np.uint8], NDArray[np.uint64]],
) -> Rows:
    """The row of each ``wanted`` text among ``ids``, −1 where it is none of them. ``order`` lists the rows by id."""
    texts, ends = wanted
    rows = np.empty(len(ends) - 1, dtype=np.int64)
    _library().find_ids(
        _address(ids), _address(offsets), _address(order), len(order), _address(texts), _address(ends), len(rows),
        _address(rows),
    )  # fmt: skip
    return rows


class _Out:
    """Where the answers to ``count`` queries come to lie, ``room`` for each at most."""

    def __init__(self, count: int, room: int) -> None:
        self.room = room
        self._rows = np.empty((count, room), dtype=np.uint32)
        self._distances = np.empty((count, room), dtype=np.float64)
        self._found = np.empty(count, dtype=np.int64)
        self.addresses = _address(self._rows), _address(self._distances), _address(self._found)

    def read(self) -> tuple[Answers, list[int]]:
        """What has come, and how many each query found; less than 0 where the room did not do."""
        counts: list[int] = self._found.tolist()
        answers = [
            list(zip(self._distances[i, :n].tolist(), self._rows[i, :n].tolist(), strict=True)) if n > 0 else []
            for i, n in enumerate(counts)
        ]
        return answers, counts


class _OneQuery(threading.local):
    """Each thread's room for the answers to one query, which are read before it asks the next."""

    def __init__(self) -> None:
        self.out = _Out(1, _USUAL_ROOM)


def _call(call: Callable[[int, int, int], None], count: int, room: int) -> tuple[Answers, list[int]]:
    out = _one_query.out if count == 1 and room <= _USUAL_ROOM else _Out(count, room)
    call(*out.addresses)
    return out.read()


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


_one_query = _OneQuery()
