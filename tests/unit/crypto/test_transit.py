"""Wrapping by a real (development) Vault: which answer is damage, and which is an outage."""

import base64
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from anfl.auth.names import DATA_KEY
from anfl.auth.vault import StaticToken, VaultClient
from anfl.crypto.transit import version_of
from anfl.crypto.trouble import TamperedError
from anfl.crypto.vault_transit import VaultTransit
from anfl.problems import Problem
from tests.unit.auth.conftest import RunningVault, running_vault

CONTEXT = "demo/words/0123/keys/00000001/2026-11-26"


class Active:
    """What the table says."""

    def __init__(self, version: int | None = 1) -> None:
        self.version = version

    def active(self) -> int | None:
        """See `Versions.active`."""
        return self.version


@pytest.fixture(name="vault", scope="module")
def _vault() -> Iterator[RunningVault]:
    with running_vault() as vault:
        yield vault


@pytest.fixture(name="active")
def _active() -> Active:
    return Active()


@pytest.fixture(name="transit")
def _transit(vault: RunningVault, active: Active) -> VaultTransit:
    def begin(client: Any) -> None:
        if "transit/" in client.sys.list_mounted_secrets_engines()["data"]:
            client.sys.disable_secrets_engine("transit")
        client.sys.enable_secrets_engine("transit")
        client.secrets.transit.create_key(DATA_KEY, key_type="aes256-gcm96", derived=True)

    vault.client().attempt(begin)
    return VaultTransit(vault.client(), active)


def rotate(vault: RunningVault) -> None:
    vault.client().attempt(lambda client: client.secrets.transit.rotate_key(DATA_KEY))


def unavailable(problem: Problem) -> bool:
    return (problem.status, problem.code) == (503, "key_unavailable") and problem.retry_after is not None


def test_a_data_key_is_32_bytes_and_opens_as_it_was(transit: VaultTransit) -> None:
    made = transit.generate(CONTEXT)
    assert len(made.plaintext) == 32
    assert transit.unwrap(made.wrapped, CONTEXT) == made.plaintext
    assert repr(made.plaintext) not in repr(made)


def test_keys_are_wrapped_by_the_active_version_whatever_this_vault_has_besides(
    transit: VaultTransit, vault: RunningVault, active: Active
) -> None:
    rotate(vault)
    assert version_of(transit.generate(CONTEXT).wrapped) == 1
    active.version = 2
    assert version_of(transit.generate(CONTEXT).wrapped) == 2


@pytest.mark.parametrize("version", [None, 2])
def test_a_region_without_the_active_version_makes_no_keys(
    transit: VaultTransit, active: Active, version: int | None
) -> None:
    active.version = version
    with pytest.raises(Problem) as caught:
        transit.generate(CONTEXT)
    assert unavailable(caught.value)


def test_a_table_that_does_not_answer_is_an_outage(vault: RunningVault) -> None:
    class Away:
        def active(self) -> int | None:
            raise ConnectTimeoutError(endpoint_url="dynamodb")

    with pytest.raises(Problem) as caught:
        VaultTransit(vault.client(), Away()).generate(CONTEXT)
    assert unavailable(caught.value)


def test_a_key_of_another_place_or_changed_is_damage(transit: VaultTransit) -> None:
    wrapped = transit.generate(CONTEXT).wrapped
    sealed = bytearray(base64.b64decode(wrapped.rpartition(":")[2]))
    sealed[20] ^= 1
    for changed, context in (
        (wrapped, CONTEXT + "7"),
        (f"vault:v1:{base64.b64encode(sealed).decode()}", CONTEXT),
        ("vault:v1:AAAA", CONTEXT),
        ("vault:v1:!", CONTEXT),
        ("vault:v0:AAAA", CONTEXT),
        ("", CONTEXT),
        (wrapped + "\n", CONTEXT),
    ):
        with pytest.raises(TamperedError):
            transit.unwrap(changed, context)
        with pytest.raises(TamperedError):
            transit.rewrap(changed, context, version=1)


def test_a_version_that_this_vault_has_not_is_an_outage_and_no_damage(
    transit: VaultTransit, vault: RunningVault
) -> None:
    rotate(vault)
    old = transit.generate(CONTEXT).wrapped
    for wrapped in (old.replace("v1", "v7"), old):
        if wrapped is old:
            vault.client().attempt(
                lambda c: c.secrets.transit.update_key_configuration(DATA_KEY, min_decryption_version=2)
            )
        with pytest.raises(Problem) as caught:
            transit.unwrap(wrapped, CONTEXT)
        assert unavailable(caught.value)


def test_a_vault_without_the_key_or_a_grant_is_an_outage_and_no_damage(
    transit: VaultTransit, vault: RunningVault, active: Active
) -> None:
    wrapped = transit.generate(CONTEXT).wrapped
    stranger = VaultTransit(VaultClient(address=vault.address, credentials=StaticToken("nobody's")), active)
    with pytest.raises(Problem) as caught:
        stranger.unwrap(wrapped, CONTEXT)
    assert unavailable(caught.value)
    vault.client().attempt(lambda client: client.sys.disable_secrets_engine("transit"))
    for use in (lambda: transit.unwrap(wrapped, CONTEXT), lambda: transit.generate(CONTEXT)):
        with pytest.raises(Problem) as caught:
            use()
        assert unavailable(caught.value)


def test_no_vault_is_an_outage_and_no_damage(active: Active) -> None:
    away = VaultTransit(VaultClient(address="http://127.0.0.1:9", credentials=StaticToken("any")), active)
    for use in (lambda: away.unwrap("vault:v1:AAAA", CONTEXT), lambda: away.generate(CONTEXT)):
        with pytest.raises(Problem) as caught:
            use()
        assert unavailable(caught.value)


def test_a_vault_that_hangs_is_an_outage_and_no_damage(active: Active) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        transit = VaultTransit(VaultClient(address=address, credentials=StaticToken("any")), active)
        for _ in range(2):  # the second time nobody waits for it
            with pytest.raises(Problem) as caught:
                transit.unwrap("vault:v1:AAAA", CONTEXT)
            assert unavailable(caught.value)


def test_a_key_moves_to_another_version_and_stays_the_same(transit: VaultTransit, vault: RunningVault) -> None:
    rotate(vault)
    made = transit.generate(CONTEXT)
    moved = transit.rewrap(made.wrapped, CONTEXT, version=2)
    assert (version_of(made.wrapped), version_of(moved)) == (1, 2)
    assert transit.unwrap(moved, CONTEXT) == made.plaintext
