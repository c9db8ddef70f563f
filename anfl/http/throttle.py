"""How much one caller may ask of a region: so many requests a second, and so many at once; above it 429.

A token bucket for each tenant and subject (`anfl.buckets`). Each process decides by buckets of its own, and no
request waits for anybody. Ten times a second at most, and only where somebody has asked, a thread tells the region's
cache what was spent here, and hears what the bucket of the whole region has left. So:

- in the long run a caller gets its rate: what several processes gave too much at once is owed;
- it gets too much by what it sends to other processes within one exchange (0.1 s), and in no process more than a burst;
- it is refused too early by what flows in during two exchanges, a fifth of a second's at most.

Where the cache is gone, hangs or forgets, the buckets of the processes go on by themselves: each lets through the rate.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from anfl.auth.principal import Principal
from anfl.buckets import Bucket, Buckets, Region, Settings

EXCHANGE_SECONDS = 0.1
"""Between two exchanges of a process with the region."""


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
        self._buckets = Buckets(settings, refused=refused, clock=clock)
        self._region = region
        self._clock = clock
        self._used: list[Bucket] = []
        self._exchanging: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="throttle")

    def spend(self, principal: Principal) -> None:
        """Take a token of the caller's.

        :raises Problem: 429 ``too_many_requests``, it has none; with the seconds until it has.
        """
        bucket = self._buckets.of((principal.tenant, principal.subject))
        if not bucket.used and self._region is not None:
            self._note(bucket)
        self._buckets.take(bucket)

    def close(self) -> None:
        """Exchange nothing more."""
        if self._exchanging is not None:
            self._exchanging.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _note(self, bucket: Bucket) -> None:
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
        asked = self._clock()
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._buckets.tell, region, told)
        if found is not None:
            for bucket, seconds in zip(used, found, strict=True):
                self._buckets.hear(bucket, asked=asked, seconds=seconds)
