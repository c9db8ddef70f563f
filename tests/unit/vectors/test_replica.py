"""How fresh reads are, and that building graphs changes no answer."""

import threading

import numpy as np
import pytest

from anfl.problems import Problem
from anfl.vectors import reads
from anfl.vectors.builder import Builder
from anfl.vectors.clock import Clock
from anfl.vectors.collection_folder import CollectionFolder, LocalImage
from anfl.vectors.engine import plan, tiers
from anfl.vectors.engine import rows as rows_module
from anfl.vectors.engine.images import Image
from anfl.vectors.model import Position
from anfl.vectors.requests import Answer, Count, Fetch, Query, Read
from anfl.vectors.state import QUIET_SECONDS
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import collection, delete, node, replica, storage, upsert, writer
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime


def test_bounded_reads_look_once_a_second() -> None:
    store, time = SimulatedStore(), SimulatedTime()
    reader = replica(store, clock=time.clock())
    writer(store).write(upsert(("a", (1, 1))))
    before = store.gets
    for _ in range(100):
        reader.freshen(Read())
    assert store.gets == before
    time.advance(1.01)
    reader.freshen(Read())
    assert reader.view(lambda state: len(state.rows)) == 1


def test_strong_reads_see_everything_acknowledged() -> None:
    store = SimulatedStore()
    reader = replica(store)
    node = writer(store)
    for number in range(5):
        node.write(upsert((str(number), (1, 1))))
        reader.freshen(Read(consistency="strong"))
        assert reader.view(lambda state: len(state.rows)) == number + 1


def test_a_reader_can_ask_for_its_own_write() -> None:
    store = SimulatedStore()
    reader = replica(store)
    position = writer(store).write(upsert(("a", (1, 1)))).sequence
    reader.freshen(Read(min_sequence=position))
    assert reader.view(lambda state: str(state.position)) == position


def test_a_position_that_does_not_come_is_an_error_in_time() -> None:
    time = SimulatedTime()
    reader = replica(SimulatedStore(), clock=time.clock())
    started = time.seconds
    with pytest.raises(Problem) as caught:
        reader.freshen(Read(min_sequence="1.99"))
    assert (caught.value.status, caught.value.code) == (503, "position_not_reached")
    assert time.seconds - started <= 2.1


@pytest.mark.parametrize(("text", "status"), [("2.1", 409), ("1", 400), ("1.x", 400), ("", 400), ("-1.1", 400)])
def test_a_position_of_elsewhere_is_refused(text: str, status: int) -> None:
    with pytest.raises(Problem) as caught:
        replica(SimulatedStore()).freshen(Read(min_sequence=text))
    assert caught.value.status == status


def test_concurrent_strong_reads_share_looks() -> None:
    store = SimulatedStore()
    reader = replica(store, clock=Clock())
    reader._probing.acquire()
    threads = [threading.Thread(target=reader.level_with, args=(reader.now(),)) for _ in range(10)]
    for thread in threads:
        thread.start()
    before = store.gets
    reader._probing.release()
    for thread in threads:
        thread.join()
    assert store.gets == before + 1


def test_a_graph_is_built_beside_reads_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "GRAPH_FROM", 20)
    monkeypatch.setattr(tiers, "FRESH_ROWS", 20)
    monkeypatch.setattr(plan, "GRAPH_COST", 0.0)
    store, place = SimulatedStore(), node()
    worker = Writer(replica(store, node_=place))
    builder = Builder(storage(store, node_=place))
    points = np.random.default_rng(2).integers(-50, 50, size=(200, 2))
    for number, (x, y) in enumerate(points):
        worker.write(upsert((f"{number:03}", (float(x), float(y)))))
        if number % 37 == 36:
            builder.build(collection())
            assert worker._replica.install_newest()
    found = worker._replica.view(lambda state: reads.query(state, Query(vector=[0.0, 0.0], k=5)))
    nearest = sorted((float(np.hypot(x, y)), f"{n:03}") for n, (x, y) in enumerate(points))[:5]
    assert isinstance(found, Answer)
    assert [round(match.distance, 3) for match in found.matches] == [round(distance, 3) for distance, _ in nearest]
    assert worker._replica.view(lambda state: reads.count(state, Count())).count == 200
    assert worker._replica.view(lambda state: state.rows.segments)


