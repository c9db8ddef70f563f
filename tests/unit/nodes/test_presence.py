"""A node that says that it is there, and knows who else is."""

import threading

import boto3
import pytest

from anfl.http.serve import Listen
from anfl.nodes import presence as presence_module
from anfl.nodes.address import is_inside, of_this_task
from anfl.nodes.presence import Presence, Settings, address_of
from anfl.nodes.roll import Roll, RollError
from anfl.nodes.shared import NOBODY, SharedMembers
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.test_hints import Away

A, B = "10.0.10.1:8080", "10.0.10.2:8080"
SETTINGS = Settings(table=TABLE, heartbeat_seconds=5, timeout_seconds=15)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Node:
    """One node's presence, at a time that the test sets."""

    def __init__(self, session: boto3.session.Session, clock: Time, address: str) -> None:
        self.roll = Roll(session.resource("dynamodb").Table(TABLE))
        self.members = SharedMembers(now=clock)
        self.presence = Presence(self.roll, self.members, address=lambda: address, settings=SETTINGS, now=clock)


def test_nodes_find_one_another_and_miss_those_that_die(session: boto3.session.Session) -> None:
    clock = Time()
    first, second = Node(session, clock, A), Node(session, clock, B)
    first.presence.beat()
    second.presence.beat()
    assert second.members.now().present == (A, B)
    for _ in range(3):  # the second one is dead
        assert first.members.now().present in ((A,), (A, B))
        clock.now += 5
        first.presence.beat()
    assert first.members.now().present == (A, B)
    clock.now += 5
    first.presence.beat()
    assert first.members.now().present == (A,)


def test_nodes_know_each_others_keys(session: boto3.session.Session) -> None:
    clock = Time()
    first, second = Node(session, clock, A), Node(session, clock, B)
    for node in (first, second, first):
        node.presence.beat()
    known = [(members.key_of(A), members.key_of(B)) for members in (first.members.now(), second.members.now())]
    assert known[0] == known[1]
    assert len({*known[0], ""}) == 3
    assert first.members.now().key_of("10.0.10.3:8080") == ""


def test_a_node_that_leaves_is_missed_by_nobody(session: boto3.session.Session) -> None:
    clock = Time()
    first, second = Node(session, clock, A), Node(session, clock, B)
    for node in (first, second, first):
        node.presence.beat()
    assert first.members.now().present == (A, B)
    stop = threading.Event()
    stop.set()
    second.presence.run(stop)
    first.presence.beat()
    assert first.members.now().present == (A,)


def test_who_cannot_read_the_roll_knows_nobody_after_the_timeout(
    session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time()
    node = Node(session, clock, A)
    node.presence.beat()
    with monkeypatch.context() as patch:
        patch.setattr(node.roll, "_table", Away())
        clock.now += 10
        with pytest.raises(RollError):
            node.presence.beat()
        assert node.members.now().present == (A,)
        clock.now += 5.1
        assert node.members.now() == NOBODY
    node.presence.beat()
    assert node.members.now().present == (A,)


def test_a_store_that_is_away_ends_no_presence(session: boto3.session.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "JITTER", 0.0)
    node = Node(session, Time(), A)
    beats = 0

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal beats
            assert timeout == SETTINGS.heartbeat_seconds
            beats += 1
            monkeypatch.setattr(node.roll, "_table", Away())
            if beats == 3:
                self.set()
            return self.is_set()

    node.presence.run(Stop())
    assert beats == 3


def test_what_has_been_dead_for_long_is_taken_off_the_roll(session: boto3.session.Session) -> None:
    clock = Time()
    first, second = Node(session, clock, A), Node(session, clock, B)
    second.presence.beat()
    for _ in range(40):
        first.presence.beat()
        clock.now += 5
    assert first.roll.entries().keys() == {A}


def test_a_task_learns_its_address_from_ecs() -> None:
    asked: list[str] = []

    def read(url: str) -> bytes:
        asked.append(url)
        return b'{"DockerId": "x", "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.10.7"]}]}'

    assert of_this_task("http://169.254.170.2/v4/x", 8080, read=read) == "10.0.10.7:8080"
    assert asked == ["http://169.254.170.2/v4/x"]


@pytest.mark.parametrize(
    "document", [b"", b"{}", b'{"Networks": []}', b'{"Networks": [{"IPv4Addresses": ["8.8.8.8"]}]}']
)
def test_metadata_without_a_private_address_are_an_error(document: bytes) -> None:
    with pytest.raises(OSError, match="address"):
        of_this_task("http://169.254.170.2/v4/x", 8080, read=lambda _: document)


def test_a_node_on_loopback_is_where_it_listens_and_one_that_listens_everywhere_is_alone() -> None:
    assert address_of(SETTINGS, Listen(host="127.0.0.1", port=4711)) == "127.0.0.1:4711"
    with pytest.raises(OSError, match="no address"):
        address_of(SETTINGS, Listen(port=8080))


@pytest.mark.parametrize("address", ["10.0.10.7:8080", "127.0.0.1:1", "172.16.0.1:65535", "192.168.0.9:80"])
def test_private_addresses_are_inside(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize("address", ["8.8.8.8:80", "10.0.10.7:65536", "10.0.10.7:080", "0.0.0.0:80", "", ":", "a:b"])
def test_nothing_else_is(address: str) -> None:
    assert not is_inside(address)
