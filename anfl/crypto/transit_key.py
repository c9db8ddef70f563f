"""Transit's key ``anfl`` in one region's Vault: imported version by version (BYOK), never made or rotated there.

Vault numbers versions by itself, so they are imported in order, and a number says which one it is only as long as
nobody else adds any: an imported key that does not allow rotation cannot be rotated by hand.
https://developer.hashicorp.com/vault/docs/secrets/transit/key-wrapping-guide
"""

import base64
import os
from collections.abc import Mapping

import hvac
import msgspec
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError

from anfl.auth.names import DATA_KEY
from anfl.auth.vault import VaultClient
from anfl.crypto.errors import DistributionError, UnknownOutcomeError

_PROOF = b"anfl: proof of a wrapping key"
"""Context and plaintext of what is sealed to prove a key; no tenant's context is like it."""
_NONCE_BYTES = 12
_RUNBOOK = "docs/security_architecture.md, 'Wrapping keys'"
_SHAPE: Mapping[str, object] = {
    "derived": True,
    "exportable": False,
    "allow_plaintext_backup": False,
    "imported_key": True,
    "imported_key_allow_rotation": False,
}


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions a Vault holds: 1 up to ``latest``; those below ``least`` open nothing any more."""

    latest: int
    least: int = 1


class TransitKey:
    """One region's. Raises Problem 503 where Vault is away, hvac's exceptions where it refuses."""

    def __init__(self, vault: VaultClient, *, key_type: str) -> None:
        """:param key_type: Transit's name for the kind of key."""
        self._vault = vault
        self._type = key_type

    def held(self) -> Held:
        """What is there.

        :raises DistributionError: a key of that name which no import has made.
        """
        try:
            found = self._vault.attempt(lambda client: client.secrets.transit.read_key(DATA_KEY))["data"]
        except InvalidPath:
            return Held(latest=0)
        wanted = {"type": self._type, **_SHAPE}
        wrong = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
        if wrong:
            raise DistributionError(
                f"Vault's transit key {DATA_KEY} was not imported as it should be: {wrong}. It is left alone, because "
                f"it may have sealed something; if it has not, delete it with a root token ({_RUNBOOK})"
            )
        return Held(latest=int(found["latest_version"]), least=int(found["min_decryption_version"]))

    def add(self, secret: bytearray, *, first: bool) -> None:
        """Import ``secret`` as the next version, asking once: a second import would be another version.

        :raises UnknownOutcomeError: Vault did not answer.
        """
        wrapped = self._wrapped(secret)
        path = f"/v1/transit/keys/{DATA_KEY}/" + ("import" if first else "import_version")
        body: dict[str, object] = {"ciphertext": wrapped, "hash_function": "SHA256"}
        if first:
            body |= {name: _SHAPE[name] for name in ("derived", "exportable", "allow_plaintext_backup")}
            body |= {"type": self._type, "allow_rotation": False}

        def send(client: hvac.Client) -> None:
            try:
                client.adapter.post(path, json=body)
            except (Forbidden, InvalidPath, InvalidRequest):  # it was refused, so nothing was done
                raise
            except (requests.RequestException, VaultError) as error:
                raise UnknownOutcomeError(f"Vault did not answer an import: {error!r}") from error

        self._vault.attempt(send)

    def opens(self, number: int, secret: bytearray) -> bool:
        """Whether version ``number`` is ``secret``: Vault opens what only who has it can have sealed."""
        sealed = _sealed(number, secret)

        def open_(client: hvac.Client) -> str:
            answer = client.secrets.transit.decrypt_data(
                DATA_KEY, ciphertext=sealed, context=base64.b64encode(_PROOF).decode()
            )
            return str(answer["data"]["plaintext"])

        try:
            return base64.b64decode(self._vault.attempt(open_)) == _PROOF
        except InvalidRequest as error:
            if "authentication failed" in str(error):
                return False
            raise

    def _wrapped(self, secret: bytearray) -> str:
        """As Vault unwraps it: an ephemeral AES key for Vault's RSA key (OAEP), then ``secret`` under it (RFC 5649)."""
        pem = self._vault.attempt(lambda client: client.adapter.get("/v1/transit/wrapping_key"))["data"]["public_key"]
        public = load_pem_public_key(pem.encode())
        if not isinstance(public, RSAPublicKey):
            raise DistributionError("Vault's wrapping key for imports is no RSA key")
        ephemeral = os.urandom(32)
        digest = hashes.SHA256()
        oaep = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
        wrapped = public.encrypt(ephemeral, oaep) + aes_key_wrap_with_padding(ephemeral, bytes(secret))
        return base64.b64encode(wrapped).decode()


def fingerprint(secret: bytearray) -> str:
    """Tells equal keys from others, and nothing else about them: 32 random bytes cannot be guessed."""
    return (
        HKDF(algorithm=hashes.SHA256(), length=16, salt=None, info=_PROOF + b": fingerprint")
        .derive(bytes(secret))
        .hex()
    )


def _sealed(number: int, secret: bytearray) -> str:
    """What Vault would make of `_PROOF` under a derived key: HKDF-SHA256 by context, AES-256-GCM, nonce first."""
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_PROOF).derive(bytes(secret))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = base64.b64encode(nonce + AESGCM(derived).encrypt(nonce, _PROOF, b"")).decode()
    return f"vault:v{number}:{sealed}"
