"""A node's disk: what nobody has in memory leaves it when another collection needs the room."""

import errno
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anfl.problems import Problem
from anfl.vectors import collection_folder
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.clock import Clock
from anfl.vectors.collection_folder import IN_USE_SECONDS, CollectionFolder
from anfl.vectors.model import Collection, CollectionSettings, Metric
from anfl.vectors.node import NodeFolder
from anfl.vectors.objects import S3ObjectStore
from anfl.vectors.replica import Replica
from anfl.vectors.requests import Count
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import collection, storage, upsert
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime


@dataclass(frozen=True)
class _Usage:
    total: int
    free: int


class _Disk:
    """One of ``total`` bytes, all of which that are not free stand below a folder."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __call__(self, path: Path) -> _Usage:
        return _Usage(self.total, self.total - size_of(path))


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def part(node: NodeFolder, *, used_before: float, size: int = 100) -> CollectionFolder:
    """A collection's part that takes ``size`` bytes."""
    of = Collection(tenant="demo", settings=collection().settings, incarnation=uuid.uuid4().hex, created_at=1.0)
    made = node.of(of)
    made.new_segment("5e6").joinpath("rows.bin").write_bytes(bytes(size))
    unused(node.path / of.incarnation, seconds=used_before)
    return made


def unused(folder: Path, *, seconds: float) -> None:
    """As if no process had had it in memory for so long."""
    mark = folder / "used"
    mark.touch()
    os.utime(mark, (time.time() - seconds, time.time() - seconds))


def parts(node: NodeFolder) -> set[str]:
    return {path.parent.name for path in node.path.glob("*/segments")}


def test_what_was_used_longest_ago_leaves_as_far_as_room_is_needed(tmp_path: Path) -> None:
    node = NodeFolder(tmp_path, disk=_Disk(1_000))
    first, second, third = (part(node, used_before=IN_USE_SECONDS + age) for age in (300, 200, 100))
    node.make_room(400)
    assert parts(node) == {first.incarnation, second.incarnation, third.incarnation}, "there is room enough"
    node.make_room(550)
    assert parts(node) == {second.incarnation, third.incarnation}


def test_what_a_process_has_in_memory_stays(tmp_path: Path) -> None:
    node = NodeFolder(tmp_path, disk=_Disk(1_000))
    part(node, used_before=IN_USE_SECONDS + 60)
    used = part(node, used_before=IN_USE_SECONDS - 60, size=600)
    node.make_room(900)
    assert parts(node) == {used.incarnation}


