"""Key set and deny-list: when they read the table, and what they do when it cannot be read."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from botocore.exceptions import EndpointConnectionError

from anfl.auth import keys as keys_module
from anfl.auth.keys import KEYS_REFRESH_SECONDS, REVOCATION_LAG_SECONDS, DenyList, KeySet
from anfl.auth.principal import Principal
from anfl.auth.table import AuthTable, PublishedKey
from anfl.auth.verifier import TokenVerifier
from anfl.problems import Problem
from anfl.resources import PARTITION_KEY, SORT_KEY, AuthPartition
from tests.unit.auth.conftest import AUDIENCE, ISSUER
from tests.unit.auth.tokens import KID, claims, new_key, published, signed

KEY = new_key()
T = TypeVar("T")


def bearer(token_id: str, *, tenant: str = "demo") -> Principal:
    return Principal(subject="s", tenant=tenant, roles=frozenset(), token_id=token_id, expires_at=2**33)


class Held:
    """A read that goes on when it is told to."""

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reading.set()
        assert self.go_on.wait(10)


class Source:
    """Counts its readers, and fails on request."""

    def __init__(self) -> None:
        self.keys: tuple[PublishedKey, ...] = (published(KEY),)
        self.revoked = frozenset[str]()
        self.failing = False
        self.reads = 0
        self.held: Callable[[], object] = bool
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def read_keys(self) -> tuple[PublishedKey, ...]:
        return self._read(lambda: self.keys)

    def read_revoked(self) -> frozenset[str]:
        return self._read(lambda: self.revoked)

    def _read(self, found: Callable[[], T]) -> T:
        self.reads += 1
        self.held()
        if self.failing:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")
        return found()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def keys(source: Source) -> KeySet:
    return KeySet(source.read_keys, clock=source.clock)


@pytest.fixture
def deny_list(source: Source) -> DenyList:
    return DenyList(source.read_revoked, clock=source.clock)


def test_known_keys_are_read_once(source: Source, keys: KeySet) -> None:
    for _ in range(3):
        assert keys.find(KID) is not None
    assert source.reads == 1


def test_unknown_kids_cannot_make_it_read_often(source: Source, keys: KeySet) -> None:
    for number in range(100):
        assert keys.find(f"unknown-{number}") is None
    assert source.reads == 1

    source.now += 5.1
    for number in range(100):
        assert keys.find(f"unknown-{number}") is None
    assert source.reads == 2


def test_new_key_is_found_soon_and_withdrawn_key_is_forgotten(source: Source, keys: KeySet) -> None:
    assert keys.find("us-west-1.2") is None
    source.keys = (published(KEY, kid="us-west-1.2"),)

    source.now += 5.1
    assert keys.find("us-west-1.2") is not None
    assert keys.find(KID) is None


def test_withdrawn_key_is_forgotten_without_new_kids(source: Source, keys: KeySet) -> None:
    assert keys.find(KID) is not None
    source.keys = ()

    source.now += 300.1
    assert keys.find(KID) is None


def test_keys_outlive_the_table(source: Source, keys: KeySet) -> None:
    keys.find(KID)
    source.failing = True

    source.now += 86400
    assert keys.find(KID) is not None


def test_failing_table_is_asked_once_a_second(source: Source, keys: KeySet) -> None:
    keys.find(KID)
    source.failing, source.reads = True, 0
    source.now += 301

    for _ in range(10):
        keys.find(KID)
    assert source.reads == 1
    source.now += 1
    keys.find(KID)
    assert source.reads == 2


def test_nobody_waits_for_a_slow_table_who_has_an_older_answer(source: Source, keys: KeySet) -> None:
    keys.find(KID)
    source.now += 301
    source.held = held = Held()
    refresher = threading.Thread(target=keys.find, args=(KID,))
    refresher.start()
    assert held.reading.wait(10)

    assert keys.find(KID) is not None

    assert refresher.is_alive(), "the read was still going on"
    held.go_on.set()
    refresher.join()


def test_after_an_idle_hour_nobody_goes_by_the_deny_list_of_then(source: Source, deny_list: DenyList) -> None:
    """Of several requests at once the first reads the list, and the others wait for it."""
    assert deny_list.contains(bearer("t")) is False
    source.revoked = frozenset({bearer("t").deny_entry})
    source.now += 3000
    source.held = held = Held()
    found: list[bool] = []
    first = threading.Thread(target=lambda: found.append(deny_list.contains(bearer("t"))))
    second = threading.Thread(target=lambda: found.append(deny_list.contains(bearer("t"))))
    first.start()
    assert held.reading.wait(10)
    second.start()
    second.join(0.1)
    assert not found
    held.go_on.set()
    first.join()
    second.join()
    assert found == [True, True]
    assert source.reads == 2


def test_a_list_that_cannot_be_read_is_not_waited_for_again_and_again(
    source: Source, deny_list: DenyList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "PATIENCE_SECONDS", 3600.0)
    assert deny_list.contains(bearer("t")) is False
    source.now += 100
    source.failing = True
    assert deny_list.contains(bearer("t")) is False
    source.now += 100
    source.failing = False
    source.held = held = Held()
    first = threading.Thread(target=deny_list.contains, args=(bearer("t"),))
    first.start()
    assert held.reading.wait(10)
    assert deny_list.contains(bearer("t")) is False
    held.go_on.set()
    first.join()


def test_cold_and_failing_is_an_outage_that_ends(source: Source, keys: KeySet, deny_list: DenyList) -> None:
    source.failing = True
    for look_up in (lambda: keys.find(KID), lambda: deny_list.contains(bearer("t"))):
        with pytest.raises(Problem) as caught:
            look_up()
        assert (caught.value.status, caught.value.code) == (503, "auth_unavailable")

    source.failing = False
    source.now += 1
    assert keys.find(KID) is not None
    assert deny_list.contains(bearer("t")) is False


@pytest.mark.parametrize(
    "changes", [{"crv": "P-999"}, {"kty": "oct", "alg": "HS256"}, {"alg": "none"}, {"kty": "RSA", "alg": "RS256"}]
)
def test_one_unusable_key_does_not_take_the_others(source: Source, keys: KeySet, changes: dict[str, str]) -> None:
    broken = published(KEY, kid="eu-west-1.1", **changes)
    source.keys = (broken, *source.keys)

    assert keys.find("eu-west-1.1") is None
    assert keys.find(KID) is not None


def test_stale_deny_list_bridges_an_outage_for_a_bounded_time(source: Source, deny_list: DenyList) -> None:
    source.revoked = frozenset({"demo/bad"})
    assert deny_list.contains(bearer("bad"))
    source.failing = True

    source.now += 3599
    assert deny_list.contains(bearer("bad"))
    assert not deny_list.contains(bearer("good"))
    assert deny_list.contains_cached(bearer("good")) is None
    source.now += 2
    with pytest.raises(Problem, match="auth_unavailable"):
        deny_list.contains(bearer("good"))


def test_a_login_is_denied_with_all_its_tokens_and_in_its_own_tenant_alone(source: Source, deny_list: DenyList) -> None:
    source.revoked = frozenset({"demo/login"})
    assert deny_list.contains(bearer("login"))
    assert deny_list.contains(bearer("login.5f0c"))
    assert not deny_list.contains(bearer("login", tenant="other"))
    assert not deny_list.contains(bearer("login2"))


def test_table_keeps_keys_and_revocations(table: AuthTable) -> None:
    second = published(KEY, kid="eu-west-1.12")
    for key in (published(KEY), second, published(KEY)):
        table.publish(key)
    assert [(key.kid, key.region, key.version) for key in table.published_keys()] == [
        ("eu-west-1.12", "eu-west-1", 12),
        (KID, "us-west-1", 1),
    ]
    table.withdraw(KID)
    assert table.published_keys() == (second,)

    table.revoke("demo/long-expired", expires_at=1)
    for _ in range(2):
        table.revoke("demo/revoked", expires_at=2**33)
    assert table.revoked() == {"demo/revoked"}


def test_a_token_that_was_verified_is_refused_with_its_key(source: Source, keys: KeySet, deny_list: DenyList) -> None:
    """Whoever had the key may have signed tokens that end in a hundred years."""
    verifier = TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE, deny_list=deny_list)
    token = signed(KEY, claims(exp=2**37))
    verifier.verify(token)
    assert verifier.cached(token) is not None
    source.keys = (published(new_key(), kid="us-west-1.2"),)

    source.now += KEYS_REFRESH_SECONDS + 0.1
    assert deny_list.contains(bearer("another")) is False  # others ask meanwhile, so this list is always a new one
    assert verifier.cached(token) is None
    with pytest.raises(Problem, match="token_unknown_key"):
        verifier.verify(token)
    assert verifier.cached(token) is None


def test_who_has_a_good_token_goes_on_for_an_hour_while_the_table_is_away(
    source: Source, keys: KeySet, deny_list: DenyList
) -> None:
    """Verified before or not: nothing is remembered beyond its bounds, and what was read last still proves it."""
    verifier = TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE, deny_list=deny_list)
    token = signed(KEY, claims(exp=2**37))
    principal = verifier.verify(token)
    source.failing = True
    for seconds in (REVOCATION_LAG_SECONDS + 0.1, KEYS_REFRESH_SECONDS, 3600 - KEYS_REFRESH_SECONDS - 20):
        source.now += seconds
        assert verifier.cached(token) is None
        assert verifier.verify(token) == principal
        assert verifier.verify(signed(KEY)).subject == principal.subject
    source.now += 10
    with pytest.raises(Problem, match="auth_unavailable"):
        verifier.verify(token)
    source.failing = False
    source.now += 1.1
    assert verifier.verify(token) == principal
    assert verifier.cached(token) == principal


def test_who_is_revoked_can_be_told_after_the_token_has_expired(source: Source, deny_list: DenyList) -> None:
    verifier = TokenVerifier(KeySet(source.read_keys), issuer=ISSUER, audience=AUDIENCE, deny_list=deny_list)
    principal = bearer("login.5f0c")
    assert not verifier.is_revoked(principal)
    source.revoked = frozenset({"demo/login"})
    source.now += REVOCATION_LAG_SECONDS + 0.1
    assert verifier.is_revoked(principal)


def test_a_token_that_was_verified_is_refused_where_another_key_has_the_name(
    source: Source, keys: KeySet, deny_list: DenyList
) -> None:
    """A region whose Vault was made anew counts from one again."""
    verifier = TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE, deny_list=deny_list)
    token = signed(KEY)
    verifier.verify(token)
    source.now += KEYS_REFRESH_SECONDS + 0.1
    deny_list.contains(bearer("another"))
    assert keys.find(KID) is not None
    assert verifier.cached(token) is not None, "it is the same key, read again"

    source.keys = (published(new_key()),)
    source.now += KEYS_REFRESH_SECONDS + 0.1
    deny_list.contains(bearer("another"))
    assert keys.find(KID) is not None
    assert verifier.cached(token) is None


@pytest.mark.parametrize("item", [{}, {"expires_at": {"S": "soon"}}, {"expires_at": {"N": "1.5"}}])
def test_an_entry_that_does_not_say_when_it_ends_denies_and_keeps_nobody_from_the_others(
    table: AuthTable, item: dict[str, Any]
) -> None:
    name: dict[str, Any] = {PARTITION_KEY: {"S": AuthPartition.REVOKED}, SORT_KEY: {"S": "demo/odd"}}
    table._client.put_item(TableName=table._name, Item={**name, **item})
    table.revoke("demo/revoked", expires_at=2**33)
    assert table.revoked() == {"demo/odd", "demo/revoked"}
    assert table.is_revoked("demo/odd")
