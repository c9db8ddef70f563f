"""Many rounds in a row, on all processors, with their progress."""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.fault.output import progress
from tests.fault.simulation.round import Round

_CHUNK = 50


@dataclass(frozen=True)
class Tally:
    """What some rounds amounted to."""

    rounds: int = 0
    turns: int = 0
    acknowledged: int = 0
    seen: int = 0
    failure: str | None = None

    def __add__(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.rounds + other.rounds,
            self.turns + other.turns,
            self.acknowledged + other.acknowledged,
            self.seen + other.seen,
            self.failure or other.failure,
        )


def play(seeds: Iterable[int]) -> Tally:
    """Rounds of these seeds, as far as the first failure."""
    tally = Tally()
    with _quiet():
        for seed in seeds:
            round_ = Round(seed)
            try:
                round_.play()
            except Exception as error:  # whatever it is, the seed is what is needed
                trace = "\n".join(round_.world.trace[-60:])
                text = (
                    f"{trace}\n\nseed {seed}: {type(error).__name__}: {error}\nAgain: make fault SEED={seed} ROUNDS=1"
                )
                return tally + Tally(failure=text)
            tally += Tally(1, round_.world.turns, len(round_.acknowledged), len(round_.seen))
    return tally


@contextmanager
def _quiet() -> Iterator[None]:
    """What is injected makes every part complain."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def simulate(first: int, rounds: int) -> Tally:
    """``rounds`` seeds from ``first`` on, with progress on standard error."""
    started = time.monotonic()
    total = Tally()
    for tally in _in_chunks(first, rounds):
        total += tally
        passed = time.monotonic() - started
        progress(f"simulator: {total.rounds:,} of {rounds:,} rounds, {passed:.0f} s")
        if total.failure:
            break
    progress("", done=True)
    return total


def _in_chunks(first: int, rounds: int) -> Iterator[Tally]:
    chunks = [range(seed, min(seed + _CHUNK, first + rounds)) for seed in range(first, first + rounds, _CHUNK)]
    if len(chunks) == 1:
        yield play(chunks[0])
        return
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(play, chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
