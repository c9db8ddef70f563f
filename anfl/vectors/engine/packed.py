"""Many byte strings as one array and the places where they begin: no object for each."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Blob = NDArray[np.uint8]
Offsets = NDArray[np.uint64]


def pack(texts: Sequence[bytes]) -> tuple[Blob, Offsets]:
    """The texts one after another, and where each begins and the last one ends: shapes (bytes,), (n + 1,)."""
    offsets = np.zeros(len(texts) + 1, dtype=np.uint64)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.uint64, count=len(texts)), out=offsets[1:])
    return np.frombuffer(b"".join(texts), dtype=np.uint8), offsets


class Packed(Sequence[bytes]):
    """Reads what `pack` made."""

    def __init__(self, blob: Blob, offsets: Offsets) -> None:
        self.blob = blob
        self.offsets = offsets
        self._bytes = blob.data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> bytes:  # type: ignore[override]
        return self._bytes[self.offsets.item(number) : self.offsets.item(number + 1)].tobytes()

    def text(self, number: int) -> str:
        """One of the byte strings that are UTF-8."""
        return str(self._bytes[self.offsets.item(number) : self.offsets.item(number + 1)], "utf-8")

    def __iter__(self) -> Iterator[bytes]:
        data, ends = self.blob.tobytes(), self.offsets.tolist()
        return (data[begin:end] for begin, end in pairwise(ends))

    def take(self, numbers: Iterable[int]) -> list[bytes]:
        """The texts of ``numbers``."""
        ends = self.offsets.tolist()
        return [self._bytes[ends[number] : ends[number + 1]].tobytes() for number in numbers]


def joined(parts: Sequence[Packed]) -> tuple[list[Blob], list[Offsets]]:
    """Pieces of a blob and of its offsets that hold the texts of all ``parts``."""
    offsets, base = [np.zeros(1, dtype=np.uint64)], 0
    for part in parts:
        offsets.append(part.offsets[1:] + np.uint64(base))
        base += int(part.offsets[-1])
    return [part.blob for part in parts], offsets
