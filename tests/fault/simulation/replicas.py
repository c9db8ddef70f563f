"""Global tables: each region has the items by itself, and hears of the others' later.

As DynamoDB's with eventual consistency: conditions and transactions hold in the region that is asked, each item travels
by itself, and of what two regions write under one key the later write stays, wherever it comes first.
"""

from collections.abc import Callable, Hashable, Mapping
from itertools import count
from typing import Any, Generic, TypeVar

from tests.fault.simulation.world import World

K = TypeVar("K", bound=Hashable)
Item = dict[str, Any]


class Replica(Generic[K]):
    """What one region has of a table."""

    def __init__(self, arrived: Callable[[], None] = lambda: None) -> None:
        """:param arrived: told of each write of another region."""
        self.items: dict[K, Item] = {}
        self._written: dict[K, int] = {}
        """Which write, of all there were, stands under a key, or has deleted what did."""
        self._arrived = arrived
        self._send: Callable[[K, Item | None, int], None] = lambda *_: None
        self._number: Callable[[], int] = count().__next__

    def write(self, key: K, item: Item | None) -> None:
        """Let ``item`` stand under ``key`` here (None: nothing), and elsewhere some time later."""
        number = self._number()
        self._take(key, item, number)
        self._send(key, item, number)

    def join(self, others: "Mapping[str, Replica[K]]", number: Callable[[], int], world: World, *, most: float) -> None:
        """Let what is written here arrive at the ``others`` within ``most`` seconds, in any order.

        :param number: numbers writes, wherever they are.
        """

        def send(key: K, item: Item | None, number: int) -> None:
            for other in others.values():
                if other is not self:
                    world.later(lambda other=other: other._arrive(key, item, number), most=most)  # type: ignore[misc]

        self._send, self._number = send, number

    def _arrive(self, key: K, item: Item | None, number: int) -> None:
        if number > self._written.get(key, -1):
            self._take(key, item, number)
            self._arrived()

    def _take(self, key: K, item: Item | None, number: int) -> None:
        self._written[key] = number
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item


def join(replicas: Mapping[str, Replica[K]], world: World, *, most: float) -> None:
    """Make one global table of ``replicas``, by region."""
    number = count(1).__next__
    for replica in replicas.values():
        replica.join(replicas, number, world, most=most)
