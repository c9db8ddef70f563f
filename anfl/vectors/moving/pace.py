"""How much of a collection a move looks at together: as much as the slower of both tables takes in a second or two.

A page that takes longer is asked for again and again by those who wait for it, and so keeps a busy table from ever
answering; a small one gets through, and those behind it, too. What is noted (`Moving.slowdown`) is how often it was
halved, so that whoever goes on begins where the last one was.
"""

LEAST_ROWS = 8
MOST_HALVINGS = 6
LONG_SECONDS, SHORT_SECONDS = 2.0, 0.5
"""A page that takes longer is too large, one that takes less too small."""


def of(most: int, slowdown: int) -> int:
    """How many rows to look at, where there may be ``most``."""
    return max(most >> slowdown, min(most, LEAST_ROWS))


def slower(slowdown: int) -> int:
    """After what did not succeed."""
    return min(slowdown + 1, MOST_HALVINGS)


def after(slowdown: int, seconds: float) -> int:
    """After what took so long."""
    if seconds > LONG_SECONDS:
        return slower(slowdown)
    return max(slowdown - 1, 0) if seconds < SHORT_SECONDS else slowdown
