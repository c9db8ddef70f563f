"""What is measured of sealing, and what must hold: each figure beside the same without, in the same minutes."""

import statistics

import msgspec

LOAD_LIMIT = 0.90
QUERY_LIMIT = 0.98
COLD_LIMIT = 1.5
"""Seconds."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A figure without sealing and with it, one right after the other."""

    plain: float
    sealed: float

    @property
    def ratio(self) -> float:
        """With, to without."""
        return self.sealed / self.plain


class SealingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Rates are a second; processor time is of all processes of the node."""

    source: str
    rows: int
    dimension: int
    loads: list[Pair]
    """Rows a second until all are acknowledged."""
    load_processor: list[Pair]
    """Microseconds a row, until its graph is built."""
    queries: list[Pair]
    """Queries a second, one worker."""
    query_processor: list[Pair]
    """Microseconds a query."""
    colds: list[Pair]
    """Seconds from the first query of a node that has only the bucket to its answer."""

    @property
    def passed(self) -> bool:
        """Whether it stays within the limits."""
        return (
            middle(self.loads) >= LOAD_LIMIT
            and middle(self.queries) >= QUERY_LIMIT
            and max(pair.sealed for pair in self.colds) <= COLD_LIMIT
        )


def middle(pairs: list[Pair]) -> float:
    """The median of their ratios."""
    return statistics.median(pair.ratio for pair in pairs)
