"""The vectors to measure with: a folder's, else the repository's sample, else random ones."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anfl.vectors.model import Values
from local.sample import DATA
from tests.benchmarks.errors import BenchmarkError

_SEED = 1
_MOST_QUERIES = 500
_RANDOM_ROWS = 10_000
_RANDOM_DIMENSION = 384
_CLUSTERS = 100


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """``rows`` (n, d) to search, and ``queries`` (q, d) that are none of them; unit length."""

    source: str
    """What they are, for people."""
    rows: Values
    queries: Values

    def first(self, count: int | None) -> "Embeddings":
        """The same with at most ``count`` rows; None: all."""
        return self if count is None or count >= len(self.rows) else replace(self, rows=self.rows[:count])


def load(folder: Path | None, *, sample: Path = DATA) -> Embeddings:
    """The embeddings in ``folder``; without one, those in ``sample``; without these, random ones.

    A folder holds NumPy files of shape (n, d), floating point of any width: ``queries*.npy`` the queries, the largest
    other one the rows. Without queries, some rows are taken out to be queries.

    :raises BenchmarkError: there is a folder, but no such file, or one with the wrong contents.
    """
    if folder is not None and folder != Path():  # `make bench` passes an empty name where there is none
        return from_folder(folder, name=str(folder))
    if sample.is_dir() and any(sample.glob("*.npy")):
        return from_folder(sample, name="the repository's sample")
    return clustered(_RANDOM_ROWS, _RANDOM_DIMENSION)


def from_folder(folder: Path, *, name: str) -> Embeddings:
    """Real embeddings; see `load`."""
    if not folder.is_dir():
        raise BenchmarkError(f"BENCH_DATA: there is no folder {folder}.")
    arrays = {path.name: array for path in sorted(folder.glob("*.npy")) if (array := _floats(path)) is not None}
    asked = [file for file in arrays if file.startswith("queries")]
    others = [file for file in arrays if file not in asked]
    if not others:
        raise BenchmarkError(f"BENCH_DATA: {folder} holds no .npy file of shape (rows, dimension) with embeddings.")
    chosen = max(others, key=lambda file: len(arrays[file]))
    rows = _unit(arrays[chosen], chosen)
    if not asked:
        kept, queries = _held_out(rows)
        return Embeddings(source=f"{name}: {chosen}, {len(queries)} rows of it as queries", rows=kept, queries=queries)
    queries = _unit(arrays[asked[0]], asked[0])
    if queries.shape[1] != rows.shape[1]:
        raise BenchmarkError(f"{asked[0]} has {queries.shape[1]} dimensions, {chosen} has {rows.shape[1]}.")
    return Embeddings(source=f"{name}: {chosen}, queries of {asked[0]}", rows=rows, queries=queries)


def clustered(count: int, dimension: int) -> Embeddings:
    """Random points around random centres: unlike uniform ones they have neighbours worth finding."""
    random = np.random.default_rng(_SEED)
    centres = random.standard_normal((_CLUSTERS, dimension))
    total = count + _MOST_QUERIES
    points = centres[random.integers(_CLUSTERS, size=total)] + 0.5 * random.standard_normal((total, dimension))
    values = _unit(points, "random vectors")
    source = f"random vectors in {_CLUSTERS} clusters (there are no real ones)"
    return Embeddings(source=source, rows=values[:count], queries=values[count:])


def _floats(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.floating]] | None":
    """The array, or None where it is no list of embeddings (a ground truth holds integers)."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BenchmarkError(f"{path.name} is no readable NumPy array: {error}") from error
    return array if array.ndim == 2 and array.dtype.kind == "f" and array.size else None


def _unit(array: "np.ndarray[tuple[int, ...], np.dtype[np.floating]]", name: str) -> Values:
    values = np.ascontiguousarray(array, dtype=np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise BenchmarkError(f"{name} holds rows that have no direction (zeros, NaN or infinity).")
    unit: Values = values / lengths
    return unit


def _held_out(values: Values) -> tuple[Values, Values]:
    order = np.random.default_rng(_SEED).permutation(len(values))
    count = min(_MOST_QUERIES, len(values) // 10)
    if not count:
        raise BenchmarkError("Too few rows: at least 10 are wanted.")
    return values[np.sort(order[count:])], values[np.sort(order[:count])]
