"""The threads of one process, of which no tenant's requests have more than some at a time; its others wait without one.
Nor do all tenants' together have all, where the process itself takes them, too: to ask whether tokens are good, and
whether it is ready.

Whatever takes long (a file that is read for its checksum, a search of many records, changes of one model that come one
after another, a store that hangs) would otherwise keep all other tenants waiting.
"""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)
"""For whom threads are taken (by `asyncio.to_thread`, say); None: for the process itself."""
T = TypeVar("T")
_Waiting = tuple[Future[Any], Callable[[], Any]]


class SharedThreads(ThreadPoolExecutor):
    """An executor for an event loop."""

    def __init__(self, *, threads: int, most_of_tenant: int, kept: int = 0) -> None:
        """:param kept: for what is no tenant's, where that takes these threads, too."""
        super().__init__(threads, thread_name_prefix="request")
        self._most = threads - kept
        self._most_of_tenant = most_of_tenant
        self._running = Counter[str]()
        self._queues = OrderedDict[str, deque[_Waiting]]()
        """Of tenants whose calls wait, the one that has waited longest for its turn first."""
        self._turns = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:  # noqa: ANN401 - as the base class
        """See `Executor`."""
        tenant = TENANT.get()
        if tenant is None:
            return super().submit(fn, *args, **named)
        future: Future[T] = Future()
        with self._turns:
            self._queues.setdefault(tenant, deque()).append((future, partial(fn, *args, **named)))
            self._begin()
        return future

    def _begin(self) -> None:
        """Begin what may run of what waits: tenants take turns."""
        while self._running.total() < self._most:
            tenant = next((each for each in self._queues if self._running[each] < self._most_of_tenant), None)
            if tenant is None:
                return
            future, call = self._queues[tenant].popleft()
            if self._queues[tenant]:
                self._queues.move_to_end(tenant)
            else:
                del self._queues[tenant]
            try:
                super().submit(self._run, tenant, future, call)
            except RuntimeError:  # the process ends
                future.cancel()
            else:
                self._running[tenant] += 1

    def _run(self, tenant: str, future: Future[Any], call: Callable[[], Any]) -> None:
        if future.set_running_or_notify_cancel():
            try:
                result = call()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        with self._turns:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
            self._begin()
