"""The transit engine: encryption and signatures with keys that never leave it."""

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

from local.vault.api import Backend, Operation, Reply, Request, Route, VaultError, absent, invalid
from local.vault.fields import Data, boolean, integer, seconds, text
from local.vault.transit_keys import HASHES, KEY_TYPES, Key, decode64

READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
_HOUR = 3600


class TransitBackend(Backend):
    """One transit mount."""

    type_name = "transit"

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._disable_upsert = False
        self.routes = (
            Route(path="keys", operations={LIST: self._list}),
            Route(path="keys/", operations={LIST: self._list}),
            Route(path="keys/{name}", operations={READ: self._read, UPDATE: self._create, DELETE: self._delete}),
            Route(path="keys/{name}/config", operations={UPDATE: self._configure}),
            Route(path="keys/{name}/rotate", operations={UPDATE: self._rotate}),
            Route(path="config/keys", operations={READ: self._read_config, UPDATE: self._write_config}),
            Route(path="encrypt/{name}", operations={UPDATE: self._encrypt}, exists=self._exists),
            Route(path="decrypt/{name}", operations={UPDATE: self._decrypt}),
            Route(path="rewrap/{name}", operations={UPDATE: self._rewrap}),
            Route(path="datakey/{kind}/{name}", operations={UPDATE: self._data_key}),
            Route(path="sign/{name}", operations={UPDATE: self._sign}),
            Route(path="sign/{name}/{hash}", operations={UPDATE: self._sign}),
            Route(path="verify/{name}", operations={UPDATE: self._verify}),
            Route(path="verify/{name}/{hash}", operations={UPDATE: self._verify}),
        )

    # keys

    def _exists(self, request: Request) -> bool:
        return request.params["name"] in self._keys

    def _key(self, request: Request, message: str = "encryption key not found") -> Key:
        key = self._keys.get(request.params["name"])
        if key is None:
            raise invalid(message)
        return key

    def _list(self, _request: Request) -> Reply:
        if not self._keys:
            raise absent()
        return Reply(data={"keys": sorted(self._keys)})

    def _read(self, request: Request) -> Reply:
        key = self._keys.get(request.params["name"])
        if key is None:
            raise absent()
        return Reply(data=key.shown())

    def _create(self, request: Request) -> Reply:
        name, data = request.params["name"], request.data
        if name in self._keys:
            return Reply(data=self._keys[name].shown(), warnings=(f"key {name} already existed",))
        return Reply(data=self._new(name, data).shown())

    def _new(self, name: str, data: Data) -> Key:
        kind = text(data, "type", "aes256-gcm96")
        if kind not in KEY_TYPES:
            raise invalid(f"unknown key type {kind}")
        derived, convergent = boolean(data, "derived"), boolean(data, "convergent_encryption")
        if convergent and not derived:
            raise invalid("convergent encryption requires derivation to be enabled")
        if derived and kind == "ecdsa-p256":
            raise invalid(f"key derivation and convergent encryption not supported for keys of type {kind}")
        key = Key(
            name=name,
            type=kind,
            derived=derived,
            convergent=convergent,
            exportable=boolean(data, "exportable"),
            allow_plaintext_backup=boolean(data, "allow_plaintext_backup"),
            auto_rotate_period=_rotation(data),
        )
        key.rotate(self._clock())
        self._keys[name] = key
        return key

    def _delete(self, request: Request) -> None:
        name = request.params["name"]
        key = self._keys.get(name)
        if key is None:
            raise invalid(f"error deleting policy {name}: could not delete key; not found")
        if not key.deletion_allowed:
            raise invalid(f"error deleting policy {name}: deletion is not allowed for this key")
        del self._keys[name]

    def _configure(self, request: Request) -> Reply:
        data = request.data
        key = self._key(request, f"no existing key named {request.params['name']} could be found")
        warnings = []
        decryption = integer(data, "min_decryption_version", key.min_decryption_version)
        if decryption == 0:
            decryption = 1
            warnings.append("since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1")
        encryption = integer(data, "min_encryption_version", key.min_encryption_version)
        if not 0 < decryption <= key.latest:
            raise invalid(f"cannot set min decryption version of {decryption}, latest key version is {key.latest}")
        if not 0 <= encryption <= key.latest:
            raise invalid(f"cannot set min encryption version of {encryption}, latest key version is {key.latest}")
        if 0 < encryption < decryption:
            raise invalid(
                f"cannot set min encryption/decryption values; min encryption version of {encryption} "
                f"must be greater than or equal to min decryption version of {decryption}"
            )
        rotation = _rotation(data) if "auto_rotate_period" in data else key.auto_rotate_period
        key.min_decryption_version, key.min_encryption_version = decryption, encryption
        key.deletion_allowed = boolean(data, "deletion_allowed", key.deletion_allowed)
        key.exportable = key.exportable or boolean(data, "exportable")
        key.allow_plaintext_backup = key.allow_plaintext_backup or boolean(data, "allow_plaintext_backup")
        key.auto_rotate_period = rotation
        return Reply(data=key.shown(), warnings=tuple(warnings))

    def _rotate(self, request: Request) -> Reply:
        key = self._key(request, "key not found")
        key.rotate(self._clock())
        return Reply(data=key.shown())

    def _read_config(self, _request: Request) -> Reply:
        return Reply(data={"disable_upsert": self._disable_upsert})

    def _write_config(self, request: Request) -> Reply:
        self._disable_upsert = boolean(request.data, "disable_upsert")
        return Reply(data={"disable_upsert": self._disable_upsert})

    # encryption

    def _encrypt(self, request: Request) -> Reply:
        _check_items(request.data, "plaintext")
        key = self._keys.get(request.params["name"])
        if key is None:
            if self._disable_upsert:
                raise invalid("encryption key not found")
            # The policy check has required `create` here; a context asks for a derived key.
            derived = any(text(item, "context") for item in _items(request.data))
            key = self._new(request.params["name"], {"derived": derived, **request.data})

        def one(item: Data) -> dict[str, Any]:
            if item.get("plaintext") is None:
                raise invalid("missing plaintext to encrypt")
            return _sealed(key, decode64(text(item, "plaintext")), item)

        return _batch(request.data, one)

    def _decrypt(self, request: Request) -> Reply:
        _check_items(request.data, "ciphertext")
        key = self._key(request)
        return _batch(
            request.data,
            lambda item: {"plaintext": base64.b64encode(_opened(key, item)).decode()},
            on_error={"plaintext": ""},
        )

    def _rewrap(self, request: Request) -> Reply:
        _check_items(request.data, "ciphertext")
        key = self._key(request)
        return _batch(request.data, lambda item: _sealed(key, _opened(key, item), item), status=200)

    def _data_key(self, request: Request) -> Reply:
        kind, data = request.params["kind"], request.data
        if kind not in {"plaintext", "wrapped"}:
            raise invalid("Invalid path, must be 'plaintext' or 'wrapped'")
        key = self._key(request)
        bits = integer(data, "bits", 256)
        if bits not in {128, 256, 512}:
            raise invalid("invalid bit length")
        drawn = os.urandom(bits // 8)
        sealed = _sealed(key, drawn, data)
        shown = {"plaintext": base64.b64encode(drawn).decode()} if kind == "plaintext" else {}
        return Reply(data=sealed | shown)

    # signatures

    def _sign(self, request: Request) -> Reply:
        _check_items(request.data, "input")
        key = self._key(request, "signing key not found")
        algorithm, jws, prehashed = _scheme(request)

        def one(item: Data) -> dict[str, Any]:
            if item.get("input") is None:
                raise invalid("missing input")
            version = key.encryption_version(integer(request.data, "key_version"))
            signature = key.signer(version).sign(
                decode64(text(item, "input")), algorithm=algorithm, prehashed=prehashed, jws=jws
            )
            return {"signature": f"vault:v{version}:{signature}", "key_version": version}

        return _batch(request.data, one)

    def _verify(self, request: Request) -> Reply:
        _check_items(request.data, "signature")
        key = self._key(request, "signature verification key not found")
        algorithm, jws, prehashed = _scheme(request)

        def one(item: Data) -> dict[str, Any]:
            version, signature = key.split(text(item, "signature"), kind="signature")
            valid = key.signer(version).verify(
                decode64(text(item, "input")), signature, algorithm=algorithm, prehashed=prehashed, jws=jws
            )
            return {"valid": valid}

        return _batch(request.data, one)


def _sealed(key: Key, plaintext: bytes, item: Data) -> dict[str, Any]:
    version = key.encryption_version(integer(item, "key_version"))
    sealed = key.aes(version).encrypt(
        plaintext, derived=key.derived, convergent=key.convergent, context=_context(key, item), aad=_associated(item)
    )
    return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}


