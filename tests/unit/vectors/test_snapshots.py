"""Snapshots: what makes one count, what damage does, and what may be removed when."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors import collection_folder, reads
from anfl.vectors import parts as parts_module
from anfl.vectors.batch import Batch
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.engine import tiers
from anfl.vectors.envelope import Checksummed, DamagedError
from anfl.vectors.manifests import LOG_SECONDS, Manifest
from anfl.vectors.model import Fork
from anfl.vectors.naming import NamedSnapshotList
from anfl.vectors.objects import AlreadyExistsError, StoreUnavailableError
from anfl.vectors.replica import OUT_OF_TOUCH_SECONDS, STORE_SECONDS, Replica
from anfl.vectors.request_ids import REQUEST_SECONDS
from anfl.vectors.requests import Count, DeleteRows
from anfl.vectors.retention import GRACE_SECONDS, PART_SECONDS
from anfl.vectors.snapshots import PUBLISH_SECONDS, Snapshots
from anfl.vectors.state import QUIET_SECONDS, State
from anfl.vectors.storage import Storage
from anfl.vectors.transfers import Transfers
from anfl.vectors.trouble import LogGapError
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import Noted, collection, node, storage, upsert
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

DAY = 24 * 3600.0


class Node:
    """A node with a writer and a builder that makes a snapshot at every turn."""

    def __init__(self, store: SimulatedStore, time: SimulatedTime) -> None:
        self.storage = storage(store, clock=time.clock())
        self.replica = loaded(self.storage)
        self.writer = Writer(self.replica)
        self._builder = Builder(self.storage, policy=SnapshotPolicy(batches=1))

    def write(self, *names: str) -> None:
        """A batch of rows."""
        self.writer.write(upsert(*((name, (1, 1)) for name in names), request_id=f"of {names[0]}"))

    def snapshot(self) -> None:
        """A turn of the builder."""
        self._builder.build(collection())


def loaded(where: Storage) -> Replica:
    replica = where.replica(collection())
    replica.load()
    return replica


def count(replica: Replica) -> int:
    return replica.view(lambda state: reads.count(state, Count())).count


@pytest.fixture(name="time")
def _time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture(name="store")
def _store(time: SimulatedTime) -> SimulatedStore:
    return SimulatedStore(now=lambda: time.seconds)


@pytest.fixture(name="one")
def _one(store: SimulatedStore, time: SimulatedTime, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(tiers, "GRAPH_FROM", 4)
    return Node(store, time)


def keys(store: SimulatedStore, folder: str) -> list[str]:
    prefix = f"{collection().prefix}{folder}/"
    return sorted(key.removeprefix(prefix) for key in store.objects if key.startswith(prefix))


def test_a_node_begins_with_the_newest_snapshot(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    for number in range(10):
        one.write(f"row{number}")
    one.snapshot()
    one.write("later")
    before = store.gets
    replica = loaded(storage(store, clock=time.clock()))
    assert count(replica) == 11
    assert store.gets - before < 10
    assert replica.view(lambda state: state.row("row3").version) == 4  # type: ignore[union-attr]


def test_request_ids_survive_in_snapshots(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    one.write("a")
    position = one.writer.write(DeleteRows(ids=["a"], request_id="again")).sequence
    one.snapshot()
    other = Writer(loaded(storage(store, clock=time.clock())))
    assert other.write(DeleteRows(ids=["a"], request_id="again")).sequence == position


def test_segments_that_have_not_changed_are_uploaded_once(store: SimulatedStore, one: Node) -> None:
    one.write(*(f"row{number}" for number in range(10)))
    one.snapshot()
    first = set(keys(store, "parts"))
    one.write("later")
    one.snapshot()
    assert len(set(keys(store, "parts")) - first) == 1
    manifests = [
        one.replica.snapshots.manifests.read(listed.path) for listed in one.replica.snapshots.manifests.newest_first()
    ]
    assert manifests[0].segments == manifests[1].segments != ()


def test_files_in_many_parts_come_back(
    store: SimulatedStore, time: SimulatedTime, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "PART_BYTES", 100)
    one.write(*(f"row{number}" for number in range(50)))
    one.snapshot()
    assert len(keys(store, "parts")) > 20
    replica = loaded(storage(store, clock=time.clock()))
    assert count(replica) == 50
    assert replica.view(lambda state: state.rows.segments)


@pytest.mark.parametrize("part", ["manifest", "part", "absent part"])
def test_a_damaged_snapshot_is_passed_over(store: SimulatedStore, time: SimulatedTime, one: Node, part: str) -> None:
    one.write("a")
    one.snapshot()
    known = set(keys(store, "parts"))
    one.write("b")
    one.snapshot()
    newest = one.replica.snapshots.manifests.newest_first()[0].path
    own = (set(keys(store, "parts")) - known).pop()
    key = f"{collection().prefix}snapshots/{newest}" if part == "manifest" else f"{collection().prefix}parts/{own}"
    if part == "absent part":
        del store.objects[key]
    else:
        store.objects[key] = store.objects[key][:-1]
    replica = loaded(storage(store, clock=time.clock()))
    assert count(replica) == 2
    assert replica.trouble is None


def test_what_was_brought_of_a_damaged_snapshot_does_not_stay_on_the_node(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    one.write(*(f"row{number}" for number in range(10)))
    one.snapshot()
    manifests = one.replica.snapshots.manifests
    manifest = manifests.read(manifests.newest_first()[0].path)
    assert manifest.segments
    del store.objects[one.replica.snapshots.parts.key(manifest.rest[0].name)]
    replica = loaded(storage(store, clock=time.clock()))
    assert count(replica) == 10
    assert list(replica.folder.segments.iterdir()) == []


def test_what_a_killed_process_has_left_of_a_segment_is_brought_again(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    """Whoever removes a folder removes one file after the other."""
    one.write(*(f"row{number}" for number in range(10)))
    one.snapshot()
    one.write("later")
    one.snapshot()
    time.advance(LOG_SECONDS + DAY)
    one.snapshot()
    place = node()
    left = loaded(storage(store, clock=time.clock(), node_=place)).folder
    shutil.rmtree(left.segments.parent / "images")
    segment = next(path for path in left.segments.iterdir())
    next(path for path in segment.iterdir() if path.suffix == ".bin").unlink()
    replica = loaded(storage(store, clock=time.clock(), node_=place))
    assert count(replica) == 11
    assert replica.sequence == 2
    assert replica.view(lambda state: state.rows.segments)
    assert loaded(storage(store, clock=time.clock(), node_=place)).view(lambda state: state.rows.segments)


@pytest.mark.parametrize(
    ("error", "is_the_end"),
    [(DamagedError("part"), False), (StoreUnavailableError("get"), True), (Problem(503, "key_unavailable", ""), True)],
)
def test_once_the_store_does_not_answer_no_more_parts_are_asked_for(error: Exception, *, is_the_end: bool) -> None:
    begun: list[int] = []

    def bring(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise error

    with pytest.raises(type(error)):
        Transfers(6).all(bring, range(1_000))
    assert (len(begun) < 100) is is_the_end


def test_a_manifest_that_stands_in_the_place_of_another_is_damage(store: SimulatedStore, one: Node) -> None:
    """Where nothing is sealed, too: what it says of itself has to be where it stands."""
    one.write("a")
    one.snapshot()
    one.write("b")
    one.snapshot()
    manifests = one.replica.snapshots.manifests
    newer, older = (listed.path for listed in manifests.newest_first())
    store.objects[manifests.key(newer)] = store.objects[manifests.key(older)]
    with pytest.raises(DamagedError, match="belongs elsewhere"):
        manifests.read(newer)

    again = msgspec.structs.replace(collection(), incarnation="1" * 32)
    elsewhere = one.storage.snapshots(again).manifests
    store.objects[elsewhere.key(older)] = store.objects[manifests.key(older)]
    with pytest.raises(DamagedError, match="belongs elsewhere"):
        elsewhere.read(older)


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/b", "..", ".", ".hidden", "", "a\x00b", "a\n"])
@pytest.mark.parametrize("kind", ["segment", "file", "part"])
def test_a_manifest_names_nothing_outside_of_its_folder(
    store: SimulatedStore, time: SimulatedTime, one: Node, kind: str, name: str
) -> None:
    """Whoever may write the bucket reaches no other place on a node's disk, where nothing is sealed either."""
    one.write("a", "b", "c", "d", "e")
    one.snapshot()
    manifests = one.replica.snapshots.manifests
    manifest = manifests.read(manifests.newest_first()[0].path)
    segment = manifest.segments[0]
    file = segment.files[0]
    if kind == "part":
        file = msgspec.structs.replace(file, parts=(msgspec.structs.replace(file.parts[0], name=name),))
    elif kind == "file":
        file = msgspec.structs.replace(file, name=name)
    forged = msgspec.structs.replace(segment, files=(file,), name=name if kind == "segment" else segment.name)
    key = manifests.key(manifest.path)
    body = msgspec.msgpack.encode(msgspec.structs.replace(manifest, segments=(forged,)))
    store.objects[key] = Checksummed().seal(key, body)
    with pytest.raises(DamagedError, match="matching regex"):
        manifests.read(manifest.path)
    assert count(loaded(storage(store, clock=time.clock()))) == 5