def test_who_waited_while_it_was_removed_finds_a_place_to_write_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock goes with the folder."""
    time = SimulatedTime()
    place = storage(SimulatedStore(now=lambda: time.seconds), clock=time.clock(), node_=NodeFolder(tmp_path))
    replica = place.replica(collection())
    unused(place.node.path / collection().incarnation, seconds=IN_USE_SECONDS + 60)
    removing, remove = threading.Event(), CollectionFolder.remove

    def slowly(self: CollectionFolder) -> None:
        removing.set()
        threading.Event().wait(0.05)
        remove(self)

    monkeypatch.setattr(CollectionFolder, "remove", slowly)
    sweeper = threading.Thread(target=replica.folder.remove_unused)
    sweeper.start()
    assert removing.wait(5)
    replica.load()
    sweeper.join()
    replica.folder.remove_unused()
    assert parts(place.node) == {replica.folder.incarnation}, "that it is in use went with the folder, too"
    Builder(place, policy=SnapshotPolicy(batches=1)).build(collection())
    assert replica.install_newest()


@pytest.fixture(name="kept_for")
def _kept_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr(collection_folder, "IN_USE_SECONDS", seconds)


def test_a_node_reads_more_collections_than_its_disk_holds(
    catalogue: Catalogue, objects: S3ObjectStore, tmp_path: Path, kept_for: Callable[[float], None]
) -> None:
    names = [f"c{n}" for n in range(6)]
    home = storage(objects, clock=Clock())
    writing = VectorStore(catalogue, home)
    for name in names:
        made, _ = writing.create("demo", CollectionSettings(name=name, dimension=64, metric=Metric.L2))
        writing.write("demo", name, upsert(*((f"r{n}", [float(n)] * 64) for n in range(40))))
        Builder(home, policy=SnapshotPolicy(batches=1)).build(made)
    writing.close()

    kept_for(-1.0)
    disk = _Disk(10**9)
    place = Storage(objects=objects, node=NodeFolder(tmp_path, disk=disk), clock=Clock())
    reading = VectorStore(catalogue, place, memory_bytes=1)
    assert reading.count("demo", names[-1], Count()).count == 40
    disk.total = 4 * size_of(tmp_path)
    for name in [*names, *names]:
        assert reading.count("demo", name, Count()).count == 40
        reading.hnsw.upkeep.once()
        assert size_of(tmp_path) < disk.total
    reading.close()
    assert 0 < len(parts(place.node)) < len(names)


def test_a_full_disk_is_an_outage_and_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time = SimulatedTime()
    store = SimulatedStore(now=lambda: time.seconds)
    home = storage(store, clock=time.clock())
    written = home.replica(collection())
    written.load()
    Writer(written).write(upsert(("a", (1, 1))))
    Builder(home, policy=SnapshotPolicy(batches=1)).build(collection())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CollectionFolder, "publish", full)
    reading = storage(store, clock=time.clock(), node_=NodeFolder(tmp_path)).replica(collection())
    with pytest.raises(Problem) as caught:
        reading.load()
    assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")


@pytest.mark.parametrize("call", ["publish", "prepare"])
def test_so_it_is_for_whoever_keeps_a_state_or_asks_for_the_first_time(
    catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.hnsw.upkeep.stop()
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    if call == "publish":
        store.write("demo", "words", upsert(("a", (1, 1))))
    monkeypatch.setattr(CollectionFolder, call, full)
    with pytest.raises(Problem) as caught:
        store.create_snapshot("demo", "words", "monday")
    assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
    store.close()


def test_a_process_says_again_and_again_what_it_has_in_memory(catalogue: Catalogue, objects: S3ObjectStore) -> None:
    time = SimulatedTime()
    place = storage(objects, clock=time.clock())
    store = VectorStore(catalogue, place)
    made, _ = store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.write("demo", "words", upsert(("a", (1, 1))))
    for seconds in (0.0, IN_USE_SECONDS / 2):
        time.advance(seconds)
        unused(place.node.path / made.incarnation, seconds=IN_USE_SECONDS + 60)
        store.hnsw.upkeep.once()
        place.node.of(made).remove_unused()
        assert parts(place.node) == {made.incarnation}
    store.close()


def test_who_finds_no_room_for_a_lock_goes_on_without(
    catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.suffix == ".lock" and not path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    store = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.create("demo", CollectionSettings(name="words", dimension=2, metric=Metric.L2))
    store.write("demo", "words", upsert(("a", (1, 1))))
    assert store.count("demo", "words", Count()).count == 1
    store.close()


def test_what_one_collection_fails_of_keeps_no_other_from_its_turn(
    catalogue: Catalogue, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VectorStore(catalogue, storage(objects, clock=Clock()))
    store.hnsw.upkeep.stop()
    for name in ("one", "two", "three"):
        store.create("demo", CollectionSettings(name=name, dimension=2, metric=Metric.L2))
        store.write("demo", name, upsert(("a", (1, 1))))
    seen: list[str] = []

    def failing(replica: Replica) -> None:
        seen.append(replica.collection.name)
        raise RuntimeError(replica.collection.name)

    monkeypatch.setattr(Replica, "install_newest", failing)
    with pytest.raises(RuntimeError):
        store.hnsw.upkeep.once()
    assert sorted(seen) == ["one", "three", "two"]
    store.close()
