"""The log: what a put's outcomes mean, and what damage does."""

import msgspec
import pytest

from anfl.problems import Problem
from anfl.vectors import listing
from anfl.vectors.batch import Batch
from anfl.vectors.envelope import Checksummed
from anfl.vectors.log import Log, delete_all
from anfl.vectors.model import Fork, Position, Row
from anfl.vectors.repair import Repairs
from anfl.vectors.trouble import CorruptLogError, LogGapError
from tests.unit.vectors.builders import Noted, collection, expect_outage
from tests.unit.vectors.simulated import SimulatedStore


def batch(sequence: int, batch_id: str = "mine") -> Batch:
    of = collection()
    return Batch(
        batch_id=batch_id,
        tenant=of.tenant,
        collection=of.name,
        incarnation=of.incarnation,
        epoch=of.epoch,
        sequence=sequence,
        ts=1.5,
        rows=[Row(id="a", values=b"\0" * 8, metadata={"list": [1, 2.5, None, True, "x"]})],
    )


def log(store: SimulatedStore) -> Log:
    return Log(store, collection(), envelope=Checksummed(), sleep=lambda _: None)


def seal(made: Batch) -> bytes:
    return Checksummed().seal("", msgspec.msgpack.encode(made))


def test_what_is_written_is_read() -> None:
    store = SimulatedStore()
    assert log(store).append(batch(3)) == batch(3)
    assert log(store).read(3) == batch(3)


@pytest.mark.parametrize("position", [0, 4, 10, 40, -1])
def test_any_damaged_byte_is_noticed(position: int) -> None:
    data = bytearray(seal(batch(1)))
    data[position] ^= 1
    store = SimulatedStore()
    store.objects[log(store).key(1)] = bytes(data)
    with pytest.raises(CorruptLogError):
        log(store).read(1)


@pytest.mark.parametrize("data", [seal(batch(1))[:-1], b"", b"ANFL", b"ANFL\x02" + seal(batch(1))[5:]])
def test_a_truncated_object_and_one_of_the_future_are_noticed(data: bytes) -> None:
    store = SimulatedStore()
    store.objects[log(store).key(1)] = data
    with pytest.raises(CorruptLogError):
        log(store).read(1)


def test_a_damaged_object_is_put_right_from_its_version() -> None:
    store = SimulatedStore()
    log(store).append(batch(1))
    store.put(log(store).key(1), b"ANFL damaged")
    assert log(store).read(1) == batch(1)
    assert store.objects[log(store).key(1)] == seal(batch(1))


def test_operators_hear_once_of_an_object_that_is_lost_however_often_it_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, noted = SimulatedStore(), Noted()
    for sequence in (1, 2):
        store.objects[log(store).key(sequence)] = b"ANFL damaged"
    asked = Log(store, collection(), envelope=Checksummed(), repairs=Repairs(store, events=noted))
    for sequence in (1, 1, 2, 1):
        with pytest.raises(CorruptLogError):
            asked.read(sequence)
    assert noted.damages == [False, False]
    lost = [record.__dict__["key"] for record in caplog.records if record.message.startswith("an object is lost")]
    assert lost == [log(store).key(1), log(store).key(2)]


def test_an_object_in_the_wrong_place_stops_the_reader() -> None:
    store = SimulatedStore()
    store.objects[log(store).key(1)] = seal(batch(2))
    with pytest.raises(CorruptLogError):
        log(store).read(1)


def test_a_taken_slot_answers_its_holder() -> None:
    store = SimulatedStore()
    assert log(store).append(batch(1, "theirs")).batch_id == "theirs"
    assert log(store).append(batch(1, "mine")).batch_id == "theirs"


def test_an_answer_that_got_lost_is_found_out() -> None:
    for seed in range(50):
        store = SimulatedStore(seed=seed, faults=0.5)
        try:
            standing = log(store).append(batch(1))
        except Problem as problem:
            expect_outage(problem)
            continue
        store.settle()
        assert log(store).read(1) == standing == batch(1)


def test_a_gap_is_never_passed() -> None:
    store = SimulatedStore()
    for sequence in (1, 2, 3, 5):
        store.objects[log(store).key(sequence)] = seal(batch(sequence))
    tail = log(store).tail(0)
    assert [next(tail).sequence for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LogGapError):
        next(tail)


@pytest.mark.parametrize("readers", [1, 4])
def test_a_slot_that_goes_while_it_is_listed_is_a_gap(readers: int) -> None:
    class Cut(SimulatedStore):
        def get(self, key: str) -> bytes | None:
            return None if key.endswith("2") else super().get(key)

    store = Cut()
    cut = Log(store, collection(), envelope=Checksummed(), readers=readers)
    for sequence in (1, 2, 3):
        store.put(cut.key(sequence), seal(batch(sequence)))
    with pytest.raises(LogGapError) as caught:
        list(cut.tail(0))
    assert caught.value.key == cut.key(2)


def test_a_damaged_batch_is_never_skipped() -> None:
    store = SimulatedStore()
    for sequence in range(1, 40):
        log(store).append(batch(sequence))
    store.objects[log(store).key(20)] = b"ANFL damaged"
    tail = log(store).tail(0)
    assert [next(tail).sequence for _ in range(19)] == list(range(1, 20))
    with pytest.raises(CorruptLogError):
        next(tail)


def test_a_tail_in_windows_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "READ_BYTES", 500)
    store = SimulatedStore()
    for sequence in range(1, 100):
        log(store).append(batch(sequence))
    assert [each.sequence for each in log(store).tail(10)] == list(range(11, 100))


def test_after_a_fork_the_old_branch_is_history_up_to_there() -> None:
    store = SimulatedStore()
    for sequence in range(1, 6):
        log(store).append(batch(sequence))
    fork = Fork(epoch=2, parent_epoch=1, fork_sequence=3)
    forked = msgspec.structs.replace(collection(), epoch=2, forks=(fork,))
    after = Log(store, forked, envelope=Checksummed())
    for sequence in (4, 5, 6):
        after.append(msgspec.structs.replace(batch(sequence), epoch=2))
    found = [(each.epoch, each.sequence) for each in after.tail(0)]
    assert found == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert [each.sequence for each in after.tail(4)] == [5, 6]
    assert forked.holds(Position(1, 3))
    assert not forked.holds(Position(1, 4))
    assert not forked.holds(Position(2, 3))


def test_deletion_leaves_nothing_of_the_incarnation() -> None:
    store = SimulatedStore()
    store.objects["demo/words/other/log/1"] = b""
    log(store).append(batch(1))
    delete_all(store, collection().prefix)
    assert list(store.objects) == ["demo/words/other/log/1"]
