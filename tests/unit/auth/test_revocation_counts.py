"""A tenant's share of the deny-list holds, however many calls count at once and in however many regions."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from anfl.auth.principal import Principal, Role, new_login
from anfl.auth.revocation import Revoker
from anfl.auth.revocation_counts import RevocationCounts
from anfl.auth.table import AuthTable
from anfl.problems import Problem
from tests.unit.auth.conftest import TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SESSION = 7200
MOST = 10
"""Of each half of the share."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * 3600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(dynamodb: "DynamoDBClient", clock: Clock) -> Callable[[str], RevocationCounts]:
    """Of a region."""
    return lambda region: RevocationCounts(
        table=TABLE, region=region, most=2 * MOST, session=SESSION, client=dynamodb, clock=clock
    )


def test_a_share_is_of_what_lives_in_all_regions(counts: Callable[[str], RevocationCounts], clock: Clock) -> None:
    here, there = counts("us-west-1"), counts("eu-west-1")
    for region in (here, there) * 2:
        assert region.add("demo") is None
    clock.now += 3600
    for region in (here, there) * 3:
        assert region.add("demo") is None
    clock.now += 600

    assert here.add("demo") == there.add("demo") == SESSION - 600, "until those of the first hour have ended"
    assert here.add("demo-2") is there.add("other") is None
    clock.now += SESSION - 600
    assert [here.add("demo") for _ in range(5)] == [None] * 4 + [3600]


def test_a_share_of_one_hour_is_free_again_when_its_last_entry_has_ended(
    counts: Callable[[str], RevocationCounts], clock: Clock
) -> None:
    here = counts("us-west-1")
    assert [here.add("demo") for _ in range(MOST)] == [None] * MOST
    clock.now += 3599
    assert here.add("demo") == 1 + SESSION
    clock.now += SESSION
    assert here.add("demo") == 1
    clock.now += 1
    assert here.add("demo") is None


def test_what_was_there_already_is_not_counted(counts: Callable[[str], RevocationCounts]) -> None:
    here = counts("us-west-1")
    for _ in range(3 * MOST):
        assert here.add("demo") is None
        here.take_back("demo")
    here.take_back("demo")
    assert [here.add("demo") is None for _ in range(MOST + 1)] == [True] * MOST + [False]


def test_beyond_the_share_is_counted_too(counts: Callable[[str], RevocationCounts], clock: Clock) -> None:
    here = counts("us-west-1")
    for _ in range(MOST + 5):
        assert here.add("demo", beyond=True) is None
    clock.now += 3600
    assert here.add("demo", beyond=True) is None
    assert here.add("demo") is not None
    clock.now += SESSION
    assert [here.add("demo") is None for _ in range(MOST)] == [True] * (MOST - 1) + [False]


def test_who_has_looked_before_others_counted_does_not_go_over(
    dynamodb: "DynamoDBClient", counts: Callable[[str], RevocationCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = counts("us-west-1"), counts("us-west-1")
    real = dynamodb.update_item

    def overtaken(**request: object) -> object:
        monkeypatch.undo()
        assert [quick.add("demo") for _ in range(MOST)] == [None] * MOST
        return real(**request)  # type: ignore[arg-type]

    monkeypatch.setattr(dynamodb, "update_item", overtaken)

    assert slow.add("demo") is not None


def by(role: Role = Role.ADMIN) -> Principal:
    login = new_login()
    return Principal(
        subject="s", tenant="demo", roles=frozenset({role}), token_id=login, expires_at=2**33, logged_in_at=2**32
    )


def revoker(table: AuthTable, counts: RevocationCounts) -> Revoker:
    return Revoker(table, counts, spare=lambda _: None, session=SESSION)


def test_one_id_counts_once_however_many_revoke_it_at_once(
    table: AuthTable, counts: Callable[[str], RevocationCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, login = counts("us-west-1"), new_login()
    together = threading.Barrier(4)
    look = table.is_revoked

    def looks(entry: str) -> bool:
        found = look(entry)
        together.wait(timeout=10)
        return found

    monkeypatch.setattr(table, "is_revoked", looks)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: revoker(table, here).revoke(by(), login), range(4)))

    assert table.revoked() == {f"demo/{login}"}
    assert [here.add("demo") is None for _ in range(MOST)] == [True] * (MOST - 1) + [False]


def test_a_caller_that_revokes_its_own_without_end_is_slowed_down(
    table: AuthTable, counts: Callable[[str], RevocationCounts]
) -> None:
    here = counts("us-west-1")
    spare = iter([None] * 5)

    def spend(_principal: Principal) -> None:
        if next(spare, "none") is not None:
            raise Problem(429, "too_many_requests", "slowly", retry_after=60)

    slowed = Revoker(table, here, spare=spend, session=SESSION)
    for _ in range(MOST + 5):
        slowed.revoke(by(Role.READER), None)

    with pytest.raises(Problem, match="too_many_requests"):
        slowed.revoke(by(Role.READER), None)
    assert len(table.revoked()) == MOST + 5, "what was refused is not revoked"


def test_who_revokes_its_own_without_end_keeps_nobody_from_revoking_anothers(
    table: AuthTable, counts: Callable[[str], RevocationCounts]
) -> None:
    here = revoker(table, counts("us-west-1"))
    for _ in range(3 * MOST):
        here.revoke(by(Role.READER), None)

    for _ in range(MOST):
        here.revoke(by(), new_login())

    with pytest.raises(Problem, match="too_many_revocations"):
        here.revoke(by(), new_login())
    assert len(table.revoked()) == 4 * MOST


def test_an_operators_own_counts_as_everybodys_does(
    table: AuthTable, counts: Callable[[str], RevocationCounts]
) -> None:
    here = revoker(table, counts("us-west-1"))
    for _ in range(MOST):
        here.revoke(by(), new_login())

    mine = by()
    here.revoke(mine, f"{mine.token_id}.0123456789ab")

    assert mine.deny_entry in table.revoked()
