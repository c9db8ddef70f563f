"""A caller gets its rate and its burst, whoever answers it and whatever becomes of the cache."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import httpx
import pytest
import valkey
from hypothesis import given, settings
from hypothesis import strategies as st
from valkey.backoff import NoBackoff
from valkey.retry import Retry

from anfl.auth.principal import Principal, Role
from anfl.buckets import MOST_KNOWN, MOST_OWED_SECONDS, Region, Settings
from anfl.cache import SharedBuckets
from anfl.http.answers import Response, json_response
from anfl.http.requests import Request
from anfl.http.service import Service, build
from anfl.http.throttle import EXCHANGE_SECONDS, Throttle
from anfl.problems import Problem
from anfl.telemetry.metrics import Metrics
from tests.unit import regional_cache

LIMITS = Settings(rate=10, burst=20)


class Time:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def caller(subject: str = "s", tenant: str = "t") -> Principal:
    return Principal(subject=subject, tenant=tenant, roles=frozenset(Role), token_id="1", expires_at=2**40)


def refusal(throttle: Throttle, who: Principal) -> int | None:
    """Seconds to wait; None: it was let through."""
    try:
        throttle.spend(who)
    except Problem as problem:
        return problem.retry_after if problem.code == "too_many_requests" else -1
    return None


def let_through(throttle: Throttle, *, tries: int, who: Principal | None = None) -> int:
    who = who or caller()
    return sum(refusal(throttle, who) is None for _ in range(tries))


class Model:
    """Buckets of a region, exactly, by the same clock; may be silent."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self.full_at: dict[str, float] = {}
        self.answers = True

    def spend(self, spent: Mapping[str, int], *, token_seconds: float, most_seconds: float) -> list[float] | None:
        """See `anfl.buckets.Region.spend`."""
        if not self.answers:
            return None
        now = self._clock()
        for key, tokens in spent.items():
            self.full_at[key] = max(self.full_at.get(key, now), now) + tokens * token_seconds
        return [min(max(0.0, self.full_at[key] - now), most_seconds) for key in spent]


def test_a_burst_passes_then_the_rate() -> None:
    clock = Time()
    throttle = Throttle(LIMITS, region=None, clock=clock)
    assert let_through(throttle, tries=30) == 20
    clock.now += 0.1
    assert let_through(throttle, tries=5) == 1
    clock.now += 3600
    assert let_through(throttle, tries=30) == 20


def test_who_is_refused_is_told_when_a_token_is_there() -> None:
    clock = Time()
    throttle = Throttle(Settings(rate=0.1, burst=1), region=None, clock=clock)
    assert refusal(throttle, caller()) is None
    assert refusal(throttle, caller()) == 10
    clock.now += 8.5
    assert refusal(throttle, caller()) == 2
    clock.now += 1.5
    assert refusal(throttle, caller()) is None


def test_each_tenants_subject_has_a_bucket_of_its_own() -> None:
    throttle = Throttle(Settings(rate=1, burst=1), region=None, clock=Time())
    others = [caller("s", "t"), caller("s", "u"), caller("ts", ""), caller("", "ts"), caller("s2", "t")]
    assert [refusal(throttle, who) for who in others] == [None] * 5
    assert all(refusal(throttle, who) for who in others)


def test_buckets_that_are_full_again_are_forgotten_and_no_others() -> None:
    clock = Time()
    throttle = Throttle(Settings(rate=1, burst=2), region=None, clock=clock)
    for number in range(MOST_KNOWN - 1):
        throttle.spend(caller(str(number)))
    clock.now += 2
    last = caller("last")
    let_through(throttle, tries=2, who=last)
    throttle.spend(caller("one more"))
    assert len(throttle._buckets._buckets) == 2
    assert refusal(throttle, last) is not None


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 50)), max_size=40), st.integers(1, 50), st.integers(1, 100)
)
def test_one_process_is_the_token_bucket(steps: list[tuple[int, int]], rate: int, burst: int) -> None:
    """Against tokens that are counted exactly, time in 1/1024 s."""
    clock = Time()
    throttle = Throttle(Settings(rate=rate, burst=burst), region=None, clock=clock)
    tokens = Fraction(burst)
    for wait, tries in steps:
        clock.now += wait / 1024
        tokens = min(Fraction(burst), tokens + Fraction(wait * rate, 1024))
        passed = let_through(throttle, tries=tries)
        assert passed in {min(tries, int(tokens)), min(tries, int(tokens + Fraction(1, 50)))}  # rounding lets through
        tokens = max(Fraction(0), tokens - passed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=40), st.integers(1, 4))
