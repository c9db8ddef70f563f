"""The log: what a put's outcomes mean, and what damage does."""

import pytest

from anfl.problems import Problem
from anfl.vectors.log import Batch, CorruptLogError, Log, decode, encode
from anfl.vectors.model import Row
from tests.unit.vectors.builders import collection, expect_outage
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
    return Log(store, collection(), sleep=lambda _: None)


def test_what_is_written_is_read() -> None:
    assert decode(encode(batch(3)), key="k") == batch(3)


@pytest.mark.parametrize("position", [0, 4, 10, 40, -1])
def test_any_damaged_byte_is_noticed(position: int) -> None:
    data = bytearray(encode(batch(1)))
    data[position] ^= 1
    with pytest.raises(CorruptLogError):
        decode(bytes(data), key="k")


def test_a_truncated_object_is_noticed() -> None:
    with pytest.raises(CorruptLogError):
        decode(encode(batch(1))[:-1], key="k")
    with pytest.raises(CorruptLogError):
        decode(b"", key="k")


def test_an_object_in_the_wrong_place_stops_the_reader() -> None:
    store = SimulatedStore()
    store.objects[log(store).key(1)] = encode(batch(2))
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


def test_replay_stops_at_the_first_gap() -> None:
    store = SimulatedStore()
    for sequence in (1, 2, 3, 5):
        store.objects[log(store).key(sequence)] = encode(batch(sequence))
    assert [each.sequence for each in log(store).replay()] == [1, 2, 3]


def test_replay_never_skips_a_damaged_batch() -> None:
    store = SimulatedStore()
    for sequence in range(1, 40):
        log(store).append(batch(sequence))
    store.objects[log(store).key(20)] = b"ANFL damaged"
    replay = log(store).replay()
    assert [next(replay).sequence for _ in range(19)] == list(range(1, 20))
    with pytest.raises(CorruptLogError):
        next(replay)


def test_deletion_leaves_nothing_of_the_incarnation() -> None:
    store = SimulatedStore()
    store.objects["demo/words/other/log/1"] = b""
    log(store).append(batch(1))
    log(store).delete()
    assert list(store.objects) == ["demo/words/other/log/1"]
