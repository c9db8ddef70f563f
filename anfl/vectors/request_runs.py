"""Runs: requests that were carried out, as `folders` that never change, mapped by every process of a node.

The requests of a run stand in the order of their batches. Each is found by a number made of its id, whose places in
that order are listed by number. Runs follow one another: whoever has all of them has every request up to a batch.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from anfl.vectors.batch import AppliedRequest
from anfl.vectors.engine import archive
from anfl.vectors.engine.archive import Array, DamagedFileError
from anfl.vectors.engine.folders import Draft, FileFacts, check_files, read_manifest
from anfl.vectors.engine.packed import Packed, joined, pack

FORMAT = 1
REQUESTS = "requests.bin"
MOST_RECENT = 4_096
"""Most requests that every process has in its memory, and every image holds, before they go into a run."""
GAIN = 3
"""A run is written again with what is behind it while it is at most so many times as large: so runs are few."""
MOST_REQUESTS = 2**23
"""Most requests of a run that others were added to: to write more takes a builder too long, and too much memory."""


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A request that was carried out: by which batch, and when."""

    request: AppliedRequest
    sequence: int
    ts: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made of: so many ``requests`` of batches up to ``last``, which was carried out at ``until``."""

    format: int = FORMAT
    requests: int
    last: int
    until: float
    files: dict[str, FileFacts]


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Requests on their way into a run, n of them, in the order of their batches."""

    ids: Packed
    digests: Packed
    counts: NDArray[np.int64]
    sequences: NDArray[np.int64]
    moments: NDArray[np.float64]
    numbers: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.sequences)


class Run:
    """Reads one run. Safe for threads."""

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        """
        :param verify: read all of it and compare its SHA-256, as is right for what comes from elsewhere.
        :raises DamagedFileError: a file is missing, or not what the manifest says.
        :raises FileNotFoundError: there is no such run.
        """
        self.name = folder.name
        self.folder = folder
        self.manifest = read_manifest(folder, Manifest, known=FORMAT)
        check_files(folder, self.manifest, content=verify)
        arrays, self.mapped_bytes = archive.read(folder / REQUESTS)
        wrong = self._misfit(arrays)
        if wrong is not None:
            raise DamagedFileError(folder / REQUESTS, f"{wrong} is missing, or does not fit the other arrays")
        self._ids = Packed(arrays["ids"], arrays["ids.ends"])
        self._digests = Packed(arrays["digests"], arrays["digests.ends"])
        self._counts: NDArray[np.int64] = arrays["counts"]
        self._sequences: NDArray[np.int64] = arrays["sequences"]
        self._moments: NDArray[np.float64] = arrays["moments"]
        self._numbers: NDArray[np.uint64] = arrays["numbers"]
        self._order: NDArray[np.uint32] = arrays["order"]
        self._sorted = self._numbers.data
        """Of these `bisect` makes sooner an answer than numpy of one number."""

    def _misfit(self, arrays: Mapping[str, Array]) -> str | None:
        count = self.manifest.requests
        wrong = archive.misfit(
            arrays,
            {
                "ids.ends": ("<u8", (count + 1,)),
                "digests.ends": ("<u8", (count + 1,)),
                "counts": ("<i8", (count,)),
                "sequences": ("<i8", (count,)),
                "moments": ("<f8", (count,)),
                "numbers": ("<u8", (count,)),
                "order": ("<u4", (count,)),
            },
        )
        return wrong or next((name for name in ("ids", "digests") if not _holds(arrays, name)), None)

    def __len__(self) -> int:
        return self.manifest.requests

    @property
    def last(self) -> int:
        """The sequence of the last batch of which it holds requests."""
        return self.manifest.last

    def is_old(self, oldest: float) -> bool:
        """Whether everything in it was carried out before ``oldest``."""
        return self.manifest.until < oldest

    def find(self, text: bytes, number: int) -> Remembered | None:
        """The last request with the id ``text``, whose `number_of` is given."""
        place = bisect_right(self._sorted, number) - 1
        while place >= 0 and self._sorted[place] == number:
            row = self._order.item(place)
            if self._ids[row] == text:
                return self._remembered(row)
            place -= 1
        return None

    def behind(self, sequence: int, *, oldest: float) -> Iterator[Remembered]:
        """What was carried out behind ``sequence``, and not before ``oldest``, in its order."""
        first = max(int(self._sequences.searchsorted(sequence, side="right")), self._first(oldest))
        return map(self._remembered, range(first, len(self)))

    def piece(self, oldest: float) -> _Piece:
        """What was not carried out before ``oldest``, to be written again."""
        first = self._first(oldest)
        numbers = np.empty(len(self), dtype=np.uint64)
        numbers[self._order] = self._numbers
        return _Piece(
            ids=_behind(self._ids, first),
            digests=_behind(self._digests, first),
            counts=self._counts[first:],
            sequences=self._sequences[first:],
            moments=self._moments[first:],
            numbers=numbers[first:],
        )

    def _first(self, oldest: float) -> int:
        """The first request that was not carried out before ``oldest``: time never goes backwards."""
        return int(self._moments.searchsorted(oldest))

    def _remembered(self, row: int) -> Remembered:
        request = AppliedRequest(
            request_id=self._ids.text(row), digest=self._digests[row], count=self._counts.item(row)
        )
        return Remembered(request, self._sequences.item(row), self._moments.item(row))


