"""What is damaged is put right from other regions' copies, which are asked for and come later."""

import pytest

from anfl.object_copies import copies_of
from anfl.vectors.envelope import Checksummed
from anfl.vectors.log import Log
from anfl.vectors.repair import ARRIVAL_SECONDS, ASK_SECONDS, Repairs
from anfl.vectors.trouble import CorruptLogError
from tests.unit.vectors.builders import Noted, collection
from tests.unit.vectors.simulated import SimulatedStore, SimulatedTime
from tests.unit.vectors.test_log import batch, seal


class Elsewhere:
    """See `anfl.vectors.elsewhere.Elsewhere`: brings ``copies`` as soon as it is asked."""

    seconds = 600.0

    def __init__(self, store: SimulatedStore, copies: list[bytes]) -> None:
        self.copies = copies
        self.asked: list[str] = []
        self._store = store

    def ask(self, key: str) -> None:
        """See `Elsewhere.ask`."""
        self.asked.append(key)
        for number, body in enumerate(self.copies):
            self._store.put(f"{copies_of(key)}{number}", body)


def test_a_damaged_object_is_put_right_from_another_region() -> None:
    store, noted = SimulatedStore(), Noted()
    key = Log(store, collection(), envelope=Checksummed()).key(1)
    store.objects[key] = seal(batch(2))
    elsewhere = Elsewhere(store, [b"ANFL damaged", seal(batch(1))])
    repairs = Repairs(store, elsewhere=elsewhere, events=noted)
    asked = Log(store, collection(), envelope=Checksummed(), repairs=repairs)
    with pytest.raises(CorruptLogError):
        asked.read(1)
    assert store.objects[key] == seal(batch(2)), "nothing stands in its place that nobody could open"
    assert asked.read(1) == batch(1)
    assert store.objects[key] == seal(batch(1))
    assert (elsewhere.asked, noted.damages) == ([key], [True])


def test_other_regions_are_asked_again_and_again_until_they_can_be_expected_to_have_answered() -> None:
    store, noted, time = SimulatedStore(), Noted(), SimulatedTime()
    key = Log(store, collection(), envelope=Checksummed()).key(1)
    store.objects[key] = b"ANFL damaged"
    elsewhere = Elsewhere(store, [b"ANFL damaged, too"])
    repairs = Repairs(store, elsewhere=elsewhere, events=noted, monotonic=lambda: time.seconds)
    asked = Log(store, collection(), envelope=Checksummed(), repairs=repairs)
    begun = time.seconds
    while not noted.damages:
        with pytest.raises(CorruptLogError):
            asked.read(1)
        time.advance(5.0)
    assert noted.damages == [False], "now somebody has to be told"
    assert elsewhere.seconds <= time.seconds - begun <= elsewhere.seconds + 5.0
    assert len(elsewhere.asked) == elsewhere.seconds / ASK_SECONDS + 1


def test_what_may_have_yet_to_come_from_another_region_is_asked_for_when_it_is_late() -> None:
    store, noted, time = SimulatedStore(), Noted(), SimulatedTime()
    elsewhere = Elsewhere(store, [])
    repairs = Repairs(
        store, elsewhere=elsewhere, events=noted, patience=ARRIVAL_SECONDS, monotonic=lambda: time.seconds
    )
    assert repairs.repair("part", bytes, may_come=True) is None
    time.advance(ARRIVAL_SECONDS - 1)
    assert repairs.repair("part", bytes, may_come=True) is None
    assert elsewhere.asked == []
    time.advance(1)
    elsewhere.copies = [b"whole"]
    assert repairs.repair("part", bytes, may_come=True) is None
    assert repairs.repair("part", bytes, may_come=True) == b"whole" == store.objects["part"]
    assert noted.damages == [True]


def test_nobody_is_asked_for_what_is_not_missed_and_the_newest_copy_may_come_first() -> None:
    store = SimulatedStore()
    elsewhere = Elsewhere(store, [b"older", b"newer"])
    repairs = Repairs(store, elsewhere=elsewhere)
    assert repairs.repair("key", bytes, expected=False) is None
    assert elsewhere.asked == []
    assert repairs.repair("key", bytes) is None
    assert repairs.repair("key", bytes, newest_first=True) == b"newer"
