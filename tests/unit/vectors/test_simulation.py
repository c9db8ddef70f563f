"""The short form of `make fault`'s simulator, and proof that it notices what it is there to notice."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors import retention, snapshots, writer
from anfl.vectors.batch import Batch
from anfl.vectors.collection_folder import CollectionFolder
from anfl.vectors.envelope import Checksummed, DamagedError
from anfl.vectors.janitor import Janitor
from anfl.vectors.listing import taken, windows
from anfl.vectors.log import Log
from anfl.vectors.model import Collection
from anfl.vectors.names import Names
from anfl.vectors.objects import AlreadyExistsError, StoreUnavailableError, answering
from anfl.vectors.parts import Parts
from anfl.vectors.repair import Repairs
from anfl.vectors.replica import Replica
from anfl.vectors.request_runs import Run
from anfl.vectors.sealing import ObjectKeys, packed
from anfl.vectors.state import State
from anfl.vectors.trouble import CorruptLogError, LogGapError
from anfl.vectors.upkeep import Upkeep
from anfl.vectors.writer import Writer
from tests.fault.oracle import DivergenceError
from tests.fault.simulation.command import play
from tests.fault.simulation.round import Round
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import StalledError, Weather

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
        log._objects.put_if_absent(log.key(batch.sequence), log.encode(batch))
    return batch


def _take_no_answer(log: Log, batch: Batch) -> Batch:
    try:
        log._objects.put_if_absent(log.key(batch.sequence), log.encode(batch))
    except AlreadyExistsError:
        return log.read(batch.sequence) or batch
    except StoreUnavailableError:
        pass
    return batch


def _overwrite(log: Log, batch: Batch) -> Batch:
    with answering():
        log._objects.put(log.key(batch.sequence), log.encode(batch))
    return batch


def _overwrite_key(keys: ObjectKeys, place: str, wrapped: str) -> bool:
    with answering():
        keys._objects.put(place, packed(place, wrapped))
    return True


def _pass_gaps(log: Log, sequence: int) -> Iterator[Batch]:
    for window in windows(taken(log._objects, log.collection, sequence), most=10):
        for batch in log._read_all(window):
            if batch is not None:
                sequence += 1
                yield msgspec.structs.replace(batch, sequence=sequence)


def _free_without_an_answer(log: Log, sequence: int, *, read: Callable[..., Batch | None] = Log.read) -> Batch | None:
    try:
        return read(log, sequence)
    except CorruptLogError:
        raise
    except Problem:
        return None


def _absent_without_an_answer(janitor: Janitor, tenant: str, name: str) -> Collection | None:
    with suppress(Problem):
        return janitor._catalogue.find(tenant, name)
    return None


def _as_before(
    names: Names, tenant: str, name: str, moment: float, *, find: Callable[..., Collection] = Names.find
) -> Collection:
    try:
        return find(names, tenant, name, moment)
    except Problem as problem:
        known = names.peek(tenant, name)
        if problem.status != 503 or known is None:
            raise
        return known[0]


def _half_a_segment(folder: CollectionFolder, name: str) -> Path:
    segment = folder.segments / name
    segment.mkdir(exist_ok=True)
    return segment


def _any_moment(table: Table, *, get: Callable[..., Any] = Table.get_item, **request: Any) -> Any:
    return get(table, **{**request, "ConsistentRead": False})


CRASHES = Weather(crashes=0.03)
FAULTS = Weather(faults=0.3)
OUTAGES = Weather(outages=0.3)
SUSPENSIONS = Weather(suspensions=0.06)
CALM = Weather()
"""What a seed does besides: writers at the same time, clocks that differ, damage, replication."""


@pytest.mark.parametrize(
    ("only", "owner", "name", "mistake", "seed"),
    [
        pytest.param(CRASHES, State, "applied", lambda *_, **__: None, 22, id="crash: request ids are forgotten"),
        pytest.param(CRASHES, Run, "find", lambda *_: None, 32, id="crash: requests in runs are forgotten"),
        pytest.param(FAULTS, State, "applied", lambda *_, **__: None, 8, id="S3: request ids are forgotten"),
        pytest.param(FAULTS, Log, "append", _take_no_answer, 1, id="S3: a put without an answer counts"),
        pytest.param(FAULTS, Log, "read", _free_without_an_answer, 111, id="S3: an error counts as a free slot"),
        pytest.param(
            None, Replica, "came_too_late", lambda *_: False, 540, id="late: a put behind the log's end counts"
        ),
        pytest.param(SUSPENSIONS, Replica, "in_touch", lambda _: True, 253, id="sleep: a free slot is always trusted"),
        pytest.param(CRASHES, Upkeep, "_go_on_building", lambda *_: None, 47, id="crash: a field waits for ever"),
        pytest.param(CALM, Writer, "fence", lambda *_: None, 112, id="writers: no fence behind older settings"),
        pytest.param(
            SUSPENSIONS, writer, "check_change", lambda *_, **__: None, 112, id="sleep: rows are checked only once"
        ),
        pytest.param(OUTAGES, Janitor, "_current", _absent_without_an_answer, 8, id="DynamoDB: an error is an absence"),
        pytest.param(OUTAGES, Names, "find", _as_before, 280, id="DynamoDB: an error is the last answer"),
        pytest.param(CALM, Table, "get_item", _any_moment, 0, id="DynamoDB: reads are not consistent"),
        pytest.param(CALM, State, "now", lambda state: state._clock(), 2, id="skew: clocks are believed"),
        pytest.param(None, Log, "tail", _pass_gaps, 91, id="replication: gaps are passed over"),
        pytest.param(CALM, Checksummed, "open", lambda *given: given[2][37:], 59, id="damage: no checksum of the log"),
        pytest.param(
            CALM,
            Parts,
            "_pieces",
            lambda *given: iter([memoryview(given[2])[5:]]),
            5,
            id="damage: no digest of a part",
        ),
        pytest.param(CALM, Repairs, "_copies", lambda *_, **__: iter(()), 18, id="damage: copies are not looked for"),
        pytest.param(None, retention, "KEPT_VERIFIED", 1, 879, id="damage: one verified snapshot is kept"),
        pytest.param(
            CALM, ObjectKeys, "put_if_absent", _overwrite_key, 596, id="writers: a wrapped key is overwritten"
        ),
        pytest.param(CALM, Replica, "level_with", lambda *_: None, 0, id="writers: nobody looks at the log"),
        pytest.param(CALM, Log, "append", _take_any_answer, 14, id="writers: a taken slot counts as ours"),
        pytest.param(CALM, Log, "append", _overwrite, 14, id="writers: a taken slot is overwritten"),
    ],
)
def test_the_simulator_notices_when(
    only: Weather | None, owner: Any, name: str, mistake: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``seed`` is one that is known to notice; others are tried in case that a change has moved it.

    Where one kind of fault is enough, it is the only one (``only``); then nothing is noticed of the mistake without it.
    """
    monkeypatch.setattr(owner, name, mistake)
    _expect_notice(seed, only)


def test_the_simulator_notices_when_half_a_segment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes two mistakes: what is here is also looked at before it is used."""
    monkeypatch.setattr(CollectionFolder, "new_segment", _half_a_segment)
    monkeypatch.setattr(snapshots, "_is_whole", lambda *_: True)
    _expect_notice(18, CRASHES)


def _expect_notice(seed: int, only: Weather | None) -> None:
    for tried in (seed, *range(400)):
        if _notices(tried, only) and (only in (None, CALM) or not _notices(tried, CALM)):
            return
    pytest.fail("400 rounds noticed nothing")


def _notices(seed: int, only: Weather | None) -> bool:
    try:
        Round(seed, only=None if only is None else replace(only)).play()
    except (DivergenceError, LogGapError, StalledError, DamagedError, msgspec.DecodeError, KeyError):
        return True  # the last one: a batch changes a row that is not there
    return False
