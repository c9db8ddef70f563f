"""Key material of the transit engine: versions, derivation, and the primitives of each key type."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from local.vault.api import invalid
from local.vault.tokens import timestamp

HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha2-224": hashes.SHA224,
    "sha2-256": hashes.SHA256,
    "sha2-384": hashes.SHA384,
    "sha2-512": hashes.SHA512,
    "sha3-224": hashes.SHA3_224,
    "sha3-256": hashes.SHA3_256,
    "sha3-384": hashes.SHA3_384,
    "sha3-512": hashes.SHA3_512,
}
_NONCE = 12
_TAG = 16


@dataclass(frozen=True)
class AesMaterial:
    """32 bytes of AES-256-GCM, or the secret from which one key per context is derived."""

    secret: bytes

    def shown(self, created: int) -> Any:  # noqa: ANN401 - JSON
        """As a key's read shows this version."""
        return created

    def exported(self) -> str:
        """The secret itself, as base64."""
        return base64.b64encode(self.secret).decode()

    def encrypt(self, plaintext: bytes, *, derived: bool, convergent: bool, context: bytes, aad: bytes) -> bytes:
        """Nonce, ciphertext and tag."""
        key, nonce_key = self._derive(context, convergent=convergent) if derived else (self.secret, b"")
        if convergent:
            mac = HMAC(nonce_key, hashes.SHA256())
            mac.update(plaintext)
            nonce = mac.finalize()[:_NONCE]
        else:
            nonce = os.urandom(_NONCE)
        return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)

    def decrypt(self, sealed: bytes, *, derived: bool, convergent: bool, context: bytes, aad: bytes) -> bytes:
        """The plaintext.

        :raises VaultError: 400 where the ciphertext, its associated data or context is not what was sealed.
        """
        if len(sealed) < _NONCE + _TAG:
            raise invalid("invalid ciphertext length")
        key = self._derive(context, convergent=convergent)[0] if derived else self.secret
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], aad)
        except InvalidTag:
            raise invalid("cipher: message authentication failed") from None

    def _derive(self, context: bytes, *, convergent: bool) -> tuple[bytes, bytes]:
        length = 64 if convergent else 32
        stream = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=context).derive(self.secret)
        return stream[:32], stream[32:]


@dataclass(frozen=True)
class EcMaterial:
    """A P-256 key pair."""

    key: ec.EllipticCurvePrivateKey

    def shown(self, created: int) -> Any:  # noqa: ANN401 - JSON
        """As a key's read shows this version."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"creation_time": timestamp(created), "name": "P-256", "public_key": public.decode()}

    def exported(self) -> str:
        """The private key as PEM (SEC 1)."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode()

    def sign(self, message: bytes, *, algorithm: str, prehashed: bool, jws: bool) -> str:
        """The signature as text: base64 of ASN.1, or for JWS base64url of r and s."""
        signature = self.key.sign(message, self._scheme(algorithm, prehashed=prehashed))
        if not jws:
            return base64.b64encode(signature).decode()
        r, s = decode_dss_signature(signature)
        return base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()

    def verify(self, message: bytes, signature: str, *, algorithm: str, prehashed: bool, jws: bool) -> bool:
        """Whether ``signature`` is one of ``message``."""
        raw = decode64(signature, urlsafe=jws)
        if jws:
            if len(raw) != 64:
                return False
            raw = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        try:
            self.key.public_key().verify(raw, message, self._scheme(algorithm, prehashed=prehashed))
        except (InvalidSignature, ValueError):
            return False
        return True

    @staticmethod
    def _scheme(algorithm: str, *, prehashed: bool) -> ec.ECDSA:
        digest = HASHES[algorithm]()
        return ec.ECDSA(Prehashed(digest) if prehashed else digest)


@dataclass(frozen=True)
class EdMaterial:
    """An Ed25519 key pair."""

    key: ed25519.Ed25519PrivateKey

    def shown(self, created: int) -> Any:  # noqa: ANN401 - JSON
        """As a key's read shows this version."""
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        return {"creation_time": timestamp(created), "name": "ed25519", "public_key": public}

    def exported(self) -> str:
        """Seed and public key (RFC 8032), as base64."""
        seed, public = self.key.private_bytes_raw(), self.key.public_key().public_bytes_raw()
        return base64.b64encode(seed + public).decode()

    def sign(self, message: bytes, *, algorithm: str, prehashed: bool, jws: bool) -> str:  # noqa: ARG002 - one interface
        """The signature as base64."""
        return base64.b64encode(self.key.sign(message)).decode()

    def verify(self, message: bytes, signature: str, *, algorithm: str, prehashed: bool, jws: bool) -> bool:  # noqa: ARG002
        """Whether ``signature`` is one of ``message``."""
        try:
            self.key.public_key().verify(decode64(signature), message)
        except InvalidSignature:
            return False
        return True


Signer = EcMaterial | EdMaterial
_NEW: dict[str, Callable[[], "AesMaterial | Signer"]] = {
    "aes256-gcm96": lambda: AesMaterial(os.urandom(32)),
    "ecdsa-p256": lambda: EcMaterial(ec.generate_private_key(ec.SECP256R1())),
    "ed25519": lambda: EdMaterial(ed25519.Ed25519PrivateKey.generate()),
}
KEY_TYPES = frozenset(_NEW)


