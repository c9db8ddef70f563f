"""Puts fresh rows into a graph: an image in, an image of the same rows out. Runs in a builder's process, not where
queries are answered: hnswlib holds the GIL while it loads and saves, and adding rows takes whole processors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hnswlib
import msgspec
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.engine import bitmaps, graphs, tiers
from anfl.vectors.engine.bitmaps import Bits
from anfl.vectors.engine.columns import build as build_columns
from anfl.vectors.engine.folders import Draft
from anfl.vectors.engine.images import Image, Rest, rest_of
from anfl.vectors.engine.native import sketch
from anfl.vectors.engine.packed import Packed, joined, pack
from anfl.vectors.engine.segment import COLUMNS, GRAPH, ROWS, Manifest, Segment
from anfl.vectors.engine.tiers import Sizes, next_step
from anfl.vectors.model import Metric, Values

if TYPE_CHECKING:
    from anfl.vectors.engine.archive import Array

_BLOCK_NUMBERS = 2**22
"""Most numbers of which a copy of unit length is made at once."""


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Rows on their way into a segment, n of them."""

    values: Values
    ids: Packed
    metadata: Packed
    versions: NDArray[np.int64]
    expires_at: NDArray[np.float64]


def compact(image: Image, folder: Path, *, threads: int, quiet: bool = False, heavy: bool = False) -> Image:
    """An image of the same rows at the same version with fresh rows put into segments; ``image`` if nothing is due.

    This is one step, after which another one may be due. New segments are written to ``folder``, under names that are
    final; nothing is deleted.

    :param quiet, heavy: see `tiers.next_step`.
    :raises DamagedFileError, FileNotFoundError: a segment is damaged, or gone.
    """
    rest = rest_of(image)
    alive = [np.frombuffer(bits, dtype=np.uint64) for bits in rest.alive]
    segments = [Segment(path) for path in image.segments]
    sizes = [Sizes(segment.size, bitmaps.size(bits)) for segment, bits in zip(segments, alive, strict=True)]
    step = next_step(sizes, len(rest.ids), quiet=quiet, heavy=heavy)
    if step is None:
        return image
    pieces = [
        _alive_rows(segments[number], bitmaps.rows(alive[number], segments[number].size))
        for number in step.sources
        if number != step.base
    ]
    pieces.append(_fresh_rows(rest, tiers.MOST_ADDED))
    if step.base is None:
        written = _write(None, bitmaps.nothing(0), pieces, folder, rest, threads=threads)
    else:
        written = _write(segments[step.base], alive[step.base], pieces, folder, rest, threads=threads)
    kept = [number for number in range(len(segments)) if number not in step.sources]
    paths = [image.segments[number] for number in kept]
    sets = [rest.alive[number] for number in kept]
    if written is not None:
        paths.append(written[0])
        sets.append(written[1].tobytes())
    return Image(tuple(paths), _left(rest, sets, tiers.MOST_ADDED).encode())


def _write(
    base: Segment | None, base_alive: Bits, pieces: Sequence[_Piece], folder: Path, rest: Rest, *, threads: int
) -> tuple[Path, Bits] | None:
    """Write the rows of ``base``, which keep their numbers, and those of ``pieces`` as one segment, if any is alive."""
    old = 0 if base is None else base.size
    added = [piece for piece in pieces if len(piece.ids)]
    total = old + sum(len(piece.ids) for piece in added)
    alive = bitmaps.resized(base_alive, total)
    bitmaps.add_range(alive, old, total)
    if not bitmaps.size(alive):
        return None
    parts = [*([] if base is None else [_whole(base)]), *added]
    sketches = [sketch(piece.values) for piece in added]
    if base is not None:
        sketches.insert(0, (base.codes, base.sketches))
    ids, id_ends = joined([part.ids for part in parts])
    metadata, metadata_ends = joined([part.metadata for part in parts])
    texts = [text for part in parts for text in part.ids]
    order = sorted(bitmaps.rows(alive, total).tolist(), key=texts.__getitem__)
    arrays: dict[str, Sequence[Array]] = {
        "values": [part.values for part in parts],
        "codes": [codes for codes, _ in sketches],
        "sketches": [each for _, each in sketches],
        "ids": ids,
        "ids.ends": id_ends,
        "order": [np.array(order, dtype=np.uint32)],
        "metadata": metadata,
        "metadata.ends": metadata_ends,
        "versions": [part.versions for part in parts],
    }
    if any(np.isfinite(part.expires_at).any() for part in parts):
        arrays["expires_at"] = [part.expires_at for part in parts]
    decoder = msgspec.msgpack.Decoder()
    members = (decoder.decode(text) for part in parts for text in part.metadata)
    draft = Draft(folder)
    try:
        draft.write(ROWS, arrays)
        draft.write(COLUMNS, {name: [array] for name, array in build_columns(members, total).items()})
        if total >= tiers.GRAPH_FROM:
            _write_graph(draft.folder / GRAPH, base, [piece.values for piece in added], total, rest, threads=threads)
        return draft.finish(partial(Manifest, rows=total, dimension=rest.dimension, metric=rest.metric)), alive
    except BaseException:
        draft.discard()
        raise


