"""``python -m tests.fuzz``: many strange requests to a local run of its own; `make fuzz` runs it."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import httpx

from anfl.auth.principal import Role
from tests.fault.output import say
from tests.fuzz.judge import fuzz
from tests.local.end_to_end import running
from tests.local.end_to_end.test_api import new_collection

BATCH = 2_000


def main() -> int:
    """1 where an answer was wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--requests", type=int, default=100_000, help="to each server")
    parser.add_argument("--seed", type=int, default=None, help="of the first batch; random if not given")
    arguments = parser.parse_args()
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    say(f"seed {seed}; starting what make run starts")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        run = running.start(Path(folder))
        try:
            return _all(run, seed, arguments.requests)
        finally:
            running.end(run)


def _all(run: running.Run, seed: int, requests: int) -> int:
    tokens = {role: run.document["tokens"][role] for role in (Role.READER, Role.APPROVER)}
    with run.client("writer") as writer:
        names = [new_collection(writer)]
    found = 0
    for name, base in {"gateway": run.document["api"], **run.document["services"]}.items():
        port, answers = httpx.URL(base).port, 0
        assert port is not None
        for batch in range(0, requests, BATCH):
            size = min(BATCH, requests - batch)
            faults, answered = fuzz(port, seed=seed + batch, requests=size, tokens=tokens, names=names)
            answers += answered
            found += len(faults)
            for fault in faults:
                say(f"{name}, seed {seed + batch}: {fault}")
        say(f"{name}: {requests:,} requests, {answers:,} answered")
    say(f"{found} of the answers were wrong" if found else "no error of a server, and no way round the table")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
