"""Data keys: made once, kept for a while, shared; what an outage of Vault does, and what damage does."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from anfl.crypto import data_keys
from anfl.crypto.data_keys import KEPT_SECONDS, RENEWED_SECONDS, RETRY_SECONDS, DataKeys
from anfl.crypto.trouble import TamperedError
from anfl.problems import Problem
from tests.unit.crypto.wrapping import DictKeys, FakeTransit

PLACE = "demo/words/0123/keys/00000001/2026-11-26"
OTHER = "demo/words/0123/keys/00000001/2026-11-27"


class Process:
    """One that has a memory of its own."""

    def __init__(self, transit: FakeTransit, wrapped: DictKeys, *, most: int = data_keys.KEPT_KEYS) -> None:
        self.seconds = 0.0
        self.keys = DataKeys(transit, wrapped, monotonic=lambda: self.seconds, most=most)


@pytest.fixture(name="transit")
def _transit() -> FakeTransit:
    return FakeTransit()


@pytest.fixture(name="wrapped")
def _wrapped() -> DictKeys:
    return DictKeys()


@pytest.fixture(name="one")
def _one(transit: FakeTransit, wrapped: DictKeys) -> Process:
    return Process(transit, wrapped)


def test_a_key_is_made_once_and_is_the_same_for_everybody(
    one: Process, transit: FakeTransit, wrapped: DictKeys
) -> None:
    key = one.keys.to_seal(PLACE)
    assert len(key) == 32
    assert one.keys.to_seal(PLACE) == one.keys.to_open(PLACE) == key
    assert transit.calls == ["generate"]
    other = Process(transit, wrapped)
    assert other.keys.to_open(PLACE) == other.keys.to_seal(PLACE) == key
    assert transit.calls == ["generate", "unwrap"]


def test_a_key_has_to_be_there_for_who_opens_and_for_who_has_it_and_not_for_who_seals_first(
    one: Process, transit: FakeTransit, wrapped: DictKeys
) -> None:
    one.keys.to_seal(PLACE)
    Process(transit, wrapped).keys.to_seal(PLACE)
    assert wrapped.expected == []
    with pytest.raises(TamperedError, match="missing"):
        one.keys.to_open(OTHER)
    assert wrapped.expected == [OTHER]
    one.seconds += RENEWED_SECONDS
    one.keys.to_seal(PLACE)
    assert wrapped.expected == [OTHER, PLACE]


def test_keys_of_different_places_differ(one: Process) -> None:
    assert one.keys.to_seal(PLACE) != one.keys.to_seal(OTHER)


def test_who_loses_the_race_uses_the_winners_key(transit: FakeTransit, wrapped: DictKeys) -> None:
    winner = Process(transit, wrapped)
    late = Process(transit, wrapped)
    generate = transit.generate

    def slowly(context: str) -> object:
        made = generate(context)
        transit.generate = generate  # type: ignore[method-assign]
        winner.keys.to_seal(context)
        return made

    transit.generate = slowly  # type: ignore[assignment, method-assign]
    assert late.keys.to_seal(PLACE) == winner.keys.to_open(PLACE)


def test_a_missing_key_is_damage_and_nothing_is_made_in_its_place(one: Process, transit: FakeTransit) -> None:
    with pytest.raises(TamperedError, match="missing"):
        one.keys.to_open(PLACE)
    assert "generate" not in transit.calls


def test_a_key_that_was_wrapped_for_another_place_is_damage(one: Process, wrapped: DictKeys) -> None:
    one.keys.to_seal(PLACE)
    wrapped.standing[OTHER] = wrapped.standing[PLACE]
    for use in (one.keys.to_open, one.keys.to_seal):
        with pytest.raises(TamperedError):
            use(OTHER)


def test_without_vault_a_key_in_memory_goes_on_within_its_bound(one: Process, transit: FakeTransit) -> None:
    key = one.keys.to_seal(PLACE)
    transit.away = True
    for one.seconds in (1.0, RENEWED_SECONDS - 1, RENEWED_SECONDS + 1, KEPT_SECONDS - 1):
        assert one.keys.to_open(PLACE) == key
    one.seconds = KEPT_SECONDS
    for use in (one.keys.to_open, one.keys.to_seal):
        with pytest.raises(Problem) as caught:
            use(PLACE)
        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "key_unavailable", 2)
    transit.away = False
    assert one.keys.to_open(PLACE) == key


def test_without_vault_a_key_that_is_not_in_memory_is_503(
    one: Process, transit: FakeTransit, wrapped: DictKeys
) -> None:
    one.keys.to_seal(PLACE)
    transit.away = True
    with pytest.raises(Problem, match="key_unavailable"):
        Process(transit, wrapped).keys.to_open(PLACE)
    with pytest.raises(Problem, match="key_unavailable"):
        one.keys.to_seal(OTHER)
    assert OTHER not in wrapped.standing


def test_a_key_in_use_is_opened_again_in_time(one: Process, transit: FakeTransit) -> None:
    key = one.keys.to_seal(PLACE)
    for hour in range(1, 6):
        one.seconds = hour * RENEWED_SECONDS
        assert one.keys.to_open(PLACE) == key
    assert transit.calls == ["generate", *["unwrap"] * 5]


def test_no_renewal_puts_a_new_key_in_the_place_of_one_that_has_gone(
    one: Process, transit: FakeTransit, wrapped: DictKeys
) -> None:
    key = one.keys.to_seal(PLACE)
    del wrapped.standing[PLACE]
    one.seconds = RENEWED_SECONDS
    assert one.keys.to_seal(PLACE) == one.keys.to_open(PLACE) == key
    assert transit.calls.count("generate") == 1
    assert wrapped.standing == {}


def test_a_renewal_that_failed_is_not_tried_again_at_once(one: Process, transit: FakeTransit) -> None:
    one.keys.to_seal(PLACE)
    transit.away = True
    one.seconds = RENEWED_SECONDS
    for _ in range(10):
        one.keys.to_open(PLACE)
    assert transit.calls.count("unwrap") == 1
    one.seconds += RETRY_SECONDS
    one.keys.to_open(PLACE)
    assert transit.calls.count("unwrap") == 2


def test_only_so_many_are_kept_and_those_used_last(transit: FakeTransit, wrapped: DictKeys) -> None:
    few = Process(transit, wrapped, most=2)
    few.keys.to_seal("a")
    few.keys.to_seal("b")
    few.keys.to_open("a")
    few.keys.to_seal("c")
    transit.calls.clear()
    few.keys.to_open("a")
    assert transit.calls == []
    few.keys.to_open("b")
    assert transit.calls == ["unwrap"]


def test_many_who_want_one_key_ask_once(transit: FakeTransit, wrapped: DictKeys) -> None:
    Process(transit, wrapped).keys.to_seal(PLACE)
    transit.calls.clear()
    everybody = threading.Barrier(8)
    transit._called = lambda: time.sleep(0.2)
    one = Process(transit, wrapped)

    def want(_number: int) -> bytes:
        everybody.wait()
        return one.keys.to_open(PLACE)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(want, range(8)))) == 1
    assert transit.calls == ["unwrap"]


def test_who_waited_for_one_that_failed_tries_for_himself(transit: FakeTransit, wrapped: DictKeys) -> None:
    key = Process(transit, wrapped).keys.to_seal(PLACE)
    one = Process(transit, wrapped)
    failures = iter([True, False])

    def first_fails() -> None:
        transit.away = next(failures, False)

    transit._called = first_fails
    found: list[object] = []

    def want() -> None:
        try:
            found.append(one.keys.to_open(PLACE))
        except Problem as problem:
            found.append(problem.code)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == sorted(map(str, ["key_unavailable", key, key, key]))


def test_without_vault_an_earlier_key_stands_in_until_its_hour_is_over(one: Process, transit: FakeTransit) -> None:
    key = one.keys.to_seal(PLACE)
    transit.away = True
    for one.seconds in (1.0, RENEWED_SECONDS + 1, KEPT_SECONDS - 1):
        assert one.keys.to_seal_meanwhile(OTHER, PLACE) == (PLACE, key)
    one.seconds = KEPT_SECONDS
    with pytest.raises(Problem, match="key_unavailable"):
        one.keys.to_seal_meanwhile(OTHER, PLACE)


def test_no_earlier_key_is_used_where_the_right_one_can_be_had(one: Process, transit: FakeTransit) -> None:
    key = one.keys.to_seal(PLACE)
    transit.away = True
    assert one.keys.to_seal_meanwhile(OTHER, PLACE) == (PLACE, key)
    transit.away = False
    one.seconds = RETRY_SECONDS
    place, other = one.keys.to_seal_meanwhile(OTHER, PLACE)
    assert (place, other) == (OTHER, one.keys.to_open(OTHER))
    assert other != key


def test_while_an_earlier_key_stands_in_vault_is_asked_now_and_then(one: Process, transit: FakeTransit) -> None:
    one.keys.to_seal(PLACE)
    transit.away = True
    for _ in range(10):
        one.keys.to_seal_meanwhile(OTHER, PLACE)
    assert transit.calls.count("generate") == 2
    one.seconds += RETRY_SECONDS
    one.keys.to_seal_meanwhile(OTHER, PLACE)
    assert transit.calls.count("generate") == 3


def test_no_earlier_key_stands_in_for_a_damaged_one(one: Process, wrapped: DictKeys) -> None:
    one.keys.to_seal(PLACE)
    wrapped.standing[OTHER] = wrapped.standing[PLACE]
    with pytest.raises(TamperedError):
        one.keys.to_seal_meanwhile(OTHER, PLACE)
