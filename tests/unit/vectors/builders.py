"""Collections, replicas and rows for tests."""

import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anfl.problems import Problem
from anfl.vectors.clock import Clock
from anfl.vectors.events import Events, Holdings, NoEvents, Turn
from anfl.vectors.model import Collection, CollectionSettings, FieldType, Metric
from anfl.vectors.node import NodeFolder
from anfl.vectors.objects import ObjectStore
from anfl.vectors.replica import Replica
from anfl.vectors.requests import DeleteRows, NewRow, Upsert
from anfl.vectors.storage import Storage
from anfl.vectors.writer import Writer
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

_FOLDERS = tempfile.TemporaryDirectory(prefix="anfl-nodes-")


def collection(
    *, dimension: int = 2, metric: Metric = Metric.L2, fields: dict[str, FieldType] | None = None, name: str = "words"
) -> Collection:
    """A collection that no catalogue knows."""
    settings = CollectionSettings(name=name, dimension=dimension, metric=metric, fields=fields or {})
    return Collection(tenant="demo", settings=settings, incarnation="0" * 32, created_at=1.0)


def node() -> NodeFolder:
    """A node of its own."""
    return NodeFolder(Path(_FOLDERS.name) / uuid.uuid4().hex)


class Noted:
    """What a store tells its operators."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.damages: list[bool] = []
        self.holdings: list[Holdings] = []

    def turned(self, turn: Turn) -> None:
        """See `Events.turned`."""
        self.turns.append(turn)

    def damaged(self, *, repaired: bool) -> None:
        """See `Events.damaged`."""
        self.damages.append(repaired)

    def holds(self, holdings: Holdings) -> None:
        """See `Events.holds`."""
        self.holdings.append(holdings)


def storage(
    objects: ObjectStore,
    *,
    clock: Clock | None = None,
    node_: NodeFolder | None = None,
    events: Events | None = None,
) -> Storage:
    """Objects and a node, a new one if none is given."""
    return Storage(
        objects=objects, node=node_ or node(), clock=clock or SimulatedTime().clock(), events=events or NoEvents()
    )


def replica(
    store: SimulatedStore, of: Collection | None = None, *, clock: Clock | None = None, node_: NodeFolder | None = None
) -> Replica:
    """A loaded replica, on a node of its own if none is given."""
    made = storage(store, clock=clock, node_=node_).replica(of or collection())
    made.load()
    return made


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
