"""A version in Vault: imported, proven, equal in every region, and refused where it is none of ours."""

import base64
import itertools
import os
from typing import Any

import hvac
import pytest
import requests
from hvac.exceptions import InvalidRequest

from anfl.auth.vault import StaticToken, VaultClient
from anfl.crypto.errors import DistributionError, UnknownOutcomeError
from anfl.crypto.transit_key import Held, TransitKey, fingerprint
from tests.unit.auth.conftest import ROOT_TOKEN, RunningVault
from tests.unit.key_distribution.conftest import empty
from tests.unit.key_distribution.regions import REGIONS

TYPE = "aes256-gcm96"
CONTEXT = base64.b64encode(b"demo/glosses").decode()
PLAIN = base64.b64encode(b"a data key").decode()


@pytest.fixture(name="keys")
def _keys(vaults: dict[str, RunningVault]) -> dict[str, TransitKey]:
    for vault in vaults.values():
        empty(vault)
    return {region: TransitKey(vault.client(), key_type=TYPE) for region, vault in vaults.items()}


def drawn() -> bytearray:
    return bytearray(os.urandom(32))


def test_nothing_is_held_before_the_first_import(keys: dict[str, TransitKey]) -> None:
    assert keys[REGIONS[0]].held() == Held(latest=0)


def test_what_one_regions_vault_seals_every_other_opens(
    keys: dict[str, TransitKey], vaults: dict[str, RunningVault]
) -> None:
    secrets = [drawn(), drawn()]
    for key in keys.values():
        for number, secret in enumerate(secrets):
            key.add(secret, first=number == 0)
        assert key.held() == Held(latest=2)

    transits = [hvac.Client(url=vault.address, token=ROOT_TOKEN).secrets.transit for vault in vaults.values()]
    for number, here, there in itertools.product((1, 2), transits, transits):
        sealed = here.encrypt_data("anfl", PLAIN, context=CONTEXT, key_version=number)["data"]["ciphertext"]
        assert there.decrypt_data("anfl", sealed, context=CONTEXT)["data"]["plaintext"] == PLAIN


def test_a_version_is_proven_by_its_own_secret_alone(keys: dict[str, TransitKey]) -> None:
    key, secrets = keys[REGIONS[0]], [drawn(), drawn()]
    for number, secret in enumerate(secrets):
        key.add(secret, first=number == 0)

    assert key.opens(1, secrets[0])
    assert key.opens(2, secrets[1])
    assert not key.opens(1, secrets[1])
    assert not key.opens(2, drawn())
    with pytest.raises(InvalidRequest):
        key.opens(3, secrets[0])


def test_equal_secrets_have_one_fingerprint() -> None:
    secret = drawn()
    assert fingerprint(secret) == fingerprint(bytearray(secret))
    assert fingerprint(secret) != fingerprint(drawn())
    assert bytes(secret).hex()[:32] != fingerprint(secret)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"derived": True}, id="made by Vault"),
        pytest.param({"derived": False}, id="not derived"),
        pytest.param({"derived": True, "exportable": True}, id="exportable"),
    ],
)
def test_a_key_that_was_not_imported_so_is_refused_and_left_alone(
    keys: dict[str, TransitKey], vaults: dict[str, RunningVault], settings: dict[str, bool]
) -> None:
    client = vaults[REGIONS[0]].client()
    client.attempt(lambda vault: vault.secrets.transit.create_key("anfl", **settings))

    with pytest.raises(DistributionError, match=r"It is left alone.*delete it with a root token"):
        keys[REGIONS[0]].held()

    assert client.attempt(lambda vault: vault.secrets.transit.read_key("anfl"))["data"]["latest_version"] == 1


def test_an_imported_key_is_rotated_by_nobody_and_tells_nobody_what_it_is(
    keys: dict[str, TransitKey], vaults: dict[str, RunningVault]
) -> None:
    keys[REGIONS[0]].add(drawn(), first=True)
    transit = hvac.Client(url=vaults[REGIONS[0]].address, token=ROOT_TOKEN).secrets.transit

    with pytest.raises(hvac.exceptions.VaultError, match="does not allow rotation"):
        transit.rotate_key("anfl")
    with pytest.raises(InvalidRequest, match="not exportable"):
        transit.export_key("anfl", "encryption-key")


@pytest.mark.parametrize("error", [requests.ReadTimeout("no answer"), hvac.exceptions.InternalServerError("500")])
def test_an_import_without_an_answer_is_not_repeated(
    vaults: dict[str, RunningVault], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    empty(vaults[REGIONS[0]])
    vault = VaultClient(address=vaults[REGIONS[0]].address, credentials=StaticToken(ROOT_TOKEN))
    key = TransitKey(vault, key_type=TYPE)
    sent = []
    post = hvac.adapters.RawAdapter.post

    def lose(adapter: Any, url: str, **given: Any) -> Any:
        sent.append(url)
        post(adapter, url, **given)
        raise error

    monkeypatch.setattr(hvac.adapters.JSONAdapter, "post", lose)
    with pytest.raises(UnknownOutcomeError):
        key.add(drawn(), first=True)

    assert sent == ["/v1/transit/keys/anfl/import"]
    monkeypatch.undo()
    assert key.held() == Held(latest=1)


def test_a_refused_import_is_known_not_to_have_been_done(
    keys: dict[str, TransitKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_adapter: Any, _url: str, **_given: Any) -> Any:
        raise InvalidRequest("no")

    monkeypatch.setattr(hvac.adapters.JSONAdapter, "post", refuse)
    with pytest.raises(InvalidRequest):
        keys[REGIONS[0]].add(drawn(), first=True)
