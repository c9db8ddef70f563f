"""Requests that were carried out: known for a day wherever they are kept, and few of them in any process's memory."""

import errno
import logging
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors import collection_folder, reads, request_runs
from anfl.vectors.batch import AppliedRequest, Batch
from anfl.vectors.builder import Builder, SnapshotPolicy
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.engine.archive import DamagedFileError
from anfl.vectors.engine.folders import MANIFEST, Draft
from anfl.vectors.engine.images import Image
from anfl.vectors.manifests import Manifest
from anfl.vectors.model import Collection
from anfl.vectors.replica import Replica
from anfl.vectors.request_ids import REQUEST_SECONDS
from anfl.vectors.request_runs import REQUESTS, Remembered, Run, absorbed, fold
from anfl.vectors.requests import Written
from anfl.vectors.retention import GRACE_SECONDS, PART_SECONDS
from anfl.vectors.state import State
from anfl.vectors.storage import Storage
from anfl.vectors.store import VectorStore
from anfl.vectors.writer import Writer
from tests.unit.vectors.builders import collection, delete, node, replica, storage, upsert
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime

BEGINS = 1_000_000.0


@pytest.fixture(name="few", autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_runs, "MOST_RECENT", 3)


@pytest.fixture(name="time")
def _time() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture(name="objects")
def _objects(time: SimulatedTime) -> SimulatedStore:
    return SimulatedStore(now=lambda: time.seconds)


def applied(name: str) -> AppliedRequest:
    return AppliedRequest(request_id=name, digest=f"digest of {name}".encode(), count=len(name))


def batch(sequence: int, *names: str, at: float = BEGINS) -> Batch:
    """What carries out the requests ``names``, and does nothing else."""
    return Batch(
        batch_id=str(sequence),
        tenant="demo",
        collection="words",
        incarnation=collection().incarnation,
        epoch=1,
        sequence=sequence,
        ts=at,
        requests=[applied(name) for name in names],
    )


