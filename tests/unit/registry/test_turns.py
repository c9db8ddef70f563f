"""Who changes a model waits for those who change it, and for nobody else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from anfl.registry.registry import Registry
from anfl.registry.turns import Turns


def test_changes_of_one_model_come_one_after_another_and_those_of_others_do_not_wait(registry: Registry) -> None:
    """Whatever the names: of two hundred, some would share whichever lock."""
    opened = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(registry.records.in_turn, "acme", "held", lambda: opened.wait(20))
        same = threads.submit(registry.records.in_turn, "acme", "held", lambda: "after")
        began = time.monotonic()
        for number in range(200):
            assert registry.records.in_turn("acme", f"m{number}", lambda: "done") == "done"
            assert registry.records.in_turn(f"t{number}", "held", lambda: "done") == "done"
        assert time.monotonic() - began < 10
        assert not same.done()
        opened.set()
        assert held.result(5)
        assert same.result(5) == "after"


def test_what_nobody_waits_for_is_forgotten_whatever_becomes_of_it() -> None:
    turns = Turns()

    def fail() -> None:
        with turns.of("acme", "bert"):
            assert len(turns) == 1
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert len(turns) == 0


def test_no_two_have_the_same_turn() -> None:
    turns, inside, most = Turns(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with turns.of("acme", "bert"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.0001)
            inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(400)))
    assert (most, len(turns)) == (1, 0)
