"""``python -m tests.fault``: the fault suite in full; `make fault` runs it."""

import argparse
import random
import sys
import time

from tests.fault.output import say
from tests.fault.processes.command import kill
from tests.fault.simulation.command import Tally, move, simulate


def main() -> int:
    """Simulator first, then real processes; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="make fault")
    parser.add_argument("--rounds", type=int, default=10_000, help="of the simulator")
    parser.add_argument("--moves", type=int, default=1_000, help="rounds of moves between engines")
    parser.add_argument("--kills", type=int, default=200, help="rounds of killed processes")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; random if not given")
    arguments = parser.parse_args()
    seed = random.randrange(10**9) if arguments.seed is None else arguments.seed
    say(f"seed {seed}")
    if arguments.rounds and not _simulated(seed, arguments.rounds):
        return 1
    if arguments.moves and not _moved(seed, arguments.moves):
        return 1
    if not arguments.kills:
        return 0
    started = time.monotonic()
    report = kill(seed, arguments.kills)
    say(report.text)
    say(f"processes: {time.monotonic() - started:.0f} s")
    return 1 if report.failed else 0


def _simulated(seed: int, rounds: int) -> bool:
    started = time.monotonic()
    tally = simulate(seed, rounds)
    return _told(
        tally,
        f"simulator: {tally.rounds:,} rounds, {tally.turns:,} turns, {tally.acknowledged:,} acknowledged writes and "
        f"{tally.seen:,} reads compared with the model in {time.monotonic() - started:.0f} s: nothing lost",
    )


def _moved(seed: int, rounds: int) -> bool:
    started = time.monotonic()
    tally = move(seed, rounds)
    passed = time.monotonic() - started
    return _told(
        tally,
        f"moves: {tally.rounds:,} rounds, {tally.acknowledged:,} acknowledged writes in {passed:.0f} s: nothing lost",
    )


def _told(tally: Tally, result: str) -> bool:
    """Say ``result``, or what went wrong instead; whether nothing did."""
    say(tally.failure or result)
    return tally.failure is None


if __name__ == "__main__":
    sys.exit(main())
