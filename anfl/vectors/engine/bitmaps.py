"""Sets of rows: bit i of word i // 64 says whether row i belongs; bits beyond the last row are 0."""

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]


def nothing(count: int) -> Bits:
    """No row of ``count``."""
    return np.zeros((count + 63) // 64, dtype=np.uint64)


def everything(count: int) -> Bits:
    """All rows of ``count``."""
    words = np.full((count + 63) // 64, ~np.uint64(0))
    if count % 64:
        words[-1] = (1 << count % 64) - 1
    return words


def of_mask(mask: NDArray[np.bool_]) -> Bits:
    """The rows where ``mask`` (n,) is true."""
    packed = np.packbits(mask, bitorder="little")
    words = np.zeros((len(mask) + 63) // 64 * 8, dtype=np.uint8)
    words[: len(packed)] = packed
    return words.view(np.uint64)


def of_rows(rows: "NDArray[np.integer]", count: int) -> Bits:
    """The given rows of ``count``."""
    mask = np.zeros(count, dtype=np.bool_)
    mask[rows] = True
    return of_mask(mask)


def mask(bits: Bits, count: int) -> NDArray[np.bool_]:
    """For each row of ``count`` whether it belongs, shape (count,)."""
    return np.unpackbits(bits.view(np.uint8), count=count, bitorder="little").view(np.bool_)


def rows(bits: Bits, count: int) -> NDArray[np.int64]:
    """The rows that belong, ascending."""
    return np.flatnonzero(mask(bits, count))


def size(bits: Bits) -> int:
    """How many rows belong."""
    return int(np.bitwise_count(bits).sum())


def holds(bits: Bits, row: int) -> bool:
    """Whether ``row`` belongs."""
    return bool(int(bits[row >> 6]) >> (row & 63) & 1)


def remove(bits: Bits, members: NDArray[np.int64]) -> None:
    """Take ``members`` out, in place; distinct or not."""
    np.bitwise_and.at(bits, members >> 6, ~(np.uint64(1) << (members & 63).astype(np.uint64)))


def resized(bits: Bits, count: int) -> Bits:
    """A copy for ``count`` rows, not fewer than before; new ones do not belong."""
    words = nothing(count)
    words[: len(bits)] = bits
    return words


def add_range(bits: Bits, first: int, last: int) -> None:
    """Let the rows first … last − 1 belong, in place."""
    whole = everything(last)
    whole[: (first + 63) // 64] &= ~everything(first)
    bits[: len(whole)] |= whole
