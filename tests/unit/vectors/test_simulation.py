"""The short form of `make fault`'s simulator, and proof that it notices what it is there to notice."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anfl.vectors import retention
from anfl.vectors.log import Batch, Log, LogGapError
from anfl.vectors.objects import AlreadyExistsError, answering
from anfl.vectors.repair import Repairs
from anfl.vectors.replica import Replica
from anfl.vectors.state import State
from tests.fault.oracle import DivergenceError
from tests.fault.simulation.command import play
from tests.fault.simulation.round import Round
from tests.fault.simulation.world import StalledError

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_nothing_acknowledged_is_lost_and_nodes_never_diverge(first: int) -> None:
    tally = play(range(first, first + 100))
    assert tally.failure is None, tally.failure
    assert tally.acknowledged > 500


def test_a_seed_says_everything() -> None:
    """Also across processes, whose hashes of strings differ."""
    program = """if True:
        from tests.fault.simulation.round import Round
        for seed in range(6):
            round_ = Round(seed)
            round_.play()
            print(*round_.world.trace, sep="\\n")"""
    traces = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0].count("\n") > 100


def _take_any_answer(log: Log, batch: Batch) -> Batch:
    with suppress(AlreadyExistsError), answering():
        log._objects.put_if_absent(log.key(batch.sequence), _sealed(log, batch))
    return batch


def _overwrite(log: Log, batch: Batch) -> Batch:
    with answering():
        log._objects.put(log.key(batch.sequence), _sealed(log, batch))
    return batch


def _sealed(log: Log, batch: Batch) -> bytes:
    return log._envelope.seal(log.key(batch.sequence), msgspec.msgpack.encode(batch))


def _pass_gaps(log: Log, sequence: int) -> Iterator[Batch]:
    for window in log._windows(sequence):
        for batch in log._read_all(window):
            if batch is not None:
                sequence += 1
                yield msgspec.structs.replace(batch, sequence=sequence)


@pytest.mark.parametrize(
    ("owner", "name", "mistake", "seed"),
    [
        pytest.param(State, "applied", lambda *_, **__: None, 12, id="request ids are forgotten"),
        pytest.param(Replica, "level_with", lambda *_: None, 0, id="nobody looks at the log"),
        pytest.param(Replica, "in_touch", lambda _: True, 133, id="a free slot is always trusted"),
        pytest.param(Replica, "came_too_late", lambda *_: False, 394, id="a put behind the log's end counts"),
        pytest.param(Log, "append", _take_any_answer, 0, id="a taken slot counts as ours"),
        pytest.param(Log, "append", _overwrite, 0, id="a taken slot is overwritten"),
        pytest.param(Log, "tail", _pass_gaps, 239, id="gaps are passed over"),
        pytest.param(Repairs, "_copies", lambda *_: iter(()), 1, id="copies of damaged objects are not looked for"),
        pytest.param(retention, "KEPT_VERIFIED", 1, 224, id="one verified snapshot is kept"),
    ],
)
def test_the_simulator_notices_when(
    owner: Any, name: str, mistake: Callable[..., Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``seed`` is one that is known to notice; others are tried in case that a change has moved it."""
    monkeypatch.setattr(owner, name, mistake)
    for tried in (seed, *range(400)):
        try:
            Round(tried).play()
        except (DivergenceError, LogGapError, StalledError):
            return
    pytest.fail("400 rounds noticed nothing")