def _opened(key: Key, item: Data) -> bytes:
    ciphertext = text(item, "ciphertext")
    if not ciphertext:
        raise invalid("missing ciphertext to decrypt")
    version, payload = key.split(ciphertext, kind="ciphertext")
    try:
        sealed = decode64(payload)
    except VaultError:
        raise invalid("invalid ciphertext: could not decode base64") from None
    return key.aes(version).decrypt(
        sealed, derived=key.derived, convergent=key.convergent, context=_context(key, item), aad=_associated(item)
    )


def _context(key: Key, item: Data) -> bytes:
    context = decode64(text(item, "context"))
    if key.derived and not context:
        raise invalid(
            "missing 'context' for key derivation; the key was created using a derived key, which means additional, "
            "per-request information must be included in order to perform operations with the key"
        )
    return context


def _associated(item: Data) -> bytes:
    return decode64(text(item, "associated_data"))


def _rotation(data: Data) -> int:
    period = seconds(data, "auto_rotate_period")
    if 0 < period < _HOUR:
        raise invalid("auto rotate period must be 0 to disable or at least an hour")
    return period


def _scheme(request: Request) -> tuple[str, bool, bool]:
    """Hash, whether signatures are marshalled for JWS, whether the input is a digest."""
    data = request.data
    algorithm = request.params.get("hash") or text(data, "hash_algorithm") or text(data, "algorithm") or "sha2-256"
    if algorithm not in HASHES:
        raise invalid(f"invalid hash algorithm {algorithm}")
    marshalling = text(data, "marshaling_algorithm", "asn1") or "asn1"
    if marshalling not in {"asn1", "jws"}:
        raise invalid(f"invalid marshaling algorithm {marshalling!r}")
    return algorithm, marshalling == "jws", boolean(data, "prehashed")


