"""How much is asked of a table at a time: as much as it answers in some seconds.

Where a page takes longer than a table is waited for, it is asked for again, and again, and what is busy is kept so; a
smaller one gets through. What is noted, of a move (`Moving.slowdown`) or a table, is how often it was halved, so that
whoever goes on begins where the last one was.
"""

MOST_HALVINGS = 3
"""Each page of a move asks every partition of both sides, however few its rows."""
LONG_SECONDS, SHORT_SECONDS = 6.0, 2.0
"""What takes longer is halved, what takes less doubled."""


def of(most: int, slowdown: int) -> int:
    """How many rows to look at, where there may be ``most``."""
    return max(most >> slowdown, 1)


def slower(slowdown: int) -> int:
    """After what did not succeed."""
    return min(slowdown + 1, MOST_HALVINGS)


def after(slowdown: int, seconds: float) -> int:
    """After what took so long."""
    if seconds > LONG_SECONDS:
        return slower(slowdown)
    return max(slowdown - 1, 0) if seconds < SHORT_SECONDS else slowdown