def _write_graph(
    path: Path, base: Segment | None, added: Sequence[Values], total: int, rest: Rest, *, threads: int
) -> None:
    """Build a graph, or extend a copy of the one of ``base``; labels are the numbers of the rows."""
    settings, full = rest.index, path.with_suffix(".full")
    stored = _unit if rest.metric is Metric.COSINE else np.ascontiguousarray
    graph = hnswlib.Index(space="l2" if rest.metric is Metric.L2 else "ip", dim=rest.dimension)
    if base is not None and base.has_graph:
        graphs.restore(base.folder / GRAPH, base.values, full, stored=stored)
        graph.load_index(str(full), max_elements=total)
        full.unlink()
        first, pieces = base.size, list(added)
    else:
        graph.init_index(max_elements=total, ef_construction=settings.ef_construction, M=settings.m, random_seed=1)
        first, pieces = 0, [*([] if base is None else [base.values]), *added]
    step = max(1, _BLOCK_NUMBERS // rest.dimension)
    for values in pieces:
        for begin in range(0, len(values), step):
            block = stored(values[begin : begin + step])
            graph.add_items(block, np.arange(first, first + len(block)), num_threads=threads)
            first += len(block)
    graph.save_index(str(full))
    graphs.strip(full, path)
    full.unlink()


def _unit(values: Values) -> Values:
    """Of unit length, by way of float64: squares of long and short vectors leave float32."""
    exact = values.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    return exact.astype(np.float32)


def _whole(segment: Segment) -> _Piece:
    return _Piece(
        values=segment.values,
        ids=segment.ids,
        metadata=segment.packed_metadata,
        versions=segment.versions,
        expires_at=np.full(segment.size, np.inf) if segment.expires_at is None else segment.expires_at,
    )


def _alive_rows(segment: Segment, rows: NDArray[np.int64]) -> _Piece:
    whole, numbers = _whole(segment), rows.tolist()
    return _Piece(
        values=whole.values[rows],
        ids=Packed(*pack(whole.ids.take(numbers))),
        metadata=Packed(*pack(whole.metadata.take(numbers))),
        versions=whole.versions[rows],
        expires_at=whole.expires_at[rows],
    )


def _fresh_rows(rest: Rest, most: int) -> _Piece:
    """The first ``most`` of them."""
    encoder = msgspec.msgpack.Encoder()
    expires_at = [np.inf if moment is None else moment for moment in rest.expires_at[:most]]
    values = np.frombuffer(rest.values, dtype="<f4").reshape(-1, rest.dimension)
    return _Piece(
        values=values[:most].astype(np.float32, copy=False),
        ids=Packed(*pack([row_id.encode() for row_id in rest.ids[:most]])),
        metadata=Packed(*pack([encoder.encode(members) for members in rest.metadata[:most]])),
        versions=np.array(rest.versions[:most], dtype=np.int64),
        expires_at=np.array(expires_at, dtype=np.float64),
    )


def _left(rest: Rest, alive: list[bytes], taken: int) -> Rest:
    """What stays beside the segments once the first ``taken`` fresh rows are in one."""
    return msgspec.structs.replace(
        rest,
        alive=alive,
        ids=rest.ids[taken:],
        values=rest.values[4 * rest.dimension * taken :],
        metadata=rest.metadata[taken:],
        expires_at=rest.expires_at[taken:],
        versions=rest.versions[taken:],
    )
