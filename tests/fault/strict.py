"""In a fault suite a builder may be kept from its work, and never fail of itself."""

from anfl.vectors.events import NoEvents, Turn


class Strict(NoEvents):
    """`Events` that end whoever fails."""

    def turned(self, turn: Turn) -> None:
        """See `Events.turned`.

        :raises AssertionError: at a failure, while it is being handled.
        """
        if turn is Turn.FAILED:
            raise AssertionError("a turn of the builder failed")
