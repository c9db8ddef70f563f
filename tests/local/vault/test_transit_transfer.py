"""Keys that are brought along, and what happens to the versions of any key: import, export, trim."""

import base64
import os
import threading
from collections.abc import Iterator
from typing import Any

import hvac
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hvac.exceptions import InternalServerError, InvalidPath, InvalidRequest

from local.vault.build import build_open
from local.vault.http import serve

ROOT_TOKEN = "root-of-this-test"
SECRET = bytes(range(32))
NAMES = iter(f"k{number}" for number in range(1000))


def encoded(given: bytes) -> str:
    return base64.b64encode(given).decode()


@pytest.fixture(scope="module", name="client")
def _client() -> Iterator[hvac.Client]:
    """One server for all: making its wrapping key takes a moment."""
    server = serve(build_open(root_token=ROOT_TOKEN))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    client = hvac.Client(url=f"http://127.0.0.1:{server.server_address[1]}", token=ROOT_TOKEN)
    client.sys.enable_secrets_engine("transit")
    yield client
    server.shutdown()
    server.server_close()


@pytest.fixture(name="transit")
def _transit(client: hvac.Client) -> Any:
    return client.secrets.transit


@pytest.fixture(name="key")
def _key() -> str:
    return next(NAMES)


def wrapped(
    client: hvac.Client, secret: bytes, *, digest: hashes.HashAlgorithm | None = None, ephemeral: int = 32
) -> str:
    """As Vault's key wrapping guide has it: OAEP for the ephemeral key, KWP for the secret."""
    digest = digest or hashes.SHA256()
    public = load_pem_public_key(client.adapter.get("/v1/transit/wrapping_key")["data"]["public_key"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 4096
    once = os.urandom(ephemeral)
    scheme = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
    return encoded(public.encrypt(once, scheme) + aes_key_wrap_with_padding(once, secret))


def bring(client: hvac.Client, key: str, ciphertext: str, *, path: str = "import", **fields: Any) -> Any:
    return client.adapter.post(f"/v1/transit/keys/{key}/{path}", json={"ciphertext": ciphertext} | fields)


def opened(sealed: str, secret: bytes, context: bytes) -> bytes:
    """A ciphertext of a derived key, opened without Vault."""
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=context).derive(secret)
    raw = base64.b64decode(sealed.rpartition(":")[2])
    return AESGCM(derived).decrypt(raw[:12], raw[12:], b"")


def test_an_imported_key_is_the_secret_that_was_brought(client: hvac.Client, transit: Any, key: str) -> None:
    assert bring(client, key, wrapped(client, SECRET), derived=True).status_code == 204

    shown = transit.read_key(key)["data"]
    assert (shown["imported_key"], shown["imported_key_allow_rotation"], shown["derived"]) == (True, False, True)
    assert (shown["exportable"], shown["latest_version"]) == (False, 1)
    sealed = transit.encrypt_data(key, encoded(b"x"), context=encoded(b"tenant-a"))["data"]["ciphertext"]
    assert opened(sealed, SECRET, b"tenant-a") == b"x"


def test_every_region_that_imports_the_same_versions_opens_the_others_ciphertexts(
    client: hvac.Client, transit: Any
) -> None:
    one, other = next(NAMES), next(NAMES)
    second = os.urandom(32)
    for key in (one, other):
        bring(client, key, wrapped(client, SECRET), derived=True)
        bring(client, key, wrapped(client, second), path="import_version")
    for version in (1, 2):
        sealed = transit.encrypt_data(one, encoded(b"x"), context=encoded(b"c"), key_version=version)["data"]
        assert sealed["key_version"] == version
        found = transit.decrypt_data(other, sealed["ciphertext"], context=encoded(b"c"))["data"]["plaintext"]
        assert found == encoded(b"x")


@pytest.mark.parametrize("name", ["SHA1", "SHA224", "SHA256", "SHA384", "sha512"])
def test_the_hash_of_the_wrapping_is_the_callers_choice(client: hvac.Client, key: str, name: str) -> None:
    ciphertext = wrapped(client, SECRET, digest=getattr(hashes, name.upper())())

    assert bring(client, key, ciphertext, hash_function=name).status_code == 204


def test_an_imported_key_rotates_by_import_only_unless_it_was_allowed(
    client: hvac.Client, transit: Any, key: str
) -> None:
    bring(client, key, wrapped(client, SECRET))
    with pytest.raises(InternalServerError, match="does not allow rotation"):
        transit.rotate_key(key)

    free = next(NAMES)
    bring(client, free, wrapped(client, SECRET), allow_rotation=True)
    assert transit.rotate_key(free)["data"]["latest_version"] == 2


def test_what_cannot_be_imported(client: hvac.Client, transit: Any, key: str) -> None:
    good = wrapped(client, SECRET)
    for ciphertext, fields, reason in (
        (good, {"hash_function": "MD5"}, "unknown hash function"),
        (good, {"hash_function": "SHA1"}, "decryption error"),
        (good, {"type": "rsa-4096"}, "unknown key type"),
        (good, {"convergent_encryption": True}, "convergent"),
        (good, {"auto_rotate_period": "24h"}, "allow_rotation must be set"),
        (encoded(b"short"), {}, "too short"),
        (good[:-8] + "AAAAAAA=", {}, "unwrap failed"),
        (wrapped(client, SECRET[:16]), {}, "invalid key size"),
        (wrapped(client, SECRET, ephemeral=16), {}, "256-bit"),
        ("?", {}, "illegal base64"),
    ):
        with pytest.raises((InternalServerError, InvalidRequest), match=reason):
            bring(client, key, ciphertext, **fields)
    with pytest.raises(InvalidPath):
        transit.read_key(key)

    transit.create_key(key)
    with pytest.raises(InternalServerError, match="existing key"):
        bring(client, key, good)
    with pytest.raises(InternalServerError, match="only be used with an imported key"):
        bring(client, key, good, path="import_version")
    with pytest.raises(InternalServerError, match="no key found"):
        bring(client, next(NAMES), good, path="import_version")
    assert transit.read_key(key)["data"]["latest_version"] == 1


def test_material_leaves_only_where_the_key_was_made_so(client: hvac.Client, transit: Any, key: str) -> None:
    transit.create_key(key)
    with pytest.raises(InvalidRequest, match="not exportable"):
        transit.export_key(key, key_type="encryption-key")
    with pytest.raises(InvalidPath):
        transit.export_key("nobody", key_type="encryption-key")

    transit.update_key_configuration(key, exportable=True)
    transit.update_key_configuration(key, exportable=False)
    assert transit.read_key(key)["data"]["exportable"] is True, "once set, it stays"

    out = next(NAMES)
    bring(client, out, wrapped(client, SECRET), exportable=True)
    bring(client, out, wrapped(client, SECRET[::-1]), path="import_version")
    assert transit.export_key(out, key_type="encryption-key")["data"] == {
        "name": out,
        "type": "aes256-gcm96",
        "keys": {"1": encoded(SECRET), "2": encoded(SECRET[::-1])},
    }
    assert transit.export_key(out, key_type="encryption-key", version="latest")["data"]["keys"].keys() == {"2"}
    with pytest.raises(InvalidRequest, match="signing not supported"):
        transit.export_key(out, key_type="signing-key")
    with pytest.raises(InvalidRequest, match="does not exist"):
        transit.export_key(out, key_type="encryption-key", version="9")


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_an_exported_signing_key_is_the_one_that_signs(transit: Any, key: str, key_type: str) -> None:
    transit.create_key(key, key_type=key_type, exportable=True)
    exported = transit.export_key(key, key_type="signing-key")["data"]["keys"]["1"]
    public = transit.read_key(key)["data"]["keys"]["1"]["public_key"]

    if key_type == "ed25519":
        assert base64.b64decode(exported)[32:] == base64.b64decode(public)
    else:
        private = load_pem_private_key(exported.encode(), None)
        assert isinstance(private, EllipticCurvePrivateKey)
        assert private.public_key() == load_pem_public_key(public.encode())


def test_trimmed_versions_are_gone_for_good(transit: Any, key: str) -> None:
    transit.create_key(key)
    old = transit.encrypt_data(key, encoded(b"x"))["data"]["ciphertext"]
    for _ in range(3):
        transit.rotate_key(key)
    with pytest.raises(InvalidRequest, match="minimum encryption version is not set"):
        transit.trim_key(key, min_version=1)
    transit.update_key_configuration(key, min_decryption_version=3, min_encryption_version=4)

    for least, reason in (
        (4, "greater than minimum decryption"),
        (5, "greater than minmum encryption"),
        (0, "positive"),
    ):
        with pytest.raises(InvalidRequest, match=reason):
            transit.trim_key(key, min_version=least)
    assert transit.trim_key(key, min_version=3)["data"]["min_available_version"] == 3

    assert sorted(transit.read_key(key)["data"]["keys"]) == ["3", "4"]
    assert transit.read_key(key)["data"]["latest_version"] == 4
    with pytest.raises(InvalidRequest, match="should not be less then min available"):
        transit.update_key_configuration(key, min_decryption_version=1)
    with pytest.raises(InvalidRequest, match="cannot be decremented"):
        transit.trim_key(key, min_version=2)
    with pytest.raises(InvalidRequest, match="too old"):
        transit.decrypt_data(key, old)
    assert transit.encrypt_data(key, encoded(b"x"))["data"]["key_version"] == 4


def test_rewrap_moves_a_batch_to_the_version_that_is_named(client: hvac.Client, transit: Any, key: str) -> None:
    transit.create_key(key, derived=True)
    context = encoded(b"tenant-a/glosses")
    items = [{"plaintext": encoded(bytes([n])), "context": context} for n in range(3)]
    old = transit.encrypt_data(key, batch_input=items)["data"]["batch_results"]
    for _ in range(2):
        transit.rotate_key(key)

    again = [{"ciphertext": one["ciphertext"], "context": context, "key_version": 2} for one in old]
    new = client.adapter.post(f"/v1/transit/rewrap/{key}", json={"batch_input": again})["data"]["batch_results"]

    assert [one["key_version"] for one in new] == [2, 2, 2]
    back = [{"ciphertext": one["ciphertext"], "context": context} for one in new]
    found = transit.decrypt_data(key, batch_input=back)["data"]["batch_results"]
    assert [one["plaintext"] for one in found] == [item["plaintext"] for item in items]
    with pytest.raises(InvalidRequest, match="message authentication failed"):
        transit.rewrap_data(key, old[0]["ciphertext"], context=encoded(b"tenant-b/glosses"))


def test_a_data_key_is_bound_to_context_and_version(client: hvac.Client, transit: Any, key: str) -> None:
    transit.create_key(key, derived=True)
    transit.rotate_key(key)
    context = encoded(b"tenant-a/glosses")
    made = client.adapter.post(f"/v1/transit/datakey/plaintext/{key}", json={"context": context, "key_version": 1})
    data = made["data"]

    assert data["key_version"] == 1
    assert transit.decrypt_data(key, data["ciphertext"], context=context)["data"]["plaintext"] == data["plaintext"]
    with pytest.raises(InvalidRequest, match="missing 'context'"):
        transit.generate_data_key(key, key_type="plaintext")
    transit.update_key_configuration(key, min_encryption_version=2)
    with pytest.raises(InvalidRequest, match="less than the minimum encryption key version"):
        client.adapter.post(f"/v1/transit/datakey/plaintext/{key}", json={"context": context, "key_version": 1})


def test_a_response_to_be_wrapped_is_refused_rather_than_told(client: hvac.Client) -> None:
    with pytest.raises(InvalidRequest, match="wraps no responses"):
        client.auth.token.create(wrap_ttl="1m")
