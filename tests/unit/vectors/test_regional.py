"""Hints in the region's cache: what another node wrote is there sooner, and no cache can change an answer."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest
import valkey
from valkey.backoff import NoBackoff
from valkey.retry import Retry

from anfl.cache import PAUSE_SECONDS, SharedNumbers
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.model import CollectionSettings, Metric
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.regional import CachedRegion, NoRegion, Numbers
from anfl.vectors.requests import Count, Fetch
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.unit import regional_cache
from tests.unit.vectors.builders import node, upsert
from tests.unit.vectors.simulated import SimulatedTime

WORDS = CollectionSettings(name="words", dimension=2, metric=Metric.L2)


server = regional_cache.server
client = regional_cache.client


class Memory(dict[str, int]):
    """A cache that says what a test wants it to."""

    def get(self, keys: Sequence[str]) -> list[int]:  # type: ignore[override]
        """See `Numbers.get`."""
        return [super(Memory, self).get(key, 0) for key in keys]

    def put(self, key: str, number: int, *, seconds: float) -> None:
        """See `Numbers.put`."""
        assert seconds > 0
        self[key] = number


def test_a_number_is_seen_by_others_until_it_expires(client: Any) -> None:
    one, other = SharedNumbers(client), SharedNumbers(client)
    one.put("hint:a", 7, seconds=60.0)
    assert other.get(["hint:a", "hint:b"]) == [7, 0]
    assert 0 < client.pttl("hint:a") <= 60_000
    assert other.get([]) == []


def test_what_is_no_number_is_none(client: Any) -> None:
    for garbage in (b"", b"x", b"-3", b"1.5", b"9" * 400, b"\xff"):
        client.set("hint:a", garbage)
        assert SharedNumbers(client).get(["hint:a"]) == [0]
    client.delete("hint:a")
    client.lpush("hint:a", "5")
    assert SharedNumbers(client).get(["hint:a"]) == [0]


def test_a_cache_that_hangs_is_asked_once_and_then_left_alone() -> None:
    now = [100.0]
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        client: Any = valkey.Valkey(
            host="127.0.0.1",
            port=server.getsockname()[1],
            socket_timeout=0.05,
            socket_connect_timeout=0.05,
            retry=Retry(NoBackoff(), 0),
        )
        numbers = SharedNumbers(client, clock=lambda: now[0])
        assert numbers.get(["hint:a"]) == [0]
        client.connection_pool.disconnect()
        asked: list[str] = []
        client.mget = lambda keys: asked.extend(keys)
        numbers.put("hint:a", 1, seconds=60.0)
        assert numbers.get(["hint:a"]) == [0]
        assert asked == []
        now[0] += PAUSE_SECONDS
        numbers.get(["hint:a"])
        assert asked == ["hint:a"]


def test_each_says_what_it_knows_and_hears_what_it_does_not() -> None:
    cache = Memory()
    one, other = CachedRegion(cache), CachedRegion(cache)
    assert one.exchange({"a": 3, "b": 1}) == set()
    assert other.exchange({"a": 2, "b": 1}) == {"a"}
    assert other.exchange({"a": 3, "b": 5}) == set()
    assert one.exchange({"a": 3, "b": 1}) == {"b"}
    assert cache == {"hint:a": 3, "hint:b": 5}


def test_what_turns_out_to_be_untrue_is_put_right() -> None:
    cache = Memory({"hint:a": 999})
    region = CachedRegion(cache)
    assert region.exchange({"a": 3}) == {"a"}
    assert region.exchange({"a": 3}) == set()
    assert cache["hint:a"] == 3


def on(catalogue: Catalogue, objects: S3ObjectStore, time: SimulatedTime, numbers: Numbers | None) -> VectorStore:
    """A node whose background work is done when a test says so."""
    region = NoRegion() if numbers is None else CachedRegion(numbers)
    storage = Storage(objects=objects, node=node(), clock=time.clock(), region=region, threads=False)
    return VectorStore(catalogue, storage)


@pytest.mark.parametrize("cached", [True, False])
def test_what_another_node_wrote_is_found_before_a_reader_has_to_look(
    cached: bool, catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    cache = Memory() if cached else None
    time = SimulatedTime()
    one, other = (on(catalogue, objects, time, cache) for _ in range(2))
    one.create("demo", WORDS)
    assert other.count("demo", "words", Count()).count == 0
    one.write("demo", "words", upsert(("a", (1, 1))))
    one.hnsw.upkeep.once()
    time.advance(0.1)
    other.hnsw.upkeep.once()
    assert other.count("demo", "words", Count()).count == (1 if cached else 0)


class Liar(Memory):
    """Says anything."""

    def __init__(self, said: Sequence[int]) -> None:
        super().__init__()
        self._said = said
        self._turn = 0

    def get(self, keys: Sequence[str]) -> list[int]:  # type: ignore[override]
        """See `Numbers.get`."""
        self._turn += 1
        return [self._said[self._turn % len(self._said)] for _ in keys]


@pytest.mark.parametrize("said", [[0], [1], [10**18 - 1], [3, 0, 10**17, 1]])
def test_no_answer_depends_on_what_the_cache_says(
    said: list[int], catalogue: Catalogue, objects: S3ObjectStore
) -> None:
    cache, time = Liar(said), SimulatedTime()
    one, other = (on(catalogue, objects, time, cache) for _ in range(2))
    one.create("demo", WORDS)
    for number in range(8):
        writer, reader = (one, other) if number % 2 else (other, one)
        position = writer.write("demo", "words", upsert((f"r{number}", (1, 1)))).sequence
        for store in (one, other):
            store.hnsw.upkeep.once()
        strong = reader.fetch("demo", "words", Fetch(ids=[f"r{number}"], consistency="strong"))
        assert strong.sequence == position
        assert other.count("demo", "words", Count(min_sequence=position)).count == number + 1
        time.advance(1.5)
        assert [store.count("demo", "words", Count()).count for store in (one, other)] == [number + 1] * 2


def test_a_cache_that_is_gone_stops_nothing(catalogue: Catalogue, objects: S3ObjectStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client: Any = valkey.Valkey(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0))
    store = on(catalogue, objects, SimulatedTime(), SharedNumbers(client, clock=Clock().monotonic))
    store.create("demo", WORDS)
    store.write("demo", "words", upsert(("a", (1, 1))))
    store.hnsw.upkeep.once()
    assert store.count("demo", "words", Count(consistency="strong")).count == 1
