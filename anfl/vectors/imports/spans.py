"""Cuts a file of JSON lines into spans, in one pass and without holding more than a block of it."""

from collections.abc import Iterable, Iterator

from anfl.problems import too_large
from anfl.vectors.imports.model import Span
from anfl.vectors.requests import MAX_BODY_BYTES

CHUNK_ROWS = 5_000
CHUNK_BYTES = 8 * 2**20
"""Of a chunk, so that storing it stays far below the function's memory and time."""


def spans(blocks: Iterable[bytes], *, rows: int = CHUNK_ROWS, size: int = CHUNK_BYTES) -> Iterator[Span]:
    """The spans of a file, of at most ``rows`` rows and ``size`` bytes each; a longer line has one for itself.

    They follow from the file and the two limits alone, however it comes in ``blocks``.

    :raises Problem: 413, a line is longer than a request may be.
    """
    start = stop = first = count = 0
    for length, blank in _lines(blocks):
        if count and not blank and (count == rows or stop + length - start > size):
            yield Span(start=start, stop=stop, first_row=first, rows=count)
            start, first, count = stop, first + count, 0
        stop += length
        count += not blank
    if count:
        yield Span(start=start, stop=stop, first_row=first, rows=count)


def _lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, bool]]:
    """Of each line its length in bytes, with its end, and whether it is blank."""
    length, blank, number = 0, True, 0
    for block in blocks:
        position = 0
        while position < len(block):
            end = block.find(b"\n", position) + 1
            part = block[position : end or len(block)]
            length += len(part)
            blank = blank and not part.strip()
            if length > MAX_BODY_BYTES:
                raise too_large(f"Line {number + 1} has more than {MAX_BODY_BYTES} bytes.")
            position += len(part)
            if end:
                yield length, blank
                length, blank, number = 0, True, number + 1
    if length:
        yield length, blank
