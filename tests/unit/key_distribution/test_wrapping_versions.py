"""The auth table's partition: what it takes and refuses, and that the simulation takes and refuses alike."""

import random
from typing import TYPE_CHECKING, Any

from anfl.auth.table import AuthTable
from anfl.crypto.wrapping_versions import WrappingVersion, WrappingVersions
from tests.unit.key_distribution.conftest import TABLE
from tests.unit.key_distribution.regions import HOME, REGIONS, GlobalTable, SimulatedVersions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def version(number: int, material: bytes = b"wrapped") -> WrappingVersion:
    return WrappingVersion(number=number, material=material, drawn_at=number)


def test_nothing_is_active_before_a_version_was_made_so(dynamodb: "DynamoDBClient") -> None:
    versions = WrappingVersions(table=TABLE, client=dynamodb)
    assert versions.active() is None

    versions.add(version(1))
    assert versions.active() is None

    versions.activate(1, now=5)
    assert versions.active() == 1


def test_the_active_version_never_goes_back(dynamodb: "DynamoDBClient") -> None:
    versions = WrappingVersions(table=TABLE, client=dynamodb)
    assert versions.activate(2, now=0)

    assert not versions.activate(1, now=0)
    assert not versions.activate(2, now=0)
    assert versions.active() == 2


def test_material_that_stands_there_is_never_replaced(dynamodb: "DynamoDBClient") -> None:
    versions = WrappingVersions(table=TABLE, client=dynamodb)
    assert versions.add(version(1, b"first"))

    assert not versions.add(version(1, b"second"))
    assert versions.state().versions[1].material == b"first"


def test_who_has_the_lease_keeps_it_until_it_ends_or_is_given_back(dynamodb: "DynamoDBClient") -> None:
    versions = WrappingVersions(table=TABLE, client=dynamodb)
    assert versions.lease(HOME, holder="one", now=0, seconds=10)

    assert not versions.lease(HOME, holder="other", now=9, seconds=10)
    assert versions.lease(HOME, holder="one", now=9, seconds=10), "a lost answer is asked for again"
    assert versions.lease("eu-west-1", holder="other", now=9, seconds=10)
    assert versions.lease(HOME, holder="other", now=19, seconds=10)
    assert not versions.release(HOME, holder="one")
    assert versions.release(HOME, holder="other")
    assert versions.lease(HOME, holder="third", now=19, seconds=10)


def test_a_tables_other_partitions_are_none_of_its_business(dynamodb: "DynamoDBClient") -> None:
    AuthTable(name=TABLE, client=dynamodb).revoke("demo#somebody", expires_at=2**40)
    versions = WrappingVersions(table=TABLE, client=dynamodb)
    versions.register(HOME, now=0)

    assert list(versions.state().participants) == [HOME]
    assert AuthTable(name=TABLE, client=dynamodb).revoked() == {"demo#somebody"}


def test_the_simulation_takes_and_refuses_what_the_table_does(dynamodb: "DynamoDBClient") -> None:
    real: Any = WrappingVersions(table=TABLE, client=dynamodb)
    simulated: Any = SimulatedVersions(GlobalTable(), HOME)
    choice = random.Random(7)
    for _ in range(400):
        region, number, now = choice.choice(REGIONS), choice.randint(1, 4), choice.randint(0, 50)
        holder = choice.choice("ab")
        calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
            ("add", (version(number),), {}),
            ("activate", (number,), {"now": now}),
            ("register", (region,), {"now": now}),
            ("acknowledge", (region,), {"held": number, "check": str(number), "now": now}),
            ("complain", (region, "a problem"), {"now": now}),
            ("lease", (region,), {"holder": holder, "now": now, "seconds": 10}),
            ("release", (region,), {"holder": holder}),
            ("remove", (region,), {}),
            ("active", (), {}),
            ("state", (), {}),
        ]
        name, given, options = choice.choice(calls)
        assert getattr(real, name)(*given, **options) == getattr(simulated, name)(*given, **options), (name, given)
    assert real.state() == simulated.state()
