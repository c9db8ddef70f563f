"""How much one caller may ask of a region: so many requests a second, and so many at once; above it 429.

A token bucket for each tenant and subject, kept as the generic cell rate algorithm has it (ITU-T I.371): one number,
the time at which the bucket is full again. Each process decides by buckets of its own, and no request waits for
anybody. Ten times a second at most, and only where somebody has asked, a thread tells the region's cache what was spent
here, and hears what the bucket of the whole region has left. So:

- in the long run a caller gets its rate: what several processes gave too much at once is owed;
- it gets too much by what it sends to other processes within one exchange (0.1 s), and in no process more than a burst;
- it is refused too early by what flows in during two exchanges, a fifth of a second's at most.

Where the cache is gone, hangs or forgets, the buckets of the processes go on by themselves: each lets through the rate.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Protocol

import msgspec

from anfl.auth.principal import Principal
from anfl.problems import Problem

EXCHANGE_SECONDS = 0.1
"""Between two exchanges of a process with the region."""
MOST_OWED_SECONDS = 60.0
"""Longest that somebody is refused after a whole burst, whatever the cache says."""
MOST_KNOWN = 4096
"""Above so many buckets, those that are full are forgotten: they would be full again."""
_ROUNDING = 0.01
"""Of a token."""


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


class _Bucket:
    __slots__ = ("full_at", "key", "spent", "used")

    def __init__(self, key: str) -> None:
        self.key = key
        self.full_at = float("-inf")
        self.spent = 0
        """Since the last exchange."""
        self.used = False
        """Whether anybody has asked since then; in vain, perhaps."""


class Throttle:
    """Of one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        region: Region | None,
        refused: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param region: None: this process decides alone. :param refused: told of each refusal."""
        self._token_seconds = 1 / settings.rate
        self._depth = settings.burst / settings.rate
        self._limits = settings
        self._region = region
        self._refused = refused
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._used: list[_Bucket] = []
        self._room = MOST_KNOWN
        self._exchanging: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="throttle")

    def spend(self, principal: Principal) -> None:
        """Take a token of the caller's.

        :raises Problem: 429 ``too_many_requests``, it has none; with the seconds until it has.
        """
        now = self._clock()
        bucket = self._buckets.get((principal.tenant, principal.subject)) or self._added(principal, now)
        if not bucket.used and self._region is not None:
            self._note(bucket)
        full_at = (bucket.full_at if bucket.full_at > now else now) + self._token_seconds
        excess = full_at - now - self._depth
        if excess > _ROUNDING * self._token_seconds:
            self._refused()
            raise _too_many(self._limits, excess)
        bucket.full_at = full_at
        bucket.spent += 1

    def close(self) -> None:
        """Exchange nothing more."""
        if self._exchanging is not None:
            self._exchanging.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _added(self, principal: Principal, now: float) -> _Bucket:
        if len(self._buckets) >= self._room:
            kept = {who: bucket for who, bucket in self._buckets.items() if bucket.used or bucket.full_at > now}
            self._buckets = kept
            self._room = max(MOST_KNOWN, 2 * len(kept))
        bucket = _Bucket(_key(principal))
        self._buckets[principal.tenant, principal.subject] = bucket
        return bucket

    def _note(self, bucket: _Bucket) -> None:
        bucket.used = True
        self._used.append(bucket)
        if self._exchanging is None or self._exchanging.done():
            self._exchanging = asyncio.get_running_loop().create_task(self._exchanges())

    async def _exchanges(self) -> None:
        while self._used:
            await asyncio.sleep(EXCHANGE_SECONDS)
            await self.exchange()

    async def exchange(self) -> None:
        """Tell the region what was spent here, and hear what is left. Called in the background."""
        region, used = self._region, self._used
        if region is None or not used:
            return
        self._used = []
        told = {bucket.key: bucket.spent for bucket in used}
        for bucket in used:
            bucket.spent, bucket.used = 0, False
        asked, most = self._clock(), self._depth + MOST_OWED_SECONDS

        def spend() -> list[float] | None:
            return region.spend(told, token_seconds=self._token_seconds, most_seconds=most)

        found = await asyncio.get_running_loop().run_in_executor(self._thread, spend)
        if found is None:
            return
        for bucket, seconds in zip(used, found, strict=True):
            meanwhile = bucket.spent * self._token_seconds
            bucket.full_at = max(bucket.full_at, asked + min(seconds, most) + meanwhile)


def _key(principal: Principal) -> str:
    """The same in all processes; it names nobody."""
    named = f"{len(principal.tenant)}:{principal.tenant}{principal.subject}".encode()
    return hashlib.blake2b(named, digest_size=16).hexdigest()


def _too_many(limits: Settings, seconds: float) -> Problem:
    detail = f"You may send {limits.rate:g} requests a second, and {limits.burst} at once; slow down."
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail, retry_after=max(1, math.ceil(seconds)))