class Folded:
    """A state whose requests go into runs in ``folder``, and what it has carried out at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = BEGINS
        self.state = State(collection(), clock=lambda: self.now)

    def carry_out(self, *names: str) -> None:
        """The next batch."""
        self.state.apply(batch(self.state.sequence + 1, *names, at=self.now))

    def fold(self) -> None:
        """As `LocalCopy.fold`, however few they are."""
        ids = self.state.requests
        recent = ids.recent(upto=self.state.sequence)
        assert ids.take(fold(recent, ids.runs, self.folder, oldest=self.now - REQUEST_SECONDS), of=ids)

    def known(self, name: str) -> int | None:
        """The batch that carried out ``name``; None: nobody knows."""
        found = self.state.applied(name, now=self.state.now())
        if found is None:
            return None
        assert found[0] == applied(name)
        return found[1]

    @property
    def heap(self) -> int:
        """How many are in memory."""
        return len(self.state.requests.recent(upto=self.state.sequence))


@pytest.fixture(name="folded")
def _folded(tmp_path: Path) -> Folded:
    return Folded(tmp_path / "segments")


def test_requests_in_runs_are_known_like_those_in_memory(folded: Folded) -> None:
    folded.carry_out("a", "é" * 64)
    folded.fold()
    folded.carry_out()
    folded.carry_out("b")
    folded.fold()
    folded.carry_out("c")
    assert [folded.known(name) for name in ("a", "é" * 64, "b", "c", "d", "", "\ud800")] == [
        1,
        1,
        3,
        4,
        None,
        None,
        None,
    ]
    assert folded.heap == 1


def test_requests_in_runs_are_forgotten_after_a_day_and_not_before(folded: Folded) -> None:
    folded.carry_out("a")
    folded.fold()
    folded.now += REQUEST_SECONDS
    assert folded.known("a") == 1
    folded.now += 0.001
    assert folded.known("a") is None


def test_of_a_request_that_was_carried_out_again_after_a_day_the_last_time_counts(folded: Folded) -> None:
    folded.carry_out("a", "b")
    folded.fold()
    folded.now += REQUEST_SECONDS + 1
    folded.carry_out("a")
    assert folded.known("a") == 2
    folded.fold()
    assert folded.known("a") == 2
    assert folded.known("b") is None
    assert [request.request_id for request in folded.state.requests_behind(0, most=10)[0]] == ["a"]


def test_ids_that_are_found_by_the_same_number_are_told_apart(folded: Folded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_runs, "number_of", lambda _: 2**64 - 1)
    monkeypatch.setattr("anfl.vectors.request_ids.number_of", lambda _: 2**64 - 1)
    folded.carry_out("a", "b", "c")
    folded.fold()
    folded.carry_out("d")
    folded.fold()
    assert [folded.known(name) for name in "abcde"] == [1, 1, 1, 2, None]


def test_what_is_too_old_leaves_when_a_run_is_written_again_and_with_the_whole_run(folded: Folded) -> None:
    folded.carry_out("a", "b")
    folded.now += REQUEST_SECONDS / 2
    folded.carry_out("c")
    folded.fold()
    assert [len(run) for run in folded.state.requests.runs] == [3]
    folded.now += REQUEST_SECONDS / 2 + 1
    folded.carry_out("d")
    folded.fold()
    assert [len(run) for run in folded.state.requests.runs] == [2]
    folded.now += 2 * REQUEST_SECONDS
    folded.carry_out()
    ids = folded.state.requests
    assert ids.folded(folded.folder, upto=folded.state.sequence, ts=folded.state.ts) == ()


def test_whoever_moves_a_collection_finds_requests_in_the_order_of_their_batches(
    folded: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_runs, "GAIN", 0)
    names = (f"request{number}" for number in count())
    for number in range(1, 8):
        folded.carry_out(*(next(names) for _ in range(number % 4)))
        if number in (2, 3, 5):
            folded.fold()
    assert [len(run) for run in folded.state.requests.runs] == [3, 3, 1]
    for most in range(1, 13):
        found: list[str] = []
        reached, more = 0, True
        while more:
            page, reached = folded.state.requests_behind(reached, most=most)
            found += [request.request_id for request in page]
            more = reached < folded.state.sequence
        assert found == [f"request{number}" for number in range(12)]
    page, reached = folded.state.requests_behind(1, most=3)
    assert [request.request_id for request in page] == ["request1", "request2", "request3", "request4", "request5"]
    assert reached == 3, "a batch is never cut"


def test_a_copy_that_holds_still_makes_the_image_of_its_moment(folded: Folded) -> None:
    folded.carry_out("a")
    folded.fold()
    folded.carry_out("b", "c")
    still = folded.state.still()
    folded.carry_out("d")
    folded.fold()
    folded.carry_out("e")
    made = State.from_image(collection(), still.image(), clock=lambda: folded.now)
    assert made.sequence == 2
    known = {name: made.applied(name, now=made.now()) for name in "abcde"}
    assert {name: None if found is None else found[1] for name, found in known.items()} == {
        "a": 1, "b": 2, "c": 2, "d": None, "e": None,
    }  # fmt: skip
    assert [request.request_id for request in still.requests_behind(0, most=10)[0]] == ["a", "b", "c"]


def test_what_was_put_into_a_run_while_another_image_was_taken_over_changes_nothing(folded: Folded) -> None:
    folded.carry_out("a")
    still = folded.state.still()
    runs = fold(still.requests.recent(upto=1), (), folded.folder, oldest=0.0)
    folded.state = State.from_image(collection(), folded.state.image(), clock=lambda: folded.now)
    folded.carry_out("b")
    assert not folded.state.requests.take(runs, of=still.requests)
    assert [folded.known(name) for name in "ab"] == [1, 2]


@pytest.mark.parametrize("behind", [0, 1])
def test_an_image_brings_its_runs_and_memory_is_freed_of_what_they_hold(folded: Folded, behind: int) -> None:
    other = Folded(folded.folder)
    for each in (folded, other):
        each.carry_out("a", "b")
        each.carry_out("c")
    folded.fold()
    image = folded.state.image()
    for _ in range(behind):
        other.carry_out("d")
    assert other.heap == 3 + behind
    assert other.state.install(image)
    assert other.heap == behind
    assert [other.known(name) for name in "abcd"] == [1, 1, 2, 3 if behind else None]
    assert other.state.install(image), "once more"
    assert other.heap == behind


def test_an_image_of_less_than_what_is_in_runs_here_takes_nothing_away(folded: Folded) -> None:
    folded.carry_out("a")
    before = folded.state.image()
    folded.carry_out("b")
    folded.fold()
    folded.carry_out("c")
    assert folded.state.install(before)
    assert [folded.known(name) for name in "abc"] == [1, 2, 3]
    assert folded.heap == 1


def test_images_from_before_there_were_runs_are_read(folded: Folded) -> None:
    folded.carry_out("a", "b")
    rest = msgspec.msgpack.decode(folded.state.image().rest)
    assert rest.pop("runs") == 0
    old = Image((), msgspec.msgpack.encode(rest))
    folded.state = State.from_image(collection(), old, clock=lambda: folded.now)
    assert [folded.known(name) for name in "ab"] == [1, 1]
    folded.fold()
    assert (folded.heap, folded.known("b")) == (0, 1)


def test_more_runs_than_there_are_folders_are_damage(folded: Folded) -> None:
    for runs in (1, -1):
        rest = msgspec.msgpack.decode(folded.state.image().rest) | {"runs": runs}
        with pytest.raises(ValueError, match="folders"):
            State.from_image(collection(), Image((), msgspec.msgpack.encode(rest)))


def test_twenty_million_requests_are_in_ten_runs_at_most() -> None:
    added, total, most, written = 4_100, 0, 0, 0
    sizes: list[int] = []
    while total < 20_000_000:
        total += added
        kept = len(sizes) - absorbed(sizes, added)
        sizes = [*sizes[:kept], sum(sizes[kept:]) + added]
        written += sizes[-1]
        most = max(most, len(sizes))
    assert sum(sizes) == total
    assert max(sizes) <= request_runs.MOST_REQUESTS
    assert most <= 10
    assert written < 20 * total, "each is written again a few times"


def test_two_hundred_thousand_requests_take_little_memory(folded: Folded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    state, each = folded.state, 500

    def named(number: int) -> AppliedRequest:
        return AppliedRequest(request_id=f"{number:032x}", digest=number.to_bytes(32), count=1)

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for sequence in range(1, 401):
        requests = [named(number) for number in range(sequence * each, (sequence + 1) * each)]
        state.apply(msgspec.structs.replace(batch(sequence), requests=requests))
        runs = state.requests.folded(folded.folder, upto=state.sequence, ts=state.ts)
        assert runs is None or state.requests.take(runs, of=state.requests)
    del requests, runs
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert state.private_bytes < 2 * 2**20
    assert taken < 2 * 2**20
    assert 100 * 195_000 < state.mapped_bytes < 200 * 200_000
    assert len(state.image().rest) < 2**20
    assert state.applied(named(777).request_id, now=state.now()) == (named(777), 1)


# Damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def clear(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [cut, flip, clear, Path.unlink])
def test_a_damaged_run_is_named(folded: Folded, damage: Callable[[Path], None]) -> None:
    folded.carry_out("a", "b")
    folded.fold()
    run = folded.state.requests.runs[0].folder
    damage(run / REQUESTS)
    with pytest.raises(DamagedFileError, match=REQUESTS):
        Run(run, verify=True)


def test_a_segment_is_no_run_and_a_folder_of_another_name_is_another_run(folded: Folded) -> None:
    folded.carry_out("a")
    folded.fold()
    run = folded.state.requests.runs[0].folder
    moved = run.rename(run.with_name("0" * 32))
    with pytest.raises(DamagedFileError, match=MANIFEST):
        Run(moved)
    (moved / MANIFEST).write_bytes(b'{"format":1,"rows":3,"files":{}}')
    with pytest.raises(DamagedFileError, match=MANIFEST):
        Run(moved)
    with pytest.raises(FileNotFoundError):
        Run(run)


MISFITS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "fewer counts": ("counts", lambda array: array[:-1]),
    "sequences of another type": ("sequences", lambda array: array.astype("<i4")),
    "fewer moments": ("moments", lambda array: array[:-1]),
    "numbers of another type": ("numbers", lambda array: array.astype("<f8")),
    "fewer places": ("order", lambda array: array[:-1]),
    "fewer ids": ("ids.ends", lambda array: array[:-1]),
    "ids beyond the text": ("ids", lambda array: array[:-1]),
    "digests beyond the text": ("digests", lambda array: array[:-1]),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_arrays_that_do_not_fit_together_are_damage(
    folded: Folded, misfit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, change = MISFITS[misfit]
    write = Draft.write

    def forged(draft: Draft, file: str, arrays: dict[str, list[Any]]) -> None:
        write(draft, file, {each: [change(pieces[0])] if each == name else pieces for each, pieces in arrays.items()})

    monkeypatch.setattr(Draft, "write", forged)
    folded.carry_out("a", "b")
    with pytest.raises(DamagedFileError, match=rf"{REQUESTS}: {name.partition('.')[0]}"):
        folded.fold()


def test_what_cannot_be_written_leaves_nothing_and_stays_in_memory(
    folded: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded.carry_out("a")
    with monkeypatch.context() as full:
        full.setattr("anfl.vectors.engine.archive.write", full_disk)
        with pytest.raises(OSError, match="space"):
            folded.fold()
    assert list(folded.folder.iterdir()) == []
    assert (folded.known("a"), folded.heap) == (1, 1)


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# A node, and what it uploads


class Node:
    """A node with a writer, and a builder that makes a snapshot at every turn."""

    def __init__(self, objects: SimulatedStore, time: SimulatedTime) -> None:
        self.storage = storage(objects, clock=time.clock())
        self.builder = Builder(self.storage, policy=SnapshotPolicy(batches=1))
        self.replica = self.storage.replica(collection())
        self.replica.load()
        self.writer = Writer(self.replica)

    def write(self, *names: str) -> list[Written]:
        """A batch each."""
        return [self.writer.write(delete("row", request_id=name)) for name in names]

    def turn(self) -> Manifest:
        """Of the builder; returns the snapshot."""
        self.builder.build(collection())
        manifests = self.replica.snapshots.manifests
        return manifests.read(manifests.newest_first()[0].path)

    def heap(self) -> int:
        """Requests in the memory of the process that writes."""
        return self.replica.view(lambda state: len(state.requests.recent(upto=state.sequence)))


@pytest.fixture(name="one")
def _one(objects: SimulatedStore, time: SimulatedTime) -> Node:
    made = Node(objects, time)
    made.writer.write(upsert(("row", (1, 1))))
    return made


def fresh(objects: SimulatedStore, time: SimulatedTime, of: Collection | None = None) -> Writer:
    """Of a node that comes now."""
    return Writer(replica(objects, of, clock=time.clock()))


def test_a_request_that_a_run_holds_is_carried_out_once_on_every_node(
    objects: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    written = one.write("a", "b", "c", "d")
    manifest = one.turn()
    assert len(manifest.segments) == 1
    assert one.replica.install_newest()
    assert one.heap() == 0
    assert one.write("a", "b", "c", "d") == written
    other = fresh(objects, time)
    assert other.write(delete("row", request_id="a")) == written[0]
    with pytest.raises(Problem) as caught:
        other.write(delete("another", request_id="b"))
    assert (caught.value.status, caught.value.code) == (409, "request_id_reused")
    time.advance(REQUEST_SECONDS + 1)
    other.write(upsert(("row", (2, 2))))
    assert other.write(delete("row", request_id="a")).sequence != written[0].sequence


def test_a_process_with_many_in_memory_asks_the_builder_and_with_few_it_does_not(one: Node) -> None:
    one.write("a", "b", "c")
    assert not one.replica.wants_builder()
    one.write("d")
    assert one.replica.wants_builder()
    one.turn()
    one.replica.install_newest()
    assert not one.replica.wants_builder()


def test_a_snapshot_uploads_the_new_run_alone(
    objects: SimulatedStore, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_runs, "GAIN", 0)
    one.write(*(f"first{number}" for number in range(400)))
    first = one.turn()
    one.write("a", "b", "c", "d")
    second = one.turn()
    assert [len(first.segments), len(second.segments)] == [1, 2]
    assert second.segments[0] == first.segments[0]
    assert sum(part.size for part in second.rest) < 1_000
    new = second.parts().keys() - first.parts().keys()
    assert sum(len(objects.objects[one.replica.snapshots.parts.key(name)]) for name in new) < 3_000


def test_runs_that_were_merged_leave_the_node_and_the_bucket_once_no_image_names_them(
    objects: SimulatedStore, time: SimulatedTime, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_folder, "KEPT_IMAGES_SECONDS", -1.0)
    one.write("a", "b", "c", "d")
    old = one.turn()
    one.write("e", "f", "g", "h")
    new = one.turn()
    (run,) = new.segments
    assert run != old.segments[0]
    assert [path.name for path in one.replica.folder.segments.iterdir()] == [run.name]
    one.write("i")
    one.turn()
    assert [path.name for path in one.replica.folder.segments.iterdir()] == [run.name], "an image names it"
    one.storage.retention(collection()).clean(now=time.seconds + GRACE_SECONDS + PART_SECONDS)
    left = {key.rpartition("/")[2] for key in objects.objects if "/parts/" in key}
    assert not left & {part.name for file in old.segments[0].files for part in file.parts}
    assert left >= {part.name for file in run.files for part in file.parts}
    assert fresh(objects, time).write(delete("row", request_id="i")).sequence == "1.10"
    time.advance(REQUEST_SECONDS + 1)
    one.write("later")
    assert one.turn().segments == ()
    assert list(one.replica.folder.segments.iterdir()) == []


def test_a_snapshot_with_a_damaged_run_is_passed_over_and_no_request_is_carried_out_twice(
    objects: SimulatedStore, time: SimulatedTime, one: Node
) -> None:
    written = one.write("a", "b", "c", "d")
    for part in [part for file in one.turn().segments[0].files for part in file.parts]:
        key = one.replica.snapshots.parts.key(part.name)
        body = objects.objects[key]
        objects.objects[key] = body[:-1]
        assert fresh(objects, time).write(delete("row", request_id="a")) == written[0]
        objects.objects[key] = body


@pytest.mark.parametrize("damage", [cut, clear, Path.unlink])
def test_a_process_that_finds_a_damaged_run_on_its_node_begins_with_the_snapshot(
    one: Node, damage: Callable[[Path], None]
) -> None:
    written = one.write("a", "b", "c", "d")
    run = one.turn().segments[0].name
    damage(one.replica.folder.segments / run / REQUESTS)
    assert not one.replica.install_newest()
    assert one.write("a") == written[:1]
    shutil.rmtree(one.replica.folder.segments / run)
    begun = one.storage.replica(collection())
    begun.load()
    assert begun.view(lambda state: len(state.requests.runs)) == 1
    assert Writer(begun).write(delete("row", request_id="d")) == written[3]


def test_stats_tell_memory_from_files(one: Node) -> None:
    def sizes() -> tuple[int, int]:
        stats = reads.stats(one.replica.shown)
        return stats.private_bytes, stats.mapped_bytes

    empty = sizes()
    one.write(*(f"request{number}" for number in range(100)))
    before = sizes()
    assert before[0] >= empty[0] + 100 * 200
    assert before[1] == 0
    one.turn()
    one.replica.install_newest()
    assert sizes()[0] < before[0]
    assert sizes()[1] > 100 * 80


# A process without a builder


def alone(objects: SimulatedStore, time: SimulatedTime) -> Storage:
    return replace(storage(objects, clock=time.clock(), node_=node()), alone=True, threads=False)


@pytest.fixture(name="lonely")
def _lonely(catalogue: Catalogue, objects: SimulatedStore, time: SimulatedTime) -> Iterator[VectorStore]:
    store = VectorStore(catalogue, alone(objects, time))
    store.create("demo", collection().settings)
    store.write("demo", "words", upsert(("row", (1, 1))))
    yield store
    store.close()


def replica_of(store: VectorStore) -> Replica:
    return store.hnsw.opened.get(store.describe("demo", "words")).replica


def carry_out(store: VectorStore, names: Sequence[str]) -> list[Written]:
    """With upkeep behind each."""
    written = []
    for name in names:
        written.append(store.write("demo", "words", delete("row", request_id=name)))
        store.hnsw.upkeep.once()
    return written


def test_a_process_without_a_builder_keeps_few_in_memory_and_only_what_it_needs_on_disk(lonely: VectorStore) -> None:
    names = [f"request{number}" for number in range(60)]
    written = carry_out(lonely, names)
    copy = replica_of(lonely)
    runs = copy.view(lambda state: state.requests.runs)
    assert runs
    assert copy.view(lambda state: len(state.requests.recent(upto=state.sequence))) <= 3
    assert {path.name for path in copy.folder.segments.iterdir()} == {run.name for run in runs}
    assert [lonely.write("demo", "words", delete("row", request_id=name)) for name in names] == written
    assert all(len(one) > len(other) for one, other in pairwise(runs))


def test_a_snapshot_that_a_process_without_a_builder_makes_has_its_runs(
    lonely: VectorStore, objects: SimulatedStore, time: SimulatedTime
) -> None:
    names = [f"request{number}" for number in range(9)]
    written = carry_out(lonely, names)
    lonely.create_snapshot("demo", "words", "monday")
    lonely.hnsw.upkeep.once()
    written += carry_out(lonely, ["later1", "later2", "later3", "later4"])
    lonely.create_snapshot("demo", "words", "tuesday")
    other = fresh(objects, time, lonely.describe("demo", "words"))
    assert other._replica.view(lambda state: state.requests.runs)
    assert [other.write(delete("row", request_id=name)) for name in names] == written[:9]
    assert other.write(delete("row", request_id="later4")) == written[-1]


def slot(written: Written) -> int:
    """Of whichever epoch: what is restored has one of its own."""
    return int(written.sequence.partition(".")[2])


def test_what_is_restored_knows_the_requests_of_its_moment_and_no_later_ones(lonely: VectorStore) -> None:
    names = [f"request{number}" for number in range(9)]
    written = carry_out(lonely, names)
    assert replica_of(lonely).view(lambda state: state.requests.runs)
    lonely.create_snapshot("demo", "words", "monday")
    carry_out(lonely, ["later"])
    lonely.restore("demo", "words", "monday", "again")
    for name, before in zip(names, written, strict=True):
        after = lonely.write("demo", "again", delete("row", request_id=name))
        assert (slot(after), after.deleted) == (slot(before), before.deleted)
    assert slot(lonely.write("demo", "again", delete("row", request_id="later"))) == 11
    with pytest.raises(Problem, match="request_id_reused"):
        lonely.write("demo", "again", delete("another", request_id="request0"))


def test_a_full_disk_costs_a_process_without_a_builder_memory_alone(
    lonely: VectorStore, time: SimulatedTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as full:
        full.setattr("anfl.vectors.engine.archive.write", full_disk)
        written = carry_out(lonely, [f"request{number}" for number in range(20)])
        assert [record.levelno for record in caplog.records] == [logging.WARNING], "it is not tried all the time"
    time.advance(10.0)
    lonely.hnsw.upkeep.once()
    assert replica_of(lonely).view(lambda state: len(state.requests.runs)) == 1
    assert lonely.write("demo", "words", delete("row", request_id="request3")) == written[3]


def test_remembered_requests_of_images_keep_their_form() -> None:
    """Snapshots are of many versions of this program."""
    encoded = msgspec.msgpack.encode(Remembered(applied("a"), 7, 3.0))
    assert msgspec.msgpack.decode(encoded) == [{"request_id": "a", "digest": b"digest of a", "count": 1}, 7, 3.0]