def _items(data: Data) -> list[Mapping[str, Any]]:
    batch = data.get("batch_input")
    return [data] if batch is None else batch


def _check_items(data: Data, required: str) -> None:
    """A batch that is not a list of well-formed items fails as a whole."""
    batch = data.get("batch_input")
    if batch is None:
        return
    if not isinstance(batch, list) or not all(isinstance(item, dict) for item in batch):
        raise invalid("failed to parse batch input: expected a list of maps")
    for index, item in enumerate(batch):
        if not isinstance(item.get(required), str):
            raise invalid(f"failed to parse batch input: '[{index}].{required}' must be a string")
    if len({bool(item.get("context")) for item in batch}) > 1:
        raise invalid("context should be set either in all the request blocks or in none")


def _batch(
    data: Data,
    one: Callable[[Data], dict[str, Any]],
    *,
    status: int = 400,
    on_error: Mapping[str, Any] | None = None,
) -> Reply:
    """Answer a single request or each item of a batch; ``status`` is that of a batch with failed items."""
    if data.get("batch_input") is None:
        return Reply(data=one(data))
    items = _items(data)
    if not items:
        raise invalid("missing batch input to process")
    results: list[dict[str, Any]] = []
    failed = 0
    for item in items:
        try:
            result = one(item)
        except VaultError as error:
            failed += 1
            result = {**(on_error or {}), "error": error.body["errors"][0]}
        results.append(result | {"reference": text(item, "reference")})
    if failed and failed < len(items):
        status = integer(data, "partial_failure_response_code", status)
    return Reply(data={"batch_results": results}, status=status if failed else 200)
