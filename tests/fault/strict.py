"""In a fault suite a builder may be kept from its work, and never fail of itself."""

from anfl.vectors.events import NoEvents, Turn
from tests.fault.oracle import expect


class Strict(NoEvents):
    """`Events` that end whoever fails."""

    def turned(self, turn: Turn) -> None:
        """See `Events.turned`.

        :raises DivergenceError: at a failure, while it is being handled.
        """
        expect(turn is not Turn.FAILED, "a turn of the builder failed")