def test_several_processes_together_give_no_more_than_stated(steps: list[tuple[int, int]], processes: int) -> None:
    """Each turn is one exchange long; a process hears at its end what the region knows."""

    async def run() -> None:
        clock = Time()
        region = Model(clock)
        throttles = [Throttle(LIMITS, region=region, clock=clock) for _ in range(processes)]
        passed: list[tuple[float, int]] = []
        for process, tries in steps:
            throttle = throttles[process % processes]
            passed.append((clock.now, let_through(throttle, tries=tries)))
            clock.now += EXCHANGE_SECONDS
            await throttle.exchange()
        for first, last in itertools.combinations_with_replacement(range(len(passed)), 2):
            seconds = passed[last][0] - passed[first][0]
            together = sum(count for _, count in passed[first : last + 1])
            assert together <= LIMITS.burst * processes + LIMITS.rate * seconds + 1

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60), st.integers(1, 4))
def test_who_keeps_to_its_rate_is_never_refused(steps: list[tuple[int, int]], processes: int) -> None:
    """By a bucket that is smaller by what flows in during two exchanges."""

    async def run() -> None:
        clock = Time()
        region = Model(clock)
        throttles = [Throttle(LIMITS, region=region, clock=clock) for _ in range(processes)]
        own = Throttle(
            Settings(rate=LIMITS.rate, burst=LIMITS.burst - round(2 * EXCHANGE_SECONDS * LIMITS.rate)),
            region=None,
            clock=clock,
        )
        for process, wanted in steps:
            allowed = let_through(own, tries=wanted)
            assert let_through(throttles[process % processes], tries=allowed) == allowed
            clock.now += EXCHANGE_SECONDS
            for throttle in throttles:
                await throttle.exchange()

    asyncio.run(run())


def test_in_the_long_run_many_processes_give_what_one_would() -> None:
    async def run() -> int:
        clock = Time()
        region = Model(clock)
        throttles = [Throttle(LIMITS, region=region, clock=clock) for _ in range(4)]
        passed = 0
        for _ in range(1000):  # 100 s, as much as there is
            passed += sum(let_through(throttle, tries=10) for throttle in throttles)
            clock.now += EXCHANGE_SECONDS
            for throttle in throttles:
                await throttle.exchange()
        return passed

    passed = asyncio.run(run())
    assert 1000 <= passed <= 1000 + 4 * LIMITS.burst


def test_what_is_spent_while_the_region_is_asked_counts_as_well() -> None:
    async def run() -> None:
        clock = Time()
        region = Model(clock)
        one, other = (Throttle(LIMITS, region=region, clock=clock) for _ in range(2))
        assert let_through(one, tries=14) == 14
        await one.exchange()
        other.spend(caller())
        exchange = asyncio.create_task(other.exchange())
        await asyncio.sleep(0)
        assert not exchange.done()
        assert let_through(other, tries=3) == 3
        await exchange
        assert let_through(other, tries=10) == 2

    asyncio.run(run())


def test_where_the_region_is_silent_each_process_gives_the_rate_and_no_more() -> None:
    async def run() -> int:
        clock = Time()
        region = Model(clock)
        region.answers = False
        throttles = [Throttle(LIMITS, region=region, clock=clock) for _ in range(2)]
        passed = 0
        for _ in range(100):
            passed += sum(let_through(throttle, tries=10) for throttle in throttles)
            clock.now += EXCHANGE_SECONDS
            for throttle in throttles:
                await throttle.exchange()
        return passed

    assert asyncio.run(run()) == pytest.approx(2 * (20 + 10 * 10), abs=4)


@pytest.mark.parametrize("said", [0.0, 1e300, float("inf")])
def test_a_region_that_lies_neither_opens_a_bucket_nor_shuts_it_for_long(said: float) -> None:
    class Liar:
        def spend(self, spent: Mapping[str, int], **_limits: float) -> list[float]:
            return [said for _ in spent]

    async def run() -> None:
        clock = Time()
        throttle = Throttle(LIMITS, region=Liar(), clock=clock)
        assert let_through(throttle, tries=30) == 20
        await throttle.exchange()
        assert let_through(throttle, tries=30) == 0
        clock.now += MOST_OWED_SECONDS + 0.1
        assert refusal(throttle, caller()) is None

    asyncio.run(run())


server = regional_cache.server
client = regional_cache.client


SLOW = Settings(rate=0.01, burst=20)
"""So slow that no token comes while a test runs."""


def test_what_one_process_spends_another_one_has_not(client: Any) -> None:
    async def run() -> None:
        one, other = (Throttle(SLOW, region=SharedBuckets(client)) for _ in range(2))
        assert let_through(one, tries=15) == 15
        await one.exchange()
        throttled = let_through(other, tries=1)
        await other.exchange()
        assert throttled + let_through(other, tries=30) == 5
        await other.exchange()
        let_through(one, tries=1)
        await one.exchange()
        assert let_through(one, tries=10) == 0

    asyncio.run(run())
    (key,) = client.keys("*")
    assert key.startswith(b"throttle:")
    assert 0 < client.pttl(key) <= (2000 + 2 * 100) * 1000


