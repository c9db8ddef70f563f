"""Threads of a process: no tenant has all of them, whatever it asks for."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any

import pytest

from anfl.http.shared_threads import TENANT, SharedThreads


@contextmanager
def of(tenant: str) -> Iterator[None]:
    token = TENANT.set(tenant)
    yield
    TENANT.reset(token)


@pytest.fixture(name="threads")
def _threads() -> Iterator[SharedThreads]:
    with SharedThreads(threads=4, most_of_tenant=2, kept=1) as threads:
        yield threads


def test_a_tenant_leaves_threads_to_others_and_to_the_process(threads: SharedThreads) -> None:
    opened = threading.Event()
    with of("acme"):
        mine = [threads.submit(opened.wait) for _ in range(20)]
    with of("other"):
        assert threads.submit(lambda: "other's").result(5) == "other's"
    assert threads.submit(lambda: "nobody's").result(5) == "nobody's"
    assert sum(each.running() for each in mine) == 2
    opened.set()
    assert all(each.result(5) for each in mine)


def test_all_tenants_together_leave_threads_to_the_process(threads: SharedThreads) -> None:
    opened = threading.Event()
    waiting = []
    for tenant in ("acme", "other", "third"):
        with of(tenant):
            waiting += [threads.submit(opened.wait) for _ in range(20)]
    assert threads.submit(lambda: "nobody's").result(5) == "nobody's"
    assert sum(each.running() for each in waiting) == 3
    opened.set()
    assert all(each.result(5) for each in waiting)
    assert not threads._running
    assert not threads._queues


def test_tenants_take_turns(threads: SharedThreads) -> None:
    """Who has had many calls waiting for long keeps none of another's waiting until they are done."""
    opened, order = threading.Event(), list[str]()
    calls: list[Future[Any]] = []
    with of("acme"):
        calls += [threads.submit(opened.wait) for _ in range(2)]
    with of("other"):
        calls += [threads.submit(opened.wait)]
    for tenant in ("acme", "other", "third"):
        with of(tenant):
            calls += [threads.submit(order.append, tenant) for _ in range(30)]
    opened.set()
    for call in calls:
        call.result(5)
    assert max(map(order.index, ("acme", "other", "third"))) < 20


def test_what_waits_when_the_process_ends_is_not_waited_for() -> None:
    threads, opened = SharedThreads(threads=4, most_of_tenant=2, kept=1), threading.Event()
    with of("acme"):
        calls = [threads.submit(opened.wait) for _ in range(4)]
    threads.shutdown(wait=False)
    opened.set()
    assert [call.result(5) for call in calls[:2]] == [True, True]
    for call in calls[2:]:
        with pytest.raises(CancelledError):
            call.result(5)


def test_results_and_errors_arrive_and_no_more_run_than_may(threads: SharedThreads) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1
        if number % 3 == 0:
            raise ValueError(number)
        return number

    with of("acme"):
        futures = [threads.submit(work, number) for number in range(100)]
    for number, future in enumerate(futures):
        if number % 3 == 0:
            with pytest.raises(ValueError, match=str(number)):
                future.result(5)
        else:
            assert future.result(5) == number
    assert most == 2
    assert threads.submit(lambda: None).result(5) is None


def test_who_gives_up_waiting_leaves_its_turn_to_the_next(threads: SharedThreads) -> None:
    opened = threading.Event()
    done: list[int] = []
    with of("acme"):
        for _ in range(2):
            threads.submit(opened.wait)
        waiting = [threads.submit(done.append, number) for number in range(4)]
    assert waiting[0].cancel()
    assert waiting[2].cancel()
    opened.set()
    for number in (1, 3):
        waiting[number].result(5)
    assert sorted(done) == [1, 3]
    with of("acme"):
        assert threads.submit(lambda: "again").result(5) == "again"
    threads.shutdown()
    assert not threads._running
