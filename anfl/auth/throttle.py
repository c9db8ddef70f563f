"""How much one caller may ask of the function `auth` in a region: the services' token buckets, for calls one by one.

A function's process is frozen between calls, so nothing happens in the background: a call that the process itself would
let through is told to the region's cache before it goes on, which answers what the whole region's bucket has left.
Without the cache each process goes on by its own buckets.
"""

from collections.abc import Callable
from typing import Protocol

from anfl import elapsed
from anfl.buckets import Buckets, Region, Settings

SPARE = Settings(rate=1 / 60, burst=60)
"""With which a caller revokes its own logins once its tenant has had its share of the deny-list: one a minute."""


class Bearer(Protocol):
    """Who has proven whose it is."""

    @property
    def tenant(self) -> str: ...

    @property
    def subject(self) -> str: ...


class CallThrottle:
    """Of one process, which answers one call at a time."""

    def __init__(
        self, settings: Settings, *, region: Region | None, clock: Callable[[], float] = elapsed.seconds
    ) -> None:
        """:param region: None: this process decides alone."""
        self._buckets = Buckets(settings, clock=clock)
        self._region = region
        self._clock = clock

    def spend(self, bearer: Bearer, *, on: str = "call") -> None:
        """Take a token of a caller that has proven who it is, of its bucket for calls, or for something else.

        :raises Problem: 429 ``too_many_requests``, with the seconds until there is one.
        """
        # No tenant's name holds a slash, so none of these is a bucket of the services.
        self._spend(f"{on}/{bearer.tenant}", bearer.subject)

    def spend_claimed(self, client: str, *, address: str) -> None:
        """Take a token of whoever claims, from ``address``, to be ``client``.

        By address too: a name that anybody may claim would otherwise let anybody keep its bearer out.

        :raises Problem: see `spend`.
        """
        self._spend(f"claim/{address}", client)

    def _spend(self, kind: str, name: str) -> None:
        bucket = self._buckets.of((kind, name))
        self._buckets.take(bucket)
        asked, spent = self._clock(), bucket.spent
        bucket.spent = 0
        found = self._buckets.tell(self._region, {bucket.key: spent}) if self._region else None
        if found is not None:
            self._buckets.hear(bucket, asked=asked, seconds=found[0])
