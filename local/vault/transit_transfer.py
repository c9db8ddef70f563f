"""Keys that come from outside (bring your own key) and, where a key was made so, leave.

Material to import is wrapped twice: by an ephemeral AES key (RFC 5649), and that one for the mount's RSA key (OAEP), as
Vault's key wrapping guide has it.
"""

from collections.abc import Callable
from functools import cached_property

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding

from local.vault.api import Operation, Reply, Request, Route, absent, failed, invalid
from local.vault.fields import boolean, text
from local.vault.transit_admin import KeyAdministration, rotation_period
from local.vault.transit_keys import KEY_TYPES, AesMaterial, Key, decode64

READ, UPDATE = Operation.READ, Operation.UPDATE
_WRAPPED_BYTES = 512
"""What RSA-4096 makes of the ephemeral key."""
_KEY_BYTES = 32
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA224": hashes.SHA224,
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
_EXPORTS = {"encryption-key": "encryption", "signing-key": "signing"}


class KeyTransfer:
    """Import and export of one mount's keys."""

    def __init__(self, administration: KeyAdministration, *, clock: Callable[[], float]) -> None:
        self._administration = administration
        self._clock = clock
        self.routes = (
            Route(path="wrapping_key", operations={READ: self._read_wrapping_key}),
            Route(path="keys/{name}/import", operations={UPDATE: self._import}),
            Route(path="keys/{name}/import_version", operations={UPDATE: self._import_version}),
            Route(path="export/{kind}/{name}", operations={READ: self._export}),
            Route(path="export/{kind}/{name}/{version}", operations={READ: self._export}),
        )

    @cached_property
    def _wrapping_key(self) -> rsa.RSAPrivateKey:
        """Made when it is first wanted: it takes a moment."""
        return rsa.generate_private_key(public_exponent=65537, key_size=8 * _WRAPPED_BYTES)

    def _read_wrapping_key(self, _request: Request) -> Reply:
        public = self._wrapping_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Reply(data={"public_key": public.decode()})

    def _import(self, request: Request) -> None:
        name, data = request.params["name"], request.data
        kind, rotation = text(data, "type", "aes256-gcm96"), rotation_period(data)
        if "convergent_encryption" in data:
            raise failed("import cannot be used on keys with convergent encryption enabled")
        if rotation and not boolean(data, "allow_rotation"):
            raise failed("allow_rotation must be set to true if auto-rotation is enabled")
        if kind not in KEY_TYPES:
            raise invalid(f"unknown key type: {kind}")
        if kind != "aes256-gcm96":
            raise invalid(f"this development server imports keys of type aes256-gcm96 only, not {kind}")
        if name in self._administration.keys:
            raise failed(
                "the import path cannot be used with an existing key; use import-version to rotate an existing "
                "imported key"
            )
        key = Key(
            name=name,
            type=kind,
            derived=boolean(data, "derived"),
            exportable=boolean(data, "exportable"),
            allow_plaintext_backup=boolean(data, "allow_plaintext_backup"),
            auto_rotate_period=rotation,
            imported=True,
            allow_rotation=boolean(data, "allow_rotation"),
        )
        key.add(self._unwrapped(request), self._clock())
        self._administration.keys[name] = key

    def _import_version(self, request: Request) -> None:
        key = self._administration.keys.get(request.params["name"])
        if key is None:
            name = request.params["name"]
            raise failed(f"no key found with name {name}; to import a new key, use the import/ endpoint")
        if not key.imported:
            raise failed("the import_version endpoint can only be used with an imported key")
        if "version" in request.data:
            raise invalid("this development server imports new versions only")
        key.add(self._unwrapped(request), self._clock())

    def _unwrapped(self, request: Request) -> AesMaterial:
        """The key inside ``ciphertext``."""
        data = request.data
        name = text(data, "hash_function", "SHA256").upper()
        if name not in _HASHES:
            raise invalid(f"unknown hash function: {name}")
        if "ciphertext" not in data:
            raise failed("provided type does not support public_key import")
        wrapped = decode64(text(data, "ciphertext"))
        if len(wrapped) <= _WRAPPED_BYTES:
            raise failed("provided ciphertext is too short")
        digest = _HASHES[name]
        scheme = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
        try:
            ephemeral = self._wrapping_key.decrypt(wrapped[:_WRAPPED_BYTES], scheme)
        except ValueError:
            raise failed("crypto/rsa: decryption error") from None
        if len(ephemeral) != _KEY_BYTES:
            raise failed("expected ephemeral AES key to be 256-bit")
        try:
            secret = aes_key_unwrap_with_padding(ephemeral, wrapped[_WRAPPED_BYTES:])
        except InvalidUnwrap:
            raise failed("kwp: unwrap failed") from None
        if len(secret) != _KEY_BYTES:
            raise failed(f"invalid key size {len(secret)} bytes for key type aes256-gcm96")
        return AesMaterial(secret)

    def _export(self, request: Request) -> Reply:
        kind, version = request.params["kind"], request.params.get("version", "")
        if kind not in _EXPORTS:
            raise invalid(f"invalid export type: {kind}")
        key = self._administration.keys.get(request.params["name"])
        if key is None:
            raise absent()
        if not key.exportable:
            raise invalid("private key material is not exportable")
        if not key.shown()[f"supports_{_EXPORTS[kind]}"]:
            raise invalid(f"{_EXPORTS[kind]} not supported for the key")
        wanted = key.live if not version else [_version(key, version)]
        exported = {str(number): key.versions[number][0].exported() for number in wanted}
        return Reply(data={"name": key.name, "type": key.type, "keys": exported})


def _version(key: Key, written: str) -> int:
    number = written.removeprefix("v")
    if number == "latest":
        return key.latest
    if not number.isdecimal():
        raise invalid("invalid key version")
    if int(number) < key.min_decryption_version:
        raise invalid("version for export is below minimum decryption version")
    if int(number) not in key.versions:
        raise invalid("version does not exist or cannot be found")
    return int(number)
