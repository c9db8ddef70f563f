"""Collections, replicas and rows for tests."""

import atexit
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from anfl.problems import Problem
from anfl.vectors.log import Log
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from anfl.vectors.replica import Clock, Replica
from anfl.vectors.requests import DeleteRows, NewRow, Upsert
from anfl.vectors.writer import Writer
from tests.unit.vectors.simulated import Later, SimulatedStore, SimulatedTime


def collection(
    *, dimension: int = 2, metric: Metric = Metric.L2, fields: dict[str, FieldType] | None = None, name: str = "words"
) -> Collection:
    """A collection that no catalogue knows."""
    settings = CollectionSettings(name=name, dimension=dimension, metric=metric, fields=fields or {})
    return Collection(tenant="demo", settings=settings, incarnation="0" * 32, created_at=1.0)


def replica(
    store: SimulatedStore, of: Collection | None = None, *, clock: Clock | None = None, builder: Later | None = None
) -> Replica:
    """A loaded replica."""
    clock = clock or SimulatedTime().clock()
    of = of or collection()
    made = Replica(of, Log(store, of, sleep=clock.sleep), builder=builder or Later(), clock=clock, segments=_segments())
    made.load()
    return made


@cache
def _segments() -> Path:
    folder = mkdtemp(prefix="anfl-test-segments-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def expect_outage(problem: Problem) -> None:
    """Anything but 503 is no outage, and a failure of the test."""
    if problem.status != 503:
        raise AssertionError(str(problem)) from problem


def writer(store: SimulatedStore, of: Collection | None = None) -> Writer:
    """A writer over a replica of its own."""
    return Writer(replica(store, of))


def upsert(*rows: tuple[str, Sequence[float]], request_id: str | None = None, **members: Any) -> Upsert:
    """An upsert of ``(id, values)``; ``members`` go to every row."""
    return Upsert(
        vectors=[NewRow(id=row_id, values=list(values), **members) for row_id, values in rows], request_id=request_id
    )


def delete(*ids: str, request_id: str | None = None) -> DeleteRows:
    """A deletion by ids."""
    return DeleteRows(ids=list(ids), request_id=request_id)