def test_a_large_load_is_in_graphs_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "GRAPH_FROM", 20)
    monkeypatch.setattr(tiers, "FRESH_ROWS", 20)
    monkeypatch.setattr(tiers, "MOST_ADDED", 30)
    store, place = SimulatedStore(), node()
    loaded = Writer(replica(store, node_=place))
    loaded.write(upsert(*((str(number), (float(number), 1.0)) for number in range(75))))
    seen: list[int] = []
    publish = CollectionFolder.publish

    def noted(folder: CollectionFolder, position: Position, image: Image) -> LocalImage:
        made = publish(folder, position, image)
        assert loaded._replica.install_newest()
        seen.append(loaded._replica.view(lambda state: state.rows.unmerged))
        return made

    monkeypatch.setattr(CollectionFolder, "publish", noted)
    Builder(storage(store, node_=place)).build(collection())
    assert seen == [45, 15]
    assert loaded._replica.view(lambda state: sorted(state.rows.ids())) == sorted(map(str, range(75)))


def test_what_is_small_is_merged_once_nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "GRAPH_FROM", 20)
    monkeypatch.setattr(tiers, "FRESH_ROWS", 20)
    monkeypatch.setattr(tiers, "GAIN", 1)
    store, place, time = SimulatedStore(), node(), SimulatedTime()
    worker = Writer(replica(store, clock=time.clock(), node_=place))
    builder = Builder(storage(store, clock=time.clock(), node_=place))

    def merged() -> tuple[int, int]:
        builder.build(collection())
        worker._replica.install_newest()
        return worker._replica.view(lambda state: (len(state.rows.segments), state.rows.unmerged))

    for first, count in ((0, 60), (60, 20), (80, 5)):
        worker.write(upsert(*((str(number), (float(number), 1.0)) for number in range(first, first + count))))
        last = merged()
    assert last == (2, 5)
    assert not worker._replica.wants_builder()
    time.advance(QUIET_SECONDS)
    assert worker._replica.wants_builder()
    assert merged() == (1, 0)
    assert not worker._replica.wants_builder()


def test_what_has_expired_before_it_had_a_graph_stops_nobody_from_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is due for a graph, so nobody made an image without it: writers were to slow down for ever."""
    store, place, time = SimulatedStore(), node(), SimulatedTime()
    worker = Writer(replica(store, clock=time.clock(), node_=place), waits_for_builder=True)
    worker.write(upsert(*((str(number), (1.0, 1.0)) for number in range(5)), expires_at=1.0))
    monkeypatch.setattr(rows_module, "MOST_UNMERGED", 4)
    with pytest.raises(Problem):
        worker.write(upsert(("a", (1.0, 1.0))))
    assert worker._replica.wants_builder()
    Builder(storage(store, clock=time.clock(), node_=place)).build(collection())
    assert worker._replica.install_newest()
    assert not worker._replica.wants_builder()
    worker.write(upsert(("a", (1.0, 1.0))))


def test_an_image_that_can_never_be_taken_over_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many ids have been deleted since that it is not known which; the next image is another matter."""
    monkeypatch.setattr(rows_module, "DELETED_IDS", 2)
    store, place = SimulatedStore(), node()
    worker, builder = Writer(replica(store, node_=place)), Builder(storage(store, node_=place))
    ids = [str(number) for number in range(4)]
    worker.write(upsert(*((row_id, (1.0, 1.0)) for row_id in ids)))
    builder.build(collection())
    worker.write(delete(*ids))
    read: list[str] = []
    load = CollectionFolder.load

    def noted(folder: CollectionFolder, name: str) -> LocalImage | None:
        read.append(name)
        return load(folder, name)

    monkeypatch.setattr(CollectionFolder, "load", noted)
    assert [worker._replica.install_newest() for _ in range(3)] == [False] * 3
    assert len(read) == 1
    builder.build(collection())
    assert worker._replica.install_newest()


def test_values_come_back_bit_by_bit() -> None:
    store = SimulatedStore()
    node = writer(store)
    values = np.array([0.1, -1e-30], dtype=np.float32)
    node.write(upsert(("a", [float(v) for v in values])))
    row = replica(store).view(lambda state: reads.fetch(state, Fetch(ids=["a"]))).vectors[0]
    assert row.values is not None
    assert np.array(row.values, dtype=np.float32).tobytes() == values.tobytes()


def test_readers_wait_for_no_writer() -> None:
    reader = replica(SimulatedStore())
    Writer(reader).write(upsert(("a", (1, 1))))
    before = reader.shown
    with reader._lock:  # as while a batch is applied
        assert reads.count(reader.shown, Count()).count == 1
    Writer(reader).write(upsert(("b", (1, 1))))
    assert (reads.count(before, Count()).count, str(before.position)) == (1, "1.1")
    assert (reads.count(reader.shown, Count()).count, str(reader.shown.position)) == (2, "1.2")