def number_of(text: bytes) -> int:
    """What an id is found by. Where two have the same one, the ids themselves decide."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def absorbed(sizes: Sequence[int], added: int) -> int:
    """How many of the last runs, of ``sizes``, are written again with the requests that are added behind them."""
    count = 0
    for size in reversed(sizes):
        if size > GAIN * added or size + added > MOST_REQUESTS:
            break
        added += size
        count += 1
    return count


def fold(recent: Sequence[Remembered], runs: Sequence[Run], folder: Path, *, oldest: float) -> tuple[Run, ...]:
    """The runs that hold ``recent``, which came behind ``runs``, as well; without what was carried out before
    ``oldest``. A new one is written to ``folder``, under a name that is final; nothing is deleted.

    :raises OSError: the folder fails, or is gone.
    """
    kept = [run for run in runs if not run.is_old(oldest)]
    added = [known for known in recent if known.ts >= oldest]
    if not added:
        return tuple(kept)
    first = len(kept) - absorbed([len(run) for run in kept], len(added))
    pieces = [*(run.piece(oldest) for run in kept[first:]), _piece(added)]
    return (*kept[:first], Run(_write(pieces, folder)))


def _piece(added: Sequence[Remembered]) -> _Piece:
    requests = [known.request for known in added]
    texts = [request.request_id.encode() for request in requests]
    return _Piece(
        ids=Packed(*pack(texts)),
        digests=Packed(*pack([request.digest for request in requests])),
        counts=np.array([request.count for request in requests], dtype=np.int64),
        sequences=np.array([known.sequence for known in added], dtype=np.int64),
        moments=np.array([known.ts for known in added], dtype=np.float64),
        numbers=np.array([number_of(text) for text in texts], dtype=np.uint64),
    )


def _write(pieces: Sequence[_Piece], folder: Path) -> Path:
    ids, id_ends = joined([piece.ids for piece in pieces])
    digests, digest_ends = joined([piece.digests for piece in pieces])
    numbers = np.concatenate([piece.numbers for piece in pieces])
    order = np.argsort(numbers, kind="stable")
    arrays: dict[str, Sequence[Array]] = {
        "ids": ids,
        "ids.ends": id_ends,
        "digests": digests,
        "digests.ends": digest_ends,
        "counts": [piece.counts for piece in pieces],
        "sequences": [piece.sequences for piece in pieces],
        "moments": [piece.moments for piece in pieces],
        "numbers": [numbers[order]],
        "order": [order.astype(np.uint32)],
    }
    draft = Draft(folder)
    try:
        draft.write(REQUESTS, arrays)
        last = pieces[-1]
        return draft.finish(
            partial(Manifest, requests=len(order), last=last.sequences.item(-1), until=last.moments.item(-1))
        )
    except BaseException:
        draft.discard()
        raise


def _behind(texts: Packed, first: int) -> Packed:
    """The texts from ``first`` on."""
    begin = texts.offsets[first]
    return Packed(texts.blob[int(begin) : int(texts.offsets[-1])], texts.offsets[first:] - begin)


def _holds(arrays: Mapping[str, Array], name: str) -> bool:
    """Whether the texts ``name`` are as long as their ends say."""
    blob = arrays.get(name)
    return blob is not None and blob.dtype.str == "|u1" and blob.shape == (int(arrays[f"{name}.ends"][-1]),)
