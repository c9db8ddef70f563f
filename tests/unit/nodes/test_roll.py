"""The roll in the catalogue's table."""

import secrets

import boto3
import pytest

from anfl.nodes.roll import Roll, RollError
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import CollectionSettings
from tests.unit.vectors.importing import TABLE
from tests.unit.vectors.test_hints import Away

A, B = "10.0.10.1:8080", "10.0.10.2:8080"


def beats(roll: Roll) -> dict[str, str]:
    return {address: entry.beat for address, entry in roll.entries().items()}


@pytest.fixture(name="roll")
def _roll(session: boto3.session.Session) -> Roll:
    return Roll(session.resource("dynamodb").Table(TABLE))


def test_every_renewal_is_another_beat_until_the_node_leaves(roll: Roll) -> None:
    roll.renew(A)
    roll.renew(B)
    first = beats(roll)
    roll.renew(A)
    second = beats(roll)
    assert first.keys() == second.keys() == {A, B}
    assert (first[A] == second[A], first[B] == second[B]) == (False, True)
    roll.remove(A)
    assert beats(roll).keys() == {B}


def test_a_node_that_beats_again_is_not_taken_off_by_those_who_missed_it(roll: Roll) -> None:
    roll.renew(A)
    stale = beats(roll)[A]
    roll.renew(A)
    roll.remove(A, beat=stale)
    assert beats(roll).keys() == {A}
    roll.remove(A, beat=beats(roll)[A])
    assert beats(roll) == {}


def test_other_regions_have_rolls_of_their_own(roll: Roll, session: boto3.session.Session) -> None:
    roll.renew(A)
    item = {"pk": "N#eu-west-1", "sk": f"N#{B}", "beat": "1"}  # as replication brings it
    session.resource("dynamodb").Table(TABLE).put_item(Item=item)
    assert beats(roll).keys() == {A}


@pytest.mark.parametrize(
    "address", ["203.0.113.9:8080", "169.254.169.254:80", "evil.example:8080", "10.0.10.1", "10.0.10.1:0", "::1:80"]
)
def test_what_is_no_address_inside_is_nobody(roll: Roll, session: boto3.session.Session, address: str) -> None:
    item = {"pk": "N#us-east-1", "sk": f"N#{address}", "beat": "1"}
    session.resource("dynamodb").Table(TABLE).put_item(Item=item)
    assert beats(roll) == {}


def test_no_entry_gets_between_a_tenant_and_its_names(roll: Roll, session: boto3.session.Session) -> None:
    roll.renew(A)
    catalogue = Catalogue(session.resource("dynamodb").Table(TABLE))
    made, _ = catalogue.create("demo", CollectionSettings(name="words", dimension=2))
    assert list(catalogue.every()) == [made]
    assert catalogue.collections("demo", limit=9) == ([made], False)


def test_a_node_tells_its_key_and_nothing_else_is_one(roll: Roll, session: boto3.session.Session) -> None:
    key = secrets.token_urlsafe(16)
    roll.renew(A, key=key)
    for forged in ("", "1\r\nx: y", "ä" * 22, key + "x"):
        session.resource("dynamodb").Table(TABLE).put_item(
            Item={"pk": "N#us-east-1", "sk": f"N#{B}", "beat": "1", "hop_key": forged}
        )
        assert {address: entry.key for address, entry in roll.entries().items()} == {A: key, B: ""}


def test_a_table_that_is_away_says_so(roll: Roll, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "_table", Away())
    for call in (lambda: roll.renew(A), roll.entries, lambda: roll.remove(A)):
        with pytest.raises(RollError):
            call()
