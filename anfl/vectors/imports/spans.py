"""Cuts a file of JSON lines into spans, in one pass and without holding more than a block of it."""

from collections.abc import Iterable, Iterator

from anfl.problems import Problem, too_large
from anfl.vectors.imports.model import Span

CHUNK_ROWS = 5_000
CHUNK_BYTES = 8 * 2**20
"""Of a chunk, so that storing it stays far below the function's memory and time."""
MAX_LINE_BYTES = 2**20
"""The largest row, ids, values and metadata at their limits, takes about 150 kB as JSON."""


def spans(blocks: Iterable[bytes], *, field: str, rows: int = CHUNK_ROWS, size: int = CHUNK_BYTES) -> Iterator[Span]:
    """The spans of a file, of at most ``rows`` rows and ``size`` bytes each; a longer line has one for itself.

    They follow from the file and the two limits alone, however it comes in ``blocks``.

    :param field: what the file is called in errors.
    :raises Problem: 413 naming the row, a line is longer than any row is.
    """
    start = stop = first = count = 0
    for length, blank in _lines(blocks):
        if length > MAX_LINE_BYTES:
            raise _too_long(first + count, field)
        if count and not blank and (count == rows or stop + length - start > size):
            yield Span(start=start, stop=stop, first_row=first, rows=count)
            start, first, count = stop, first + count, 0
        stop += length
        count += not blank
    if count:
        yield Span(start=start, stop=stop, first_row=first, rows=count)


def _lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, bool]]:
    """Of each line its length in bytes, with its end, and whether it is blank; one that is too long ends early."""
    length, blank = 0, True
    for block in blocks:
        position = 0
        while position < len(block):
            end = block.find(b"\n", position) + 1
            part = block[position : end or len(block)]
            length += len(part)
            blank = blank and part.isspace()
            position += len(part)
            if end or length > MAX_LINE_BYTES:
                yield length, blank
                length, blank = 0, True
    if length:
        yield length, blank


def _too_long(row: int, field: str) -> Problem:
    problem = too_large(f"A line has more than {MAX_LINE_BYTES} bytes.", field=field)
    problem.extensions["row"] = row
    return problem
