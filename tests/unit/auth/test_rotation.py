"""The key that signs tokens changes while tokens are issued and checked, and nobody notices."""

import threading
import time
from collections.abc import Callable

import pytest

from anfl.auth import cached, issuer, keys
from anfl.auth.authorizer import Authorizer
from anfl.auth.issuer import TokenIssuer
from anfl.auth.keys import DenyList, KeySet
from anfl.auth.principal import Role
from anfl.auth.table import AuthTable
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.vault_setup import VaultSetup
from anfl.auth.verifier import TokenVerifier
from anfl.problems import Problem
from anfl.resources import Function
from tests.unit.auth.conftest import AUDIENCE, ISSUER, REGION, RunningVault

REFRESH_SECONDS = 0.4
LIFETIME = 2


def test_rotation_under_traffic_fails_no_request(
    ready: VaultSetup, vault: RunningVault, table: AuthTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step that an operator takes, in the order of the runbook, at a hundredth of its time."""
    monkeypatch.setattr(keys, "KEYS_REFRESH_SECONDS", REFRESH_SECONDS)
    monkeypatch.setattr(cached, "_RETRY_SECONDS", REFRESH_SECONDS / 4)
    # A second more: keys are published at whole ones, so that up to one of them has passed by then.
    monkeypatch.setattr(issuer, "ACTIVATION_SECONDS", 1 + 2 * REFRESH_SECONDS)
    monkeypatch.setattr(issuer, "_KEYS_MAX_AGE_SECONDS", REFRESH_SECONDS / 4)
    client = ready.ensure_client("reader", tenant="demo", roles=[Role.READER])
    issuing = TokenIssuer(
        VaultClient(address=vault.address, credentials=IamRole(Function.AUTH), read_seconds=10.0),
        published_keys=table.published_keys,
        region=REGION,
        issuer=ISSUER,
        audience=AUDIENCE,
        lifetime=LIFETIME,
        session=LIFETIME,
    )
    verifiers = [
        TokenVerifier(KeySet(table.published_keys), issuer=ISSUER, audience=AUDIENCE, deny_list=DenyList(table.revoked))
        for _ in range(2)
    ]
    authorizer = Authorizer(verifiers[1], VaultClient(address=vault.address, read_seconds=10.0))
    stop, failures, kids = threading.Event(), list[str](), list[str]()

    def traffic(check: Callable[[str], object]) -> None:
        while not stop.is_set() and not failures:
            began = time.time()
            try:
                token = issuing.exchange_approle(role_id=client.role_id, secret_id=client.secret_id).access_token
                check(token)
                time.sleep(LIFETIME / 10)
                check(token)
                kids.append(token.partition(".")[0])
            except Exception as error:
                # Whole seconds: a token may live one less. A machine that stood still for so long has not failed.
                late = time.time() - began >= LIFETIME - 1
                if not (late and isinstance(error, Problem) and error.code == "token_expired"):
                    failures.append(repr(error))

    threads = [threading.Thread(target=traffic, args=(each,)) for each in (verifiers[0].verify, authorizer.principal)]
    for thread in threads:
        thread.start()

    def count(until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not until() and not failures and time.monotonic() < deadline:
            time.sleep(0.05)

    try:
        count(lambda: len(kids) >= 4)
        vault.client().attempt(lambda c: c.secrets.transit.rotate_key("jwt"))
        ready.keys.distribute()
        count(lambda: len(set(kids)) == 2)
        time.sleep(LIFETIME)  # the last token of the old version has expired
        vault.client().attempt(lambda c: c.secrets.transit.update_key_configuration("jwt", min_decryption_version=2))
        ready.keys.distribute()
        done = len(kids)
        count(lambda: len(kids) >= done + 4)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []
    assert len(set(kids)) == 2
    assert [key.kid for key in table.published_keys()] == [f"{REGION}.2"]
