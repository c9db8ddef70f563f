"""Stores with a second engine, for tests of moves."""

from pathlib import Path
from typing import Any, cast

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.engines import Changes, RequestPage
from anfl.vectors.events import NoEvents
from anfl.vectors.hnsw import HnswEngine
from anfl.vectors.inline import Inline
from anfl.vectors.model import Collection
from anfl.vectors.moving.records import Stage
from anfl.vectors.moving.requests import Move, Moved
from anfl.vectors.node import NodeFolder
from anfl.vectors.node_memory import NodeMemory
from anfl.vectors.requests import Scroll, StoredRow
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from tests.fault.simulation.bucket import Bucket
from tests.fault.simulation.table import Table
from tests.fault.simulation.world import Weather, World

OTHER = "other"
MOST_STEPS = 200


class Everywhere(HnswEngine):
    """An engine that is written in every region."""

    def check_home(self, collection: Collection) -> None:
        """Each is at home."""


class Unfollowed(Everywhere):
    """An engine that does not tell what was written, and whose request ids come in another order."""

    follows = False
    late = 20.0
    """Seconds for which ordinary writes may come too late."""

    def changes(self, collection: Collection, since: str | None, *, most: int) -> Changes | None:  # noqa: ARG002
        """See `Engine.changes`."""
        return None

    def requests(self, collection: Collection, after: str, *, most: int) -> RequestPage:
        """See `Engine.requests`."""
        found = super().requests(collection, "", most=10**6).requests
        behind = sorted((each for each in found if each.request_id > after), key=lambda each: each.request_id)[:most]
        return RequestPage(requests=behind, cursor=behind[-1].request_id if behind else after, more=len(behind) == most)

    def fence(self, collection: Collection) -> float:
        """See `Engine.fence`."""
        return super().fence(collection) + self.late


class Nodes:
    """Processes on nodes of their own, over one table and one bucket in memory. Time passes when told to."""

    def __init__(self, folder: Path, *, kind: type[HnswEngine] = HnswEngine) -> None:
        """:param kind: of the engine ``hnsw``; the other one is none in particular."""
        self.world = World(0, Weather())
        self.catalogue = Catalogue(cast("Any", Table(self.world)))
        self._bucket = Bucket(self.world, versioned=False)
        self._folder = folder
        self._kind = kind
        self._begun = 0

    def begin(self) -> VectorStore:
        """A process that begins."""
        self._begun += 1
        world = self.world
        clock = Clock(wall=lambda: world.seconds, monotonic=lambda: world.seconds, sleep=world.sleep)
        node = NodeFolder(self._folder / str(self._begun), sleep=world.sleep)
        store = VectorStore(
            self.catalogue, Storage(objects=self._bucket, node=node, clock=clock, threads=False, events=NoEvents())
        )
        with_other(store)
        if self._kind is not HnswEngine:
            store._engines._engines = {**store._engines._engines, "hnsw": _engine(store, self._kind)}
        return store


def with_other(store: VectorStore) -> None:
    """Let ``store`` have the engine `OTHER`."""
    store._engines._engines = {**store._engines._engines, OTHER: _engine(store, Everywhere)}


def _engine(store: VectorStore, kind: type[HnswEngine]) -> HnswEngine:
    return kind(store.catalogue, store.storage, Inline(), learn=store.names.learn, tails=NodeMemory().tails)


def move(store: VectorStore, name: str, request: Move, *, until: Stage = Stage.DONE) -> Moved:
    """Carry on until a stage is reached."""
    for _ in range(MOST_STEPS):
        moved = store.move("demo", name, request)
        if moved.stage is until:
            return moved
        store.storage.clock.sleep(moved.wait)
    raise AssertionError(f"it is {moved}")


def rows_of(store: VectorStore, name: str) -> dict[str, StoredRow]:
    """All rows without their versions."""
    request = Scroll(limit=1_000, include=["values", "metadata"], consistency="strong")
    found = store.scroll("demo", name, request).vectors
    return {
        row.id: StoredRow(id=row.id, version=0, values=row.values, metadata=row.metadata, expires_at=row.expires_at)
        for row in found
    }
