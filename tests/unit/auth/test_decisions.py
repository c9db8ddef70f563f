"""What Vault agreed to is remembered for a minute, by all processes where they share a cache, and never longer."""

import socket
from typing import Any

import pytest
import valkey
from valkey.backoff import NoBackoff
from valkey.retry import Retry

from anfl.auth.authorizer import Authorizer
from anfl.auth.decisions import DECISION_SECONDS, PREFIX, Decisions
from anfl.auth.vault import VaultClient
from anfl.cache import PAUSE_SECONDS, SharedMarks
from anfl.problems import Problem
from tests.unit import regional_cache
from tests.unit.auth.tokens import claims, new_key, signed, verifier

TOKEN = "header.claims.signature"
LONG = 900.0


class Time:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


server = regional_cache.server
client = regional_cache.client


def test_a_decision_stands_for_its_time_and_no_longer(clock: Time) -> None:
    decisions = Decisions(None, clock=clock)
    assert not decisions.stands(TOKEN)
    decisions.note(TOKEN, asked=clock(), seconds=LONG)
    clock.now += DECISION_SECONDS - 0.1
    assert decisions.stands(TOKEN)
    clock.now += 0.2
    assert not decisions.stands(TOKEN)


def test_it_counts_from_when_vault_was_asked(clock: Time) -> None:
    decisions = Decisions(None, clock=clock)
    asked = clock()
    clock.now += 20
    decisions.note(TOKEN, asked=asked, seconds=LONG)
    clock.now = asked + DECISION_SECONDS + 0.1
    assert not decisions.stands(TOKEN)


def test_a_token_that_ends_sooner_ends_the_decision(client: Any, clock: Time) -> None:
    decisions = Decisions(SharedMarks(client, clock=clock), clock=clock)
    decisions.note(TOKEN, asked=clock(), seconds=3)
    (key,) = client.keys()
    assert 0 < client.pttl(key) <= 3000
    clock.now += 3.1
    client.flushall()
    assert not decisions.stands(TOKEN)


def test_processes_of_a_region_share_decisions(client: Any, clock: Time) -> None:
    one, other = (Decisions(SharedMarks(client, clock=clock), clock=clock) for _ in range(2))
    one.note(TOKEN, asked=clock(), seconds=LONG)
    assert other.stands(TOKEN)
    assert not other.stands("another.token.altogether")


def test_what_another_process_decided_does_not_live_longer_here(client: Any, clock: Time) -> None:
    one, other = (Decisions(SharedMarks(client, clock=clock), clock=clock) for _ in range(2))
    one.note(TOKEN, asked=clock() - 50, seconds=LONG)
    assert other.stands(TOKEN)
    client.flushall()
    clock.now += 10.1
    assert not other.stands(TOKEN)


@pytest.mark.parametrize("seconds", [None, 3600])
def test_a_mark_that_others_set_for_ever_does_not_stand_for_ever(client: Any, clock: Time, seconds: int | None) -> None:
    decisions = Decisions(SharedMarks(client, clock=clock), clock=clock)
    decisions.note(TOKEN, asked=clock(), seconds=LONG)
    (key,) = client.keys()
    client.set(key, b"1", ex=seconds)
    fresh = Decisions(SharedMarks(client, clock=clock), clock=clock)
    assert fresh.stands(TOKEN) is (seconds is not None)
    client.flushall()
    clock.now += DECISION_SECONDS + 0.1
    assert not fresh.stands(TOKEN)


def test_neither_token_nor_bearer_is_in_the_cache(client: Any, clock: Time) -> None:
    Decisions(SharedMarks(client, clock=clock), clock=clock).note(TOKEN, asked=clock(), seconds=LONG)
    (key,) = client.keys()
    assert key.startswith(PREFIX.encode())
    assert client.get(key) == b"1"
    assert not any(part.encode() in key for part in TOKEN.split("."))


class Forged:
    """Marks that somebody has set for whatever is asked about."""

    def seconds_left(self, _key: str) -> float:
        return LONG

    def put(self, _key: str, *, seconds: float) -> None:
        """Nothing is missing."""


def test_a_mark_that_somebody_forged_lets_nobody_in() -> None:
    """It spares Vault the question alone: signature, times and deny-list are looked at whatever the cache says."""
    key = new_key()
    nowhere = VaultClient(address="http://127.0.0.1:9")
    principal = Authorizer(verifier(key), nowhere, marks=Forged()).principal(signed(key))
    revoked = Authorizer(verifier(key, revoked=frozenset({principal.deny_entry})), nowhere, marks=Forged())
    others = Authorizer(verifier(new_key()), nowhere, marks=Forged())
    for authorizer, token, code in (
        (others, signed(key), "token_signature"),
        (others, TOKEN, "token_malformed"),
        (others, signed(key, claims(exp=1)), "token_signature"),
        (Authorizer(verifier(key), nowhere, marks=Forged()), signed(key, claims(exp=1)), "token_expired"),
        (revoked, signed(key), "token_revoked"),
    ):
        with pytest.raises(Problem) as refused:
            authorizer.principal(token)
        assert (refused.value.status, refused.value.code) == (401, code)


def test_a_cache_that_is_gone_is_a_miss_and_is_left_alone_for_a_while(clock: Time) -> None:
    nowhere: Any = valkey.Valkey(host="127.0.0.1", port=1, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 0))
    attempts: list[object] = []
    pool = nowhere.connection_pool
    connect = pool.get_connection

    def count(*arguments: Any, **options: Any) -> Any:
        attempts.append(arguments)
        return connect(*arguments, **options)

    pool.get_connection = count
    decisions = Decisions(SharedMarks(nowhere, clock=clock), clock=clock)
    assert not decisions.stands(TOKEN)
    decisions.note(TOKEN, asked=clock(), seconds=LONG)
    assert decisions.stands(TOKEN), "this process remembers by itself"
    assert not decisions.stands("another")
    asked = len(attempts)
    assert asked == 2, "once more, in case that the connection alone had ended"
    clock.now += PAUSE_SECONDS + 0.1
    assert not decisions.stands("another")
    assert len(attempts) == 2 * asked


def test_a_connection_that_ended_in_between_is_made_anew(client: Any, clock: Time) -> None:
    """As after a function was frozen."""
    marks = SharedMarks(client, clock=clock)
    marks.put("decision:x", seconds=30)
    for connection in client.connection_pool._available_connections:
        connection._sock.shutdown(socket.SHUT_RDWR)
    assert marks.seconds_left("decision:x") > 0


def test_an_answer_that_is_none_is_a_miss(client: Any, clock: Time) -> None:
    """A user that may not."""
    client.execute_command("ACL", "SETUSER", "nobody", "on", ">secret", "~*", "-@all", "+@connection")
    denied = valkey.Valkey(
        host="127.0.0.1", port=client.connection_pool.connection_kwargs["port"], username="nobody", password="secret"
    )
    decisions = Decisions(SharedMarks(denied, clock=clock), clock=clock)
    decisions.note(TOKEN, asked=clock(), seconds=LONG)
    assert not Decisions(SharedMarks(denied, clock=clock), clock=clock).stands(TOKEN)
