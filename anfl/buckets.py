"""Buckets of tokens of one process, by caller, as the generic cell rate algorithm has them (ITU-T I.371).

A bucket is one number, the time at which it is full again. Who uses them says when the region hears of it: services
in the background (`anfl.http.throttle`), the function `auth` after each call (`anfl.auth.throttle`).
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import msgspec

from anfl.problems import Problem

MOST_OWED_SECONDS = 60.0
"""Longest that somebody is refused after a whole burst, whatever the cache says."""
MOST_KNOWN = 4096
"""Above so many buckets, those that are full are forgotten: they would be full again."""
_ROUNDING = 0.01
"""Of a token."""

Caller = tuple[str, str]
"""Tenant and subject, or what else tells one caller from another."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What each caller may have, from a service's environment."""

    rate: float = msgspec.field(name="THROTTLE_RATE")
    """Requests a second."""
    burst: int = msgspec.field(name="THROTTLE_BURST")
    """Requests at once, after a while without any."""


class Region(Protocol):
    """The buckets of the whole region (see `anfl.cache.SharedBuckets`)."""

    def spend(self, spent: Mapping[str, int], *, token_seconds: float, most_seconds: float) -> list[float] | None:
        """Take tokens, by bucket; returns in how many seconds each is full again, ``most_seconds`` at most.

        None where that cannot be told. Does not raise, and blocks for less than a second.
        """


class Bucket:
    """One caller's."""

    __slots__ = ("full_at", "key", "spent", "used")

    def __init__(self, key: str) -> None:
        self.key = key
        self.full_at = float("-inf")
        self.spent = 0
        """What the region has not been told of yet."""
        self.used = False
        """Whether anybody has asked since it was; in vain, perhaps."""


class Buckets:
    """Of one process. Not safe for threads, but for `tell`."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float], refused: Callable[[], None] = lambda: None
    ) -> None:
        """:param refused: told of each refusal."""
        self._token_seconds = 1 / settings.rate
        self._depth = settings.burst / settings.rate
        self._limits = settings
        self._refused = refused
        self._clock = clock
        self._buckets: dict[Caller, Bucket] = {}
        self._room = MOST_KNOWN

    def of(self, caller: Caller) -> Bucket:
        """The caller's; a full one where it has none yet."""
        return self._buckets.get(caller) or self._added(caller)

    def take(self, bucket: Bucket) -> None:
        """Take a token.

        :raises Problem: 429 ``too_many_requests``, there is none; with the seconds until there is.
        """
        now = self._clock()
        full_at = (bucket.full_at if bucket.full_at > now else now) + self._token_seconds
        excess = full_at - now - self._depth
        if excess > _ROUNDING * self._token_seconds:
            self._refused()
            raise _too_many(self._limits, excess)
        bucket.full_at = full_at
        bucket.spent += 1

    def tell(self, region: Region, spent: Mapping[str, int]) -> list[float] | None:
        """See `Region.spend`."""
        return region.spend(spent, token_seconds=self._token_seconds, most_seconds=self._depth + MOST_OWED_SECONDS)

    def hear(self, bucket: Bucket, *, asked: float, seconds: float) -> None:
        """Of what the region's has left. :param seconds: after ``asked`` it is full, but for what was spent since."""
        left = min(seconds, self._depth + MOST_OWED_SECONDS) + bucket.spent * self._token_seconds
        bucket.full_at = max(bucket.full_at, asked + left)

    def _added(self, caller: Caller) -> Bucket:
        if len(self._buckets) >= self._room:
            now = self._clock()
            kept = {who: bucket for who, bucket in self._buckets.items() if bucket.used or bucket.full_at > now}
            self._buckets = kept
            self._room = max(MOST_KNOWN, 2 * len(kept))
        self._buckets[caller] = bucket = Bucket(_key(caller))
        return bucket


def _key(caller: Caller) -> str:
    """The same in all processes; it names nobody."""
    tenant, subject = caller
    return hashlib.blake2b(f"{len(tenant)}:{tenant}{subject}".encode(), digest_size=16).hexdigest()


def _too_many(limits: Settings, seconds: float) -> Problem:
    detail = f"You may send {limits.rate:g} requests a second, and {limits.burst} at once; slow down."
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail, retry_after=max(1, math.ceil(seconds)))
