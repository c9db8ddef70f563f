"""An invocation of a function, as Lambda's runtime hands it over."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """With so much time left, whenever it is asked."""

    seconds: int

    def get_remaining_time_in_millis(self) -> int:
        """See `anfl.invocation.Context`."""
        return 1000 * self.seconds
