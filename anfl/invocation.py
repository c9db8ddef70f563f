"""One invocation of a Lambda function: how long it may take."""

from collections.abc import Callable
from typing import Protocol


class Context(Protocol):
    """Of an invocation, as Lambda makes it."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is killed."""


def seconds_left(context: Context) -> float:
    """Until the invocation is killed."""
    return context.get_remaining_time_in_millis() / 1000


def nearly_over(context: Context, *, margin: float) -> Callable[[], bool]:
    """Tells whether less than ``margin`` seconds are left: too few to begin with anything."""
    return lambda: seconds_left(context) < margin
