"""The threads of one process, of which no tenant's requests have more than some at a time; its others wait without one.

Whatever takes long (a file that is read for its checksum, a search of many records, changes of one model that come one
after another) would otherwise keep all other tenants waiting, and whoever asks whether the process is ready.
"""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

THREADS = 32
MOST_OF_TENANT = 16

TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)
"""For whom `asyncio.to_thread` is called; None: for the process itself."""
T = TypeVar("T")
_Waiting = tuple[Future[Any], Callable[[], Any]]


class SharedThreads(ThreadPoolExecutor):
    """An executor for an event loop."""

    def __init__(self, *, threads: int = THREADS, most_of_tenant: int = MOST_OF_TENANT) -> None:
        super().__init__(threads, thread_name_prefix="request")
        self._most = most_of_tenant
        self._running = Counter[str]()
        self._queues = defaultdict[str, deque[_Waiting]](deque)
        self._turns = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:  # noqa: ANN401 - as the base class
        """See `Executor`."""
        tenant = TENANT.get()
        if tenant is None:
            return super().submit(fn, *args, **named)
        future: Future[T] = Future()
        call = partial(fn, *args, **named)
        with self._turns:
            if self._running[tenant] >= self._most:
                self._queues[tenant].append((future, call))
                return future
            super().submit(self._run, tenant, future, call)
            self._running[tenant] += 1
        return future

    def _run(self, tenant: str, future: Future[Any], call: Callable[[], Any]) -> None:
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        self._next(tenant)

    def _next(self, tenant: str) -> None:
        """Begin what of the tenant's waits, behind what of others does."""
        with self._turns:
            if queue := self._queues.get(tenant):
                future, call = queue.popleft()
                if not queue:
                    del self._queues[tenant]
                try:
                    super().submit(self._run, tenant, future, call)
                except RuntimeError:  # the process ends
                    future.cancel()
                return
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
