"""How much of tenants' records the searches of one process hold at a time: a tenant may have any number of them."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from anfl.problems import Problem
from anfl.registry.errors import contended, invalid_parameter
from anfl.registry.families import size_of

MOST = 512 * 1024 * 1024
"""Of all searches that run at a time."""
MOST_OF_TENANT = 256 * 1024 * 1024
"""Of all searches of one tenant: its next one waits, and not those of others."""
MOST_OF_ONE = 256 * 1024 * 1024
"""Of each."""
SMALL = 8 * 1024 * 1024
"""What each may hold whatever others do: as many run as there are threads."""


class Share:
    """What one search holds."""

    def __init__(self, room: "Room", tenant: str) -> None:
        self._room = room
        self.tenant = tenant
        self.size = 0

    def hold(self, documents: Sequence[str]) -> None:
        """Hold these as well.

        :raises Problem: 400, that is too much; 429, other searches of the tenant hold too much; 503, of others.
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

    def __init__(
        self,
        *,
        most: int = MOST,
        most_of_tenant: int = MOST_OF_TENANT,
        most_of_one: int = MOST_OF_ONE,
        small: int = SMALL,
    ) -> None:
        """:param most: bytes of all searches together. :param most_of_tenant: of those of a tenant.
        :param most_of_one: of each. :param small: of each, whatever others hold.
        """
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._most_of_one = most_of_one
        self._small = small
        self._taken = Counter[str]()
        self._lock = threading.Lock()

    @contextmanager
    def share(self, tenant: str) -> Iterator[Share]:
        """A search's, as long as it lasts."""
        share = Share(self, tenant)
        try:
            yield share
        finally:
            with self._lock:
                self._taken[tenant] -= share.size
                if not self._taken[tenant]:
                    del self._taken[tenant]

    def take(self, share: Share, size: int) -> None:
        """:raises Problem: see `Share.hold`."""
        if share.size + size > self._most_of_one:
            message = f"More records than one search may hold ({self._most_of_one} bytes) come into question."
            raise invalid_parameter(f"{message} Name models or runs in the filter.", field="filter")
        with self._lock:
            if share.size + size > self._small:
                if self._taken[share.tenant] + size > self._most_of_tenant:
                    raise _too_many_at_once()
                if self._taken.total() + size > self._most:
                    raise contended("Other searches hold very many records; try again.")
            self._taken[share.tenant] += size
            share.size += size


def _too_many_at_once() -> Problem:
    detail = "Your other searches hold very many records; ask again."
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_at_once", detail, retry_after=1)