@dataclass(kw_only=True)
class Key:
    """A named key with all its versions."""

    name: str
    type: str
    derived: bool = False
    convergent: bool = False
    exportable: bool = False
    allow_plaintext_backup: bool = False
    deletion_allowed: bool = False
    auto_rotate_period: int = 0
    imported: bool = False
    allow_rotation: bool = False
    """Whether an imported key may have versions that were not imported."""
    min_available_version: int = 0
    """Versions below it were deleted for good; 0: none."""
    min_decryption_version: int = 1
    min_encryption_version: int = 0
    versions: "dict[int, tuple[AesMaterial | Signer, int]]" = field(default_factory=dict)
    """Material and time of creation."""

    @property
    def latest(self) -> int:
        """The newest version."""
        return max(self.versions, default=0)

    @property
    def live(self) -> "dict[int, tuple[AesMaterial | Signer, int]]":
        """The versions that may be used; those below ``min_decryption_version`` are archived."""
        return {version: held for version, held in self.versions.items() if version >= self.min_decryption_version}

    def rotate(self, now: float) -> None:
        """Add a version of new material."""
        self.add(_NEW[self.type](), now)

    def add(self, material: "AesMaterial | Signer", now: float) -> None:
        """Add a version of this material."""
        self.versions[self.latest + 1] = (material, int(now))

    def trim(self, least: int) -> None:
        """Delete every version below ``least`` for good.

        :raises VaultError: 400 where one of them may still be used, or ``least`` is no version.
        """
        refusals = (
            (least < self.min_available_version, "cannot be decremented"),
            (self.min_encryption_version == 0, "cannot be set when minimum encryption version is not set"),
            (least > self.min_encryption_version, "cannot be greater than minmum encryption version"),
            (least > self.min_decryption_version, "cannot be greater than minimum decryption version"),
            (least < 0, "cannot be negative"),
            (least == 0, "should be positive"),
        )
        reason = next((text for refused, text in refusals if refused), None)
        if reason:
            raise invalid(f"minimum available version {reason}")
        self.min_available_version = least
        self.versions = {version: held for version, held in self.versions.items() if version >= least}

    def encryption_version(self, wanted: int) -> int:
        """The version to encrypt or sign with; 0 wants the latest.

        :raises VaultError: 400 outside what the key allows.
        """
        if wanted < 0:
            raise invalid("requested version for encryption is negative")
        if wanted > self.latest:
            raise invalid("requested version for encryption is higher than the latest key version")
        if 0 < wanted < max(self.min_encryption_version, self.min_decryption_version):
            raise invalid("requested version for encryption is less than the minimum encryption key version")
        return wanted or self.latest

    def split(self, text: str, *, kind: str) -> tuple[int, str]:
        """Version and payload of ``vault:v<N>:<payload>``; ``kind`` names it in errors.

        :raises VaultError: 400 where it is malformed or the version must not be used (any more).
        """
        if not text.startswith("vault:v"):
            raise invalid(f"invalid {kind}: no prefix")
        number, separator, payload = text.removeprefix("vault:v").partition(":")
        if not separator:
            raise invalid(f"invalid {kind}: wrong number of fields")
        if not number.isdecimal():
            raise invalid(f"invalid {kind}: version number could not be decoded")
        version = int(number) or 1
        if version > self.latest:
            raise invalid(f"invalid {kind}: version is too new")
        if version < self.min_decryption_version:
            raise invalid("ciphertext or signature version is disallowed by policy (too old)")
        return version, payload

    def aes(self, version: int) -> AesMaterial:
        """Material for encryption."""
        material = self.versions[version][0]
        if not isinstance(material, AesMaterial):
            raise invalid(f"message encryption not supported for key type {self.type}")
        return material

    def signer(self, version: int) -> Signer:
        """Material for signatures."""
        material = self.versions[version][0]
        if isinstance(material, AesMaterial):
            raise invalid(f"key type {self.type} does not support signing")
        return material

    def shown(self) -> dict[str, Any]:
        """As a read shows it."""
        symmetric = self.type == "aes256-gcm96"
        shown = {
            "name": self.name,
            "type": self.type,
            "derived": self.derived,
            "deletion_allowed": self.deletion_allowed,
            "exportable": self.exportable,
            "allow_plaintext_backup": self.allow_plaintext_backup,
            "keys": {str(version): material.shown(created) for version, (material, created) in self.live.items()},
            "min_available_version": self.min_available_version,
            "min_decryption_version": self.min_decryption_version,
            "min_encryption_version": self.min_encryption_version,
            "latest_version": self.latest,
            "supports_encryption": symmetric,
            "supports_decryption": symmetric,
            "supports_derivation": symmetric or self.type == "ed25519",
            "supports_signing": not symmetric,
            "auto_rotate_period": self.auto_rotate_period,
            "imported_key": self.imported,
        }
        if self.imported:
            shown["imported_key_allow_rotation"] = self.allow_rotation
        if self.derived:
            shown |= {"kdf": "hkdf_sha256", "kdf_mode": "hkdf_sha256", "convergent_encryption": self.convergent}
        return shown


def decode64(text: str, *, urlsafe: bool = False) -> bytes:
    """Bytes of base64.

    :raises VaultError: 400 where it is not.
    """
    try:
        if urlsafe:
            return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return base64.b64decode(text, validate=True)
    except ValueError:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
        position = next((i for i, character in enumerate(text) if character not in alphabet), len(text))
        raise invalid(f"illegal base64 data at input byte {position}") from None
