"""Processes that answer one call at a time give together what one bucket would."""

from typing import Any

import pytest

from anfl.auth.throttle import CallThrottle
from anfl.buckets import Settings
from anfl.cache import SharedBuckets
from anfl.problems import Problem
from tests.unit import regional_cache
from tests.unit.http.test_throttle import Model, Time, caller

server = regional_cache.server
client = regional_cache.client


def passes(throttle: CallThrottle) -> bool:
    try:
        throttle.spend(caller())
    except Problem as problem:
        return problem.code != "too_many_requests"
    return True


def test_many_processes_give_the_burst_and_then_the_rate() -> None:
    clock = Time()
    region = Model(clock)
    throttles = [CallThrottle(Settings(rate=1, burst=20), region=region, clock=clock) for _ in range(4)]

    passed = sum(passes(throttle) for _ in range(40) for throttle in throttles)
    assert 20 <= passed <= 20 + len(throttles), "each hears of the others when it has let one through"
    for _ in range(1000):
        clock.now += 1
        passed += sum(passes(throttle) for throttle in throttles)

    assert passed <= 1000 + 20 + len(throttles)
    assert passed >= 1000


def test_without_the_region_each_process_goes_on_by_itself() -> None:
    clock = Time()
    silent = Model(clock)
    silent.answers = False
    for region in (None, silent):
        throttle = CallThrottle(Settings(rate=1, burst=5), region=region, clock=clock)
        assert sum(passes(throttle) for _ in range(10)) == 5
        clock.now += 2
        assert sum(passes(throttle) for _ in range(10)) == 2


def test_a_new_process_hears_of_the_region_with_its_first_call(client: Any) -> None:
    slow = Settings(rate=0.01, burst=5)
    one, other = (CallThrottle(slow, region=SharedBuckets(client)) for _ in range(2))
    assert [passes(one) for _ in range(5)] == [True] * 5
    assert [passes(other) for _ in range(3)] == [True, False, False]


def test_a_claim_is_counted_by_client_and_address_and_is_no_bearers() -> None:
    throttle = CallThrottle(Settings(rate=1, burst=1), region=None, clock=Time())
    throttle.spend(caller("s", "t"))
    throttle.spend(caller("s", "t"), on="revoke")
    for client_, address in (("t.s", "192.0.2.1"), ("t.s", "192.0.2.2"), ("t.r", "192.0.2.1"), ("s", "t")):
        throttle.spend_claimed(client_, address=address)
        with pytest.raises(Problem, match="too_many_requests"):
            throttle.spend_claimed(client_, address=address)
