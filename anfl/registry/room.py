"""How much of a tenant's records the searches of one process hold at a time: a tenant may have any number of them."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from anfl.registry.errors import contended, invalid_parameter
from anfl.registry.families import size_of

MOST = 512 * 1024 * 1024
"""Of all searches that run at a time."""
MOST_OF_ONE = 256 * 1024 * 1024
"""Of each."""
SMALL = 8 * 1024 * 1024
"""What each may hold whatever others do: as many run as there are threads."""


class Share:
    """What one search holds."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self.size = 0

    def hold(self, documents: Sequence[str]) -> None:
        """Hold these as well.

        :raises Problem: 400, that is too much; 503, other searches hold too much.
        """
        self._room.take(self, size_of(documents))

    def pages(self, found: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
        """Documents as they come, of which all are held.

        :raises Problem: see `hold`.
        """
        for documents in found:
            self.hold(documents)
            yield documents


class Room:
    """Of one process."""

    def __init__(self, *, most: int = MOST, most_of_one: int = MOST_OF_ONE, small: int = SMALL) -> None:
        """:param most: bytes of all searches together. :param most_of_one: of each.
        :param small: of each, whatever others hold.
        """
        self._most = most
        self._most_of_one = most_of_one
        self._small = small
        self._taken = 0
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A search's, as long as it lasts."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._lock:
                self._taken -= share.size

    def take(self, share: Share, size: int) -> None:
        """:raises Problem: see `Share.hold`."""
        if share.size + size > self._most_of_one:
            message = f"More records than one search may hold ({self._most_of_one} bytes) come into question."
            raise invalid_parameter(f"{message} Name models or runs in the filter.", field="filter")
        with self._lock:
            if self._taken + size > self._most and share.size + size > self._small:
                raise contended("Other searches hold very many records; try again.")
            self._taken += size
            share.size += size
