"""Several objects on their way at a time, and no more of them in memory."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from anfl.problems import Problem
from anfl.vectors.objects import StoreUnavailableError

TRANSFERS = 6
"""Parts on their way at a time, so that this many times `anfl.vectors.parts.PART_BYTES` are in memory."""
T = TypeVar("T")
R = TypeVar("R")


class Transfers:
    """How many at a time; 1 starts no thread."""

    def __init__(self, most: int = TRANSFERS) -> None:
        self._most = most

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``work`` over ``items`` in order, as many at a time as may be in memory. Once the store does not answer, no
        more are begun; what is damaged is left to be found as a whole."""
        if self._most == 1:
            yield from map(work, items)
            return
        room, failed = threading.Semaphore(self._most), threading.Event()

        def release(item: T) -> R:
            try:
                return work(item)
            except (Problem, StoreUnavailableError):
                failed.set()
                raise
            finally:
                room.release()

        with ThreadPoolExecutor(self._most, thread_name_prefix="transfer") as threads:
            waiting = []
            for item in items:
                room.acquire()
                if failed.is_set():
                    break
                waiting.append(threads.submit(release, item))
            for done in waiting:
                yield done.result()

    def all(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """Like `each`, where only the work matters."""
        for _ in self.each(work, items):
            pass
