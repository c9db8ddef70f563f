"""A segment: rows that never change, as one of the `folders` that every process of a node maps.

Its files are ``rows.bin`` (values, ids, metadata …), ``columns.bin`` (the metadata by field, read when a filter asks),
and ``graph.bin``, where there is a graph (`graphs`). Which rows are alive is no part of a segment.
"""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine import archive, bitmaps
from anfl.vectors.engine.archive import Array, DamagedFileError
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.columns import Columns
from anfl.vectors.engine.folders import FileFacts, check_files, read_manifest
from anfl.vectors.engine.native import Block, DamagedGraphError, Rows, find_ids
from anfl.vectors.engine.packed import Packed
from anfl.vectors.model import Metadata, Metric, Values

FORMAT = 2
ROWS, COLUMNS, GRAPH = "rows.bin", "columns.bin", "graph.bin"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment is made of."""

    format: int = FORMAT
    rows: int
    dimension: int
    metric: Metric
    files: dict[str, FileFacts]


class Segment:
    """Reads one segment. Safe for threads."""

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        """
        :param verify: read every file and compare its SHA-256, as is right for what comes from elsewhere.
        :raises DamagedFileError: a file is missing, or not what the manifest says.
        :raises FileNotFoundError: there is no such segment.
        """
        self.name = folder.name
        self.folder = folder
        self.manifest = read_manifest(folder, Manifest, known=FORMAT)
        check_files(folder, self.manifest, content=verify)
        arrays, self.mapped_bytes = archive.read(folder / ROWS)
        self._columns = archive.mapped(folder / COLUMNS)
        """Mapped now: later the folder may be gone, and this segment still be in use."""
        try:
            self.values: Values = arrays["values"]
            self.codes: NDArray[np.int8] = arrays["codes"]
            self.sketches: NDArray[np.float32] = arrays["sketches"]
            self.ids = Packed(arrays["ids"], arrays["ids.ends"])
            self.packed_metadata = Packed(arrays["metadata"], arrays["metadata.ends"])
            self.versions: NDArray[np.int64] = arrays["versions"]
            self.expires_at: NDArray[np.float64] | None = arrays.get("expires_at")
            self.order: NDArray[np.uint32] = arrays["order"]
        except KeyError as error:
            raise DamagedFileError(folder / ROWS, f"{error} is missing") from error
        wrong = self._misfit(arrays)
        if wrong is not None:
            raise DamagedFileError(folder / ROWS, f"{wrong} does not fit the other arrays")
        graph = archive.mapped(folder / GRAPH) if GRAPH in self.manifest.files else None
        self.mapped_bytes += 0 if graph is None else len(graph)
        try:
            self.block = Block(self.manifest.metric, self.values, self.codes, self.sketches, graph=graph)
        except DamagedGraphError as error:
            raise DamagedFileError(folder / GRAPH, str(error)) from error

    def _misfit(self, arrays: Mapping[str, Array]) -> str | None:
        """The name of an array that does not fit the rows: native code follows all of them without looking."""
        rows, dimension = self.manifest.rows, self.manifest.dimension
        wrong = archive.misfit(
            arrays,
            {
                "values": ("<f4", (rows, dimension)),
                "codes": ("|i1", (rows, dimension)),
                "sketches": ("<f4", (rows, 3)),
                "versions": ("<i8", (rows,)),
                **({"expires_at": ("<f8", (rows,))} if "expires_at" in arrays else {}),
                "ids.ends": ("<u8", (rows + 1,)),
                "metadata.ends": ("<u8", (rows + 1,)),
            },
        )
        if wrong is not None:
            return wrong
        ends, order = arrays["ids.ends"], arrays["order"]
        if (ends[1:] < ends[:-1]).any() or ends[-1] > arrays["ids"].nbytes:
            return "ids.ends"
        return None if order.dtype.str == "<u4" and order.ndim == 1 and (order < rows).all() else "order"

    @property
    def size(self) -> int:
        """All rows, dead ones included."""
        return self.manifest.rows

    @property
    def has_graph(self) -> bool:
        """Whether there is a graph over the rows."""
        return self.block.has_graph

    @cached_property
    def columns(self) -> Columns:
        """The metadata by field."""
        self.mapped_bytes += len(self._columns)
        return Columns(archive.views(self.folder / COLUMNS, self._columns), self.size)

    def find(self, packed: tuple[NDArray[np.uint8], NDArray[np.uint64]]) -> Rows:
        """The row of each id (see `packed.pack`), −1 where it is not here; a dead row is found as well."""
        return find_ids(self.ids.blob, self.ids.offsets, self.order, packed)

    def after(self, row_id: bytes) -> NDArray[np.uint32]:
        """The rows with ids behind ``row_id``, by id."""
        return self.order[bisect_right(self.order, row_id, key=self.ids.__getitem__) :]

    def id(self, row: int) -> str:
        """A row's id."""
        return self.ids.text(row)

    def metadata(self, row: int) -> Metadata:
        """A row's metadata."""
        found: Metadata = msgspec.msgpack.decode(self.packed_metadata[row])
        return found

    def version(self, row: int) -> int:
        """A row's version."""
        return int(self.versions[row])

    def expiry(self, row: int) -> float | None:
        """When a row expires; None: never."""
        moment = np.inf if self.expires_at is None else float(self.expires_at[row])
        return None if moment == np.inf else moment

    @cached_property
    def expiring(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The moments at which rows expire, ascending, and the rows."""
        if self.expires_at is None:
            return np.empty(0, dtype=np.float64), np.empty(0, dtype=np.int64)
        rows = np.flatnonzero(np.isfinite(self.expires_at))
        rows = rows[np.argsort(self.expires_at[rows], kind="stable")]
        return self.expires_at[rows], rows

    def expired(self, now: float) -> Bits | None:
        """The rows that have expired at ``now``; None for none."""
        moments, rows = self.expiring
        if not len(moments):
            return None
        count = int(moments.searchsorted(now, side="right"))
        return bitmaps.of_rows(rows[:count], self.size) if count else None
