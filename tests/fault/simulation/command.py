"""Many rounds in a row, on all processors, with their progress."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.fault.output import progress
from tests.fault.simulation import moving
from tests.fault.simulation.round import Round

_CHUNK = 50
_MOVES = 10


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


def play(seeds: Sequence[int]) -> Tally:
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


def play_moves(seeds: Sequence[int]) -> Tally:
    """Moves between engines of these seeds, as far as the first failure."""
    tally = Tally()
    with _quiet():
        for seed in seeds:
            try:
                acknowledged = moving.play(range(seed, seed + 1))
            except Exception as error:  # whatever it is, the seed is what is needed
                notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
                again = f"make fault SEED={seed} ROUNDS=0 MOVES=1 KILLS=0"
                return tally + Tally(failure=f"{type(error).__name__}: {error}{notes}\nAgain: {again}")
            tally += Tally(rounds=1, acknowledged=acknowledged)
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
    return _shown("simulator", play, range(first, first + rounds), chunk=_CHUNK)


def move(first: int, rounds: int) -> Tally:
    """``rounds`` moves, seeds from ``first`` on, with progress on standard error."""
    return _shown("moves", play_moves, range(first, first + rounds), chunk=_MOVES)


def _shown(name: str, play: Callable[[Sequence[int]], Tally], seeds: range, *, chunk: int) -> Tally:
    started = time.monotonic()
    total = Tally()
    for tally in _in_chunks(play, seeds, chunk):
        total += tally
        passed = time.monotonic() - started
        progress(f"{name}: {total.rounds:,} of {len(seeds):,} rounds, {passed:.0f} s")
        if total.failure:
            break
    progress("", done=True)
    return total


def _in_chunks(play: Callable[[Sequence[int]], Tally], seeds: range, chunk: int) -> Iterator[Tally]:
    chunks = [seeds[first : first + chunk] for first in range(0, len(seeds), chunk)]
    if len(chunks) <= 1:
        yield from map(play, chunks)
        return
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(play, chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