def test_a_damaged_part_is_put_right_from_its_version(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    for key in [f"{collection().prefix}parts/{name}" for name in keys(store, "parts")]:
        store.put(key, b"ANFL damaged")
    manifest = one.replica.snapshots.manifests.read(one.replica.snapshots.manifests.newest_first()[0].path)
    one.replica.snapshots.verify(manifest)
    assert all(body != b"ANFL damaged" for body in store.objects.values())


def test_a_part_that_has_grown_is_not_written_over_what_follows_it(
    store: SimulatedStore, time: SimulatedTime, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "PART_BYTES", 100)
    one.write(*(f"row{number}" for number in range(50)))
    one.snapshot()
    manifests = one.replica.snapshots.manifests
    manifest = manifests.read(manifests.newest_first()[0].path)
    for key in map(one.replica.snapshots.parts.key, manifest.parts()):
        store.put(key, store.objects[key] + bytes(1_000))
    files = loaded(storage(store, clock=time.clock())).folder.segments / manifest.segments[0].name
    for file in manifest.segments[0].files:
        assert (files / file.name).stat().st_size == sum(part.size for part in file.parts)


def test_a_part_that_is_gone_comes_back_from_its_version(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    before = dict(store.objects)
    store.delete(f"{collection().prefix}parts/{name}" for name in list(keys(store, "parts")))
    assert store.objects != before
    manifests = one.replica.snapshots.manifests
    one.replica.snapshots.verify(manifests.read(manifests.newest_first()[0].path))
    assert store.objects == before


def test_a_damaged_manifest_is_put_right_from_its_version(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    manifests = one.replica.snapshots.manifests
    path = manifests.newest_first()[0].path
    manifest = manifests.read(path)
    store.put(manifests.key(path), b"ANFL damaged")
    assert manifests.read(path) == manifest
    assert store.objects[manifests.key(path)] != b"ANFL damaged"


def test_a_damaged_name_of_a_snapshot_is_put_right_from_its_version(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    manifests, named = one.replica.snapshots.manifests, one.storage.named(collection())
    described = named.create("monday", manifests.read(manifests.newest_first()[0].path))
    store.put(f"{collection().prefix}named/monday", b"ANFL damaged")
    assert named.page(limit=5) == NamedSnapshotList(snapshots=[described])
    assert store.objects[f"{collection().prefix}named/monday"] != b"ANFL damaged"


def test_a_name_whose_answer_got_lost_is_ones_own_and_nobody_elses(
    store: SimulatedStore, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3's library asks again by itself, and finds what its first attempt has written."""
    put = store.put_if_absent

    def twice(key: str, body: bytes) -> None:
        with suppress(AlreadyExistsError):
            put(key, body)
        put(key, body)

    manifests, named = one.replica.snapshots.manifests, one.storage.named(collection())
    for name in "ab":
        one.write(name)
        one.snapshot()
    newer, older = (manifests.read(listed.path) for listed in manifests.newest_first())
    monkeypatch.setattr(store, "put_if_absent", twice)
    assert named.create("monday", older).rows == 1
    with pytest.raises(Problem, match="already"):
        named.create("monday", newer)
    assert named.find("monday")[1] == older.path


def test_a_damaged_name_is_put_right_as_it_was_given_last(store: SimulatedStore, one: Node) -> None:
    manifests, named = one.replica.snapshots.manifests, one.storage.named(collection())
    for name in "ab":
        one.write(name)
        one.snapshot()
        described = named.create("monday", manifests.read(manifests.newest_first()[0].path))
        if name == "a":
            named.delete("monday")
    store.put(f"{collection().prefix}named/monday", b"ANFL damaged")
    assert named.find("monday")[0] == described
    assert named.page(limit=5) == NamedSnapshotList(snapshots=[described])


def test_a_damaged_name_that_nothing_can_put_right_is_told_once_however_often_somebody_looks(
    store: SimulatedStore, time: SimulatedTime
) -> None:
    noted = Noted()
    storage_ = storage(store, clock=time.clock(), events=noted)
    store.objects[f"{collection().prefix}named/monday"] = b"ANFL damaged"
    for _ in range(3):
        with pytest.raises(Problem, match="damaged"):
            storage_.named(collection()).find("monday")
    assert noted.damages == [False]


def test_what_was_never_whole_is_not_verified(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    listed = one.replica.snapshots.manifests.newest_first()[0]
    manifest = one.replica.snapshots.manifests.read(listed.path)
    store.objects.pop(one.replica.snapshots.parts.key(manifest.rest[0].name))
    with pytest.raises(DamagedError):
        one.replica.snapshots.verify(manifest)


def test_two_verified_snapshots_stay_and_the_third_goes_after_an_hour(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    for name in "abcd":
        one.write(name)
        one.snapshot()
    retention = one.storage.retention(collection())
    retention.clean(now=time.seconds)
    assert len(keys(store, "snapshots")) == 4
    time.advance(GRACE_SECONDS + 1)
    retention.clean(now=time.seconds)
    assert [name.split("-")[0][-1] for name in keys(store, "snapshots")] == ["3", "4"]
    assert len(keys(store, "log/00000001")) == 4


def test_an_unverified_snapshot_removes_nothing(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    for name in "abcd":
        one.write(name)
        one.snapshot()
    for key in [key for key in store.objects if "/verified/" in key]:
        del store.objects[key]
    time.advance(30 * DAY)
    assert one.storage.retention(collection()).clean(now=time.seconds) == 0


def test_the_log_goes_a_week_after_a_verified_snapshot(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    for name in "abc":
        one.write(name)
        one.snapshot()
    retention = one.storage.retention(collection())
    time.advance(LOG_SECONDS - 60)
    retention.clean(now=time.seconds)
    assert len(keys(store, "log/00000001")) == 3
    time.advance(120)
    retention.clean(now=time.seconds)
    assert [int(name) for name in keys(store, "log/00000001")] == [3]
    assert count(loaded(storage(store, clock=time.clock()))) == 3


def test_the_newest_object_of_an_epoch_never_goes(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    one.write("a")
    for _ in range(3):
        one.snapshot()
        one.replica.snapshots.publish(
            one.replica.view(lambda state: state.image()), one.replica.view(lambda s: s.position), rows=1, now=1.0
        )
    one.storage.retention(collection()).verify_newest()
    time.advance(30 * DAY)
    one.storage.retention(collection()).clean(now=time.seconds)
    assert [int(name) for name in keys(store, "log/00000001")] == [1]


def test_parts_of_no_snapshot_go_after_a_day(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    for name in "abc":
        one.write(name)
        one.snapshot()
    store.put(f"{collection().prefix}parts/{'0' * 64}", b"an upload that was given up")
    parts = len(keys(store, "parts"))
    time.advance(PART_SECONDS - 60)
    one.storage.retention(collection()).clean(now=time.seconds)
    assert len(keys(store, "parts")) == parts
    time.advance(120)
    one.storage.retention(collection()).clean(now=time.seconds)
    assert len(keys(store, "parts")) == parts - 2
    assert count(loaded(storage(store, clock=time.clock()))) == 3


def test_a_node_that_slept_while_the_log_was_cut_off_goes_on_from_a_snapshot(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    one.write("a")
    sleeper = Writer(loaded(storage(store, clock=time.clock())))
    for name in "bcd":
        one.write(name)
        one.snapshot()
    time.advance(LOG_SECONDS + 60)
    one.storage.retention(collection()).clean(now=time.seconds)
    assert [int(name) for name in keys(store, "log/00000001")] == [4]
    assert sleeper.write(upsert(("e", (1, 1)))).sequence == "1.5"
    assert count(loaded(storage(store, clock=time.clock()))) == 5


def test_who_slept_for_six_days_finds_the_log_and_for_eight_days_does_not(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    """In days, as they are promised, and not as the code has them."""
    for name in "abc":
        one.write(name)
        one.snapshot()
    for days, left in ((6, [1, 2, 3]), (2, [3])):
        time.advance(days * DAY)
        one.storage.retention(collection()).clean(now=time.seconds)
        assert [int(name) for name in keys(store, "log/00000001")] == left


def test_parts_that_wait_for_their_manifest_for_hours_stay(time: SimulatedTime, one: Node) -> None:
    """A builder has uploaded them and has not written the manifest yet; in hours, as they are promised."""
    for name in "abc":
        one.write(name)
        one.snapshot()
    one.write("later")
    snapshots = one.storage.snapshots(collection())
    waiting: list[Manifest] = []
    snapshots.manifests.write = lambda manifest, at: waiting.append(manifest)  # type: ignore[misc, method-assign]  # noqa: ARG005
    image, position = one.replica.view(lambda state: (state.image(), state.position))
    snapshots.publish(image, position, rows=4, now=time.seconds)
    time.advance(20 * 3600.0)
    one.storage.retention(collection()).clean(now=time.seconds)
    other = one.storage.snapshots(collection())
    other.manifests.write(waiting[0], at=time.seconds)
    other.verify(waiting[0])


def test_a_snapshot_whose_parts_took_so_long_that_some_may_have_gone_is_not_made(
    time: SimulatedTime, one: Node
) -> None:
    one.write("a")
    snapshots = one.storage.snapshots(collection())
    image, position = one.replica.view(lambda state: (state.image(), state.position))
    upload = snapshots.parts.upload

    def slowly(*args: Any, **named: Any) -> Any:
        time.advance(PUBLISH_SECONDS + 1)
        return upload(*args, **named)

    snapshots.parts.upload = slowly  # type: ignore[method-assign]
    with pytest.raises(Problem) as refused:
        snapshots.publish(image, position, rows=1, now=time.seconds)
    assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
    assert snapshots.manifests.newest_first() == []


def test_a_removal_that_was_decided_long_ago_does_no_harm(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    """Found by the simulator: the same content was uploaded again, and a late deletion took it away."""
    one.write("a")
    one.snapshot()
    image, position = one.replica.view(lambda state: (state.image(), state.position))
    decided = [f"{collection().prefix}parts/{name}" for name in keys(store, "parts")]
    for key in [key for key in store.objects if "/snapshots/" in key]:
        del store.objects[key]
    snapshots = one.storage.snapshots(collection())
    manifest = snapshots.publish(image, position, rows=1, now=time.seconds)
    store.delete(decided)
    store.replaced.clear()
    snapshots.verify(manifest)


def test_a_batch_that_arrives_where_the_log_was_cut_off_is_not_followed(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    """It closes the gap before what is left of the log, so that a listing looks whole."""
    reader = loaded(storage(store, clock=time.clock()))
    for name in "abc":
        one.write(name)
        one.snapshot()
    reader.apply(reader.log.read(1))  # type: ignore[arg-type]
    second = reader.log.read(2)
    assert second is not None
    time.advance(LOG_SECONDS + 60)
    one.storage.retention(collection()).clean(now=time.seconds)
    wrong = msgspec.structs.replace(second, batch_id="late", rows=[])
    key = one.replica.log.key(2)
    store.put_if_absent(key, Checksummed().seal(key, msgspec.msgpack.encode(wrong)))
    assert [int(name) for name in keys(store, "log/00000001")] == [2, 3]
    reader.folder.forget(collection().position(2))
    reader.level_with(reader.now())
    assert count(reader) == 3


def test_a_write_whose_slot_was_put_right_while_its_writer_slept_is_not_refused(
    store: SimulatedStore, time: SimulatedTime, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair makes a slot look as if it had been written long after snapshots covered it (simulator, 82450740)."""
    sleeper = Writer(loaded(storage(store, clock=time.clock())))
    key = one.replica.log.key(1)
    put = store.put_if_absent

    def sleep_afterwards(name: str, body: bytes) -> None:
        put(name, body)
        if name != key:
            return
        one.replica.level_with(one.replica.now())
        one.snapshot()
        time.advance(2 * STORE_SECONDS)
        store.put(key, body)
        time.advance(2 * REQUEST_SECONDS)

    monkeypatch.setattr(store, "put_if_absent", sleep_afterwards)
    with pytest.raises(Problem) as caught:
        sleeper.write(upsert(("a", (1, 1)), if_version=0, request_id="once"))
    assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
    assert key in store.objects
    assert count(loaded(storage(store, clock=time.clock()))) == 1


def test_who_sleeps_while_following_the_log_looks_again(
    store: SimulatedStore, time: SimulatedTime, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulator: what stood in a slot, when the reader got there, had come after the slot was cut off."""
    reader = loaded(storage(store, clock=time.clock()))
    for name in "abc":
        one.write(name)
        one.snapshot()
    late = store.objects[one.replica.log.key(2)]
    time.advance(OUT_OF_TOUCH_SECONDS + 1)
    tail = reader.log.tail

    def sleep_before_reading(sequence: int) -> Iterator[Batch]:
        monkeypatch.undo()
        time.advance(LOG_SECONDS + 60)
        one.storage.retention(collection()).clean(now=time.seconds)
        wrong = msgspec.msgpack.decode(Checksummed().open("", late), type=Batch)
        for slot in (1, 2):
            wrong = msgspec.structs.replace(wrong, sequence=slot, rows=[])
            body = Checksummed().seal("", msgspec.msgpack.encode(wrong))
            store.put_if_absent(one.replica.log.key(slot), body)
        return tail(sequence)

    monkeypatch.setattr(reader.log, "tail", sleep_before_reading)
    reader.level_with(reader.now())
    assert count(reader) == 3


def test_a_log_without_a_beginning_is_not_taken_for_an_empty_one(
    store: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    for name in "abc":
        one.write(name)
    del store.objects[one.replica.log.key(1)]
    with pytest.raises(LogGapError):
        loaded(storage(store, clock=time.clock()))


def test_the_processes_of_a_node_bring_a_snapshot_once(store: SimulatedStore, time: SimulatedTime, one: Node) -> None:
    one.write(*(f"row{number}" for number in range(10)))
    one.snapshot()
    shared = node()
    loaded(storage(store, clock=time.clock(), node_=shared))
    before = store.gets
    assert count(loaded(storage(store, clock=time.clock(), node_=shared))) == 10
    assert store.gets == before


def test_a_process_finds_what_another_of_its_node_has_committed(store: SimulatedStore, time: SimulatedTime) -> None:
    shared = node()
    one, two = (Writer(loaded(storage(store, clock=time.clock(), node_=shared))) for _ in range(2))
    for number in range(5):
        one.write(upsert((f"one{number}", (1, 1))))
        before = store.gets, store.puts
        two.write(upsert((f"two{number}", (1, 1))))
        assert (store.gets, store.puts) == (before[0], before[1] + 1)


def test_a_wrong_cache_is_not_believed(store: SimulatedStore, time: SimulatedTime) -> None:
    shared = node()
    where = storage(store, clock=time.clock(), node_=shared)
    Writer(loaded(where)).write(upsert(("a", (1, 1))))
    reader = loaded(storage(store, clock=time.clock()))
    folder = shared.of(collection())
    folder.forget(collection().position(1))
    folder.keep(collection().position(1), b"ANFL wrong")
    again = where.replica(collection())
    again.load()
    assert count(again) == count(reader) == 1


def test_old_images_and_segments_leave_the_node(one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_folder, "KEPT_IMAGES_SECONDS", -1.0)
    for number in range(5):
        one.write(*(f"row{number}.{n}" for n in range(10)))
        one.snapshot()
    folder = one.replica.folder
    images = list((folder.segments.parent / "images").iterdir())
    assert len(images) == 1
    local = folder.load(images[0].name)
    assert local is not None
    assert {path.name for path in folder.segments.iterdir()} == {path.name for path in local.image.segments}


def test_an_image_for_which_there_is_no_memory_now_is_taken_over_later(
    one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And upkeep goes on, which is who makes room."""
    one.write(*(f"row{number}" for number in range(10)))
    one.snapshot()

    def full(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(State, "install", full)
        assert not one.replica.install_newest()
    assert one.replica.install_newest()


def test_snapshots_are_of_the_history_that_counts(store: SimulatedStore, one: Node) -> None:
    one.write("a")
    one.snapshot()
    forked = msgspec.structs.replace(collection(), epoch=2, forks=(Fork(epoch=2, parent_epoch=1, fork_sequence=0),))
    assert Snapshots(store, forked, envelope=Checksummed()).manifests.newest_first() == []
    at_one = msgspec.structs.replace(collection(), epoch=2, forks=(Fork(epoch=2, parent_epoch=1, fork_sequence=1),))
    assert len(Snapshots(store, at_one, envelope=Checksummed()).manifests.newest_first()) == 1


def test_what_was_loaded_becomes_a_snapshot_once_nobody_writes(store: SimulatedStore, time: SimulatedTime) -> None:
    where = storage(store, clock=time.clock())
    builder, writer = Builder(where, policy=SnapshotPolicy(bytes_when_quiet=100)), Writer(loaded(where))
    writer.write(upsert(("first", (1, 1))))
    builder.build(collection())
    assert len(keys(store, "snapshots")) == 1, "a collection without any gets one"
    for number in range(20):
        writer.write(upsert((f"row{number}", (1, 1))))
    builder.build(collection())
    assert len(keys(store, "snapshots")) == 1, "somebody still writes"
    time.advance(QUIET_SECONDS + 1)
    builder.build(collection())
    assert len(keys(store, "snapshots")) == 2
    time.advance(QUIET_SECONDS + 1)
    builder.build(collection())
    assert len(keys(store, "snapshots")) == 2, "nothing has been written since"


def test_a_little_is_replayed_rather_than_made_a_snapshot_of(store: SimulatedStore, time: SimulatedTime) -> None:
    where = storage(store, clock=time.clock())
    builder, writer = Builder(where), Writer(loaded(where))
    for name in ("first", "second"):
        writer.write(upsert((name, (1, 1))))
        time.advance(QUIET_SECONDS + 1)
        builder.build(collection())
    assert len(keys(store, "snapshots")) == 1, "that of the first"
