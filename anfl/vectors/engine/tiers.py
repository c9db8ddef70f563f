"""When fresh rows go into a segment, and which segments are written again with them.

Adding a row to a graph costs about fifteen times as much as copying one with its links. So fresh rows extend a copy of
a segment as long as that is at most `GAIN` times as large as what is added to it, smaller segments being added row by
row; a large segment is left alone until enough has gathered beside it. Whatever has gathered, a step adds a bounded
number of fresh rows: readers have use of a graph long before all of a large load is in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FRESH_ROWS = 10_000
"""Most fresh rows before they go into a segment: comparing them with a query takes about a quarter of a millisecond."""
MOST_ADDED = 2 * FRESH_ROWS
"""Most fresh rows that one step puts into a segment."""
HEAVY_BYTES = 256 * 2**20
"""Memory of fresh rows, however few they are, above which those that get a graph go into a segment."""
GRAPH_FROM = 1_000
"""Fewest rows that get a graph, or a segment at all."""
SEGMENTS = 4
"""Most segments: each is searched by every query."""
GAIN = 8
QUIET_GAIN = 128
"""The same while there is nothing else to do: fewer segments make faster queries."""
MOST_DEAD = 0.3
"""Share of dead rows above which a graph is built anew."""


@dataclass(frozen=True)
class Sizes:
    """Rows of a segment, and how many of them are alive."""

    rows: int
    alive: int

    @property
    def is_worn(self) -> bool:
        """Whether too many rows are dead."""
        return self.rows - self.alive > MOST_DEAD * self.rows


@dataclass(frozen=True)
class Step:
    """Write one segment of those with the numbers ``sources``, and of the fresh rows.

    Rows keep their places in the graph of segment ``base``; None: a new graph.
    """

    sources: tuple[int, ...]
    base: int | None


def next_step(segments: Sequence[Sizes], fresh: int, *, quiet: bool = False, heavy: bool = False) -> Step | None:
    """What to do next; None for nothing.

    :param fresh: alive rows in no segment.
    :param quiet: nobody has written for a while, so that smaller pieces are worth the work.
    :param heavy: fresh rows take more than `HEAVY_BYTES`.
    """
    total = fresh + sum(segment.alive for segment in segments)
    enough = GRAPH_FROM if heavy else min(max(total // 4, GRAPH_FROM), FRESH_ROWS)
    worn = [number for number, segment in enumerate(segments) if segment.is_worn]
    if fresh < enough and not worn and not quiet:
        return None
    gain = QUIET_GAIN if quiet else GAIN
    gathered = min(fresh, MOST_ADDED) + sum(segments[number].alive for number in worn)
    others = sorted(set(range(len(segments))) - set(worn), key=lambda number: segments[number].rows)
    absorbed: list[int] = []
    for place, number in enumerate(others):
        too_many = len(others) - place + (gathered > 0) > SEGMENTS
        if too_many or segments[number].rows <= gain * gathered:
            absorbed = others[: place + 1]
        elif not quiet:
            break
        gathered += segments[number].alive
    if not worn and not absorbed and fresh < GRAPH_FROM:
        return None
    return Step((*worn, *absorbed), absorbed[-1] if absorbed else None)
