"""What is damaged is put right from other regions' copies, which are asked for and come later."""

import json
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from anfl.object_copies import copies_of
from anfl.vectors import build
from anfl.vectors.envelope import Checksummed, DamagedError
from anfl.vectors.log import Log
from anfl.vectors.missing import ASK_SECONDS, FORGOTTEN_SECONDS, Missing
from anfl.vectors.repair import ARRIVAL_SECONDS, Repairs
from anfl.vectors.sealing import Envelopes, Unsealed
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
    assert repairs.repair("part", bytes, absent=True) is None
    time.advance(ARRIVAL_SECONDS - 1)
    assert repairs.repair("part", bytes, absent=True) is None
    assert elsewhere.asked == []
    time.advance(1)
    elsewhere.copies = [b"whole"]
    assert repairs.repair("part", bytes, absent=True) is None
    assert repairs.repair("part", bytes, absent=True) == b"whole" == store.objects["part"]
    assert noted.damages == [True]


def test_nobody_is_asked_for_what_is_not_missed_and_the_newest_copy_may_come_first() -> None:
    store = SimulatedStore()
    elsewhere = Elsewhere(store, [b"older", b"newer"])
    repairs = Repairs(store, elsewhere=elsewhere)
    assert repairs.repair("key", whole, absent=True, expected=False) is None
    assert elsewhere.asked == []
    store.objects["key"] = b"damaged"
    assert repairs.repair("key", whole) is None
    assert repairs.repair("key", whole, newest_first=True) == b"newer"


def test_who_begins_anew_with_each_look_asks_no_oftener_and_tells_of_the_loss_once() -> None:
    store, noted, time, missing = SimulatedStore(), Noted(), SimulatedTime(), Missing()
    store.objects["key"] = b"damaged"
    elsewhere = Elsewhere(store, [])
    for _ in range(300):
        repairs = Repairs(store, elsewhere=elsewhere, events=noted, missing=missing, monotonic=lambda: time.seconds)
        assert repairs.repair("key", nothing) is None
        time.advance(5.0)
    assert len(elsewhere.asked) == elsewhere.seconds / ASK_SECONDS + 1
    assert noted.damages == [False]


@pytest.mark.parametrize("end", ["put right", "forgotten"])
def test_what_is_damaged_a_second_time_is_asked_for_as_the_first_time(end: str) -> None:
    store, noted, time = SimulatedStore(), Noted(), SimulatedTime()
    store.objects["key"] = b"damaged"
    elsewhere = Elsewhere(store, [])
    repairs = Repairs(store, elsewhere=elsewhere, events=noted, monotonic=lambda: time.seconds)
    assert repairs.repair("key", nothing) is None
    if end == "put right":
        assert repairs.repair("key", bytes) == b"damaged"
        time.advance(elsewhere.seconds)
    else:
        time.advance(FORGOTTEN_SECONDS + 1)
    assert repairs.repair("key", nothing) is None
    assert noted.damages == [], "others have not had the time to answer"
    assert elsewhere.asked == ["key", "key"]


def test_what_was_missed_long_ago_takes_no_memory() -> None:
    missing = Missing()
    for number in range(3_000):
        missing.note(f"{number}", now=0.0, ask_after=0.0, lost_after=0.0)
    missing.note("another", now=FORGOTTEN_SECONDS + 1, ask_after=0.0, lost_after=0.0)
    assert missing._misses.keys() == {"another"}


@pytest.mark.parametrize("meanwhile", ["removed", "put right", "put anew"])
def test_what_became_of_an_object_meanwhile_stays(meanwhile: str) -> None:
    store, noted = SimulatedStore(), Noted()
    store.put("key", b"whole")
    store.put("key", b"damaged")
    left = {"removed": None, "put right": b"whole", "put anew": b"whole anew"}[meanwhile]

    def opened(data: bytes) -> bytes | None:
        if data == b"damaged":  # whoever else looks at it does something about it now
            if left is None:
                store.delete(["key"])
            else:
                store.put("key", left)
        return whole(data)

    assert Repairs(store, events=noted).repair("key", opened) == b"whole"
    assert store.get("key") == left
    assert noted.damages == []


def test_what_was_removed_after_it_was_found_damaged_does_not_come_back() -> None:
    store, noted = SimulatedStore(), Noted()
    store.put("key", b"whole")
    store.put("key", b"damaged")
    store.delete(["key"])
    assert Repairs(store, events=noted).repair("key", bytes) is None
    assert (store.get("key"), noted.damages) == (None, [])


def test_what_cannot_be_opened_elsewhere_than_at_home_is_asked_for_when_its_key_is_late() -> None:
    store, time = SimulatedStore(), SimulatedTime()
    store.objects["key"] = b"sealed"
    elsewhere = Elsewhere(store, [])
    repairs = Repairs(store, elsewhere=elsewhere, patience=ARRIVAL_SECONDS, monotonic=lambda: time.seconds)
    assert repairs.repair("key", nothing) is None
    assert elsewhere.asked == []
    time.advance(ASK_SECONDS)
    assert repairs.repair("key", nothing) is None
    assert elsewhere.asked == ["key"]


@pytest.mark.parametrize("queue", ["copies", None])
def test_what_a_process_finds_damaged_it_asks_for_by_its_queue(
    queue: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_keys: list[Repairs] = []

    def unsealed(*_: object, repairs: Repairs, **__: object) -> Envelopes:
        of_keys.append(repairs)
        return Unsealed()

    monkeypatch.setattr(build, "envelopes_of", unsealed)
    with mock_aws():
        session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        sqs, s3 = session.client("sqs"), session.client("s3")
        url = sqs.create_queue(QueueName="copies")["QueueUrl"]
        settings = build.Settings(
            table="catalogue", bucket="vectors", copies_queue=queue and url, node_folder=str(tmp_path)
        )
        s3.create_bucket(Bucket="vectors")
        storage = build.storage_of(settings, session)
        log, manifests = storage.replica(collection()).log, storage.snapshots(collection()).manifests
        path = f"{1:08d}/{1:020d}-0"
        wanted = [log.key(1), manifests.key(path), "key"]
        for key in wanted:
            s3.put_object(Bucket="vectors", Key=key, Body=b"damaged")
        with pytest.raises(CorruptLogError):
            log.read(1)
        with pytest.raises(DamagedError):
            manifests.read(path)
        assert of_keys[0].repair("key", nothing) is None
        asked = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    assert [json.loads(message["Body"])["key"] for message in asked] == (wanted if queue else [])


def nothing(_data: bytes) -> bytes | None:
    """No copy is whole."""
    return None


def whole(data: bytes) -> bytes | None:
    """What is not damaged is."""
    return None if data == b"damaged" else data