def test_a_bucket_is_gone_from_the_cache_once_it_is_full(client: Any) -> None:
    buckets = SharedBuckets(client)
    assert buckets.spend({"a": 3, "b": 0}, token_seconds=10.0, most_seconds=100) == [pytest.approx(30, abs=1), 0]
    assert client.keys("*") == [b"throttle:a"]
    assert 0 < client.pttl("throttle:a") <= 30_001
    assert buckets.spend({"a": 100}, token_seconds=10.0, most_seconds=100) == [100]


@pytest.mark.parametrize("found", [b"", b"x", b"nan", b"-inf", b"-7", b"1e-300", b"\xff\x00"])
def test_what_is_no_time_in_the_cache_is_a_full_bucket(client: Any, found: bytes) -> None:
    client.set("throttle:a", found)
    (seconds,) = SharedBuckets(client).spend({"a": 2}, token_seconds=1, most_seconds=100) or [0.0]
    assert seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("found", [b"inf", b"1e300", b"9" * 300])
def test_a_time_far_away_in_the_cache_is_the_longest_that_counts(client: Any, found: bytes) -> None:
    client.set("throttle:a", found)
    assert SharedBuckets(client).spend({"a": 2}, token_seconds=1, most_seconds=100) == [100]


def test_what_is_no_string_in_the_cache_is_no_answer(client: Any) -> None:
    client.lpush("throttle:a", "1")
    assert SharedBuckets(client).spend({"a": 2}, token_seconds=1, most_seconds=100) is None


def impatient(port: int) -> Any:
    return valkey.Valkey(
        host="127.0.0.1", port=port, socket_timeout=0.2, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0)
    )


@pytest.mark.parametrize("hangs", [True, False])
def test_no_request_waits_for_a_cache_that_hangs_or_is_gone(hangs: bool) -> None:
    async def run(region: Region) -> None:
        throttle = Throttle(SLOW, region=region)
        assert let_through(throttle, tries=10) == 10
        exchange = asyncio.create_task(throttle.exchange())
        await asyncio.sleep(0)
        assert not exchange.done()
        assert let_through(throttle, tries=30) == 10
        await exchange
        assert let_through(throttle, tries=30) == 0

    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        port = server.getsockname()[1]
        if not hangs:
            server.close()
        asyncio.run(run(SharedBuckets(impatient(port))))


def test_the_loop_that_answers_requests_never_asks_the_region_itself() -> None:
    asked: list[int] = []
    answered = threading.Event()

    class Elsewhere(Model):
        def spend(self, spent: Mapping[str, int], *, token_seconds: float, most_seconds: float) -> list[float] | None:
            asked.append(threading.get_ident())
            answered.set()
            return super().spend(spent, token_seconds=token_seconds, most_seconds=most_seconds)

    async def run() -> None:
        throttle = Throttle(LIMITS, region=Elsewhere(Time()))
        throttle.spend(caller())  # begins the exchanges by itself
        throttle.spend(caller())
        await asyncio.to_thread(answered.wait, 10)
        throttle.close()

    asyncio.run(run())
    assert len(asked) == 1
    assert threading.get_ident() not in asked


class Anybody:
    """Takes every token for its bearer's name."""

    def cached(self, token: str) -> Principal | None:
        return caller(token)

    def verify(self, token: str) -> Principal:
        raise AssertionError(token)


def service_with(throttle: Throttle, metrics: Metrics) -> Service:
    async def swallow(request: Request, _principal: Principal) -> Response:
        return json_response({"size": len(await request.body())})

    async def description(_request: Request) -> Response:
        return json_response({})

    return build(
        {("PUT", "/v1/collections/{name}/vectors"): swallow},
        public={("GET", "/v1/openapi.json"): description},
        verifier=Anybody(),
        ready=lambda: None,
        max_body=100,
        metrics=metrics,
        spend=lambda _request, principal: throttle.spend(principal),
    )


def test_a_service_refuses_before_it_reads_and_others_go_on() -> None:
    metrics = Metrics()
    throttle = Throttle(Settings(rate=0.2, burst=2), region=None, refused=metrics.throttled, clock=Time())
    service = service_with(throttle, metrics)
    read: list[bytes] = []

    async def body() -> Any:
        read.append(b"x")
        yield b"x"

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def put(who: str) -> httpx.Response:
                headers = {"authorization": f"Bearer {who}"}
                return await client.put("/v1/collections/a/vectors", headers=headers, content=body())

            answers = [await put("a"), await put("a"), await put("a"), await put("b")]
            for path in ("/health/live", "/health/ready", "/metrics", "/v1/openapi.json"):
                answers += [await client.get(path, headers={"authorization": "Bearer a"}) for _ in range(3)]
            return answers

    answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200] + [200] * 12
    refused = answers[2]
    assert refused.json()["code"] == "too_many_requests"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "5"
    assert len(read) == 3
    assert "anfl_throttled_total 1.0" in metrics.exposition().decode()
