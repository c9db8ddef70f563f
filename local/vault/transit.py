"""The transit engine: encryption and signatures with keys that never leave it."""

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

from local.vault.api import Backend, Operation, Reply, Request, Route, VaultError, invalid
from local.vault.fields import Data, boolean, integer, text
from local.vault.transit_admin import KeyAdministration
from local.vault.transit_keys import HASHES, Key, decode64
from local.vault.transit_transfer import KeyTransfer

UPDATE = Operation.UPDATE


class TransitBackend(Backend):
    """One transit mount."""

    type_name = "transit"

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._administration = KeyAdministration(clock=clock)
        self.routes = (
            *self._administration.routes,
            *KeyTransfer(self._administration, clock=clock).routes,
            Route(path="encrypt/{name}", operations={UPDATE: self._encrypt}, exists=self._exists),
            Route(path="decrypt/{name}", operations={UPDATE: self._decrypt}),
            Route(path="rewrap/{name}", operations={UPDATE: self._rewrap}),
            Route(path="datakey/{kind}/{name}", operations={UPDATE: self._data_key}),
            Route(path="sign/{name}", operations={UPDATE: self._sign}),
            Route(path="sign/{name}/{hash}", operations={UPDATE: self._sign}),
            Route(path="verify/{name}", operations={UPDATE: self._verify}),
            Route(path="verify/{name}/{hash}", operations={UPDATE: self._verify}),
        )

    def _exists(self, request: Request) -> bool:
        return request.params["name"] in self._administration.keys

    # encryption

    def _encrypt(self, request: Request) -> Reply:
        _check_items(request.data, "plaintext")
        key = self._administration.keys.get(request.params["name"])
        if key is None:
            if self._administration.disable_upsert:
                raise invalid("encryption key not found")
            # The policy check has required `create` here; a context asks for a derived key.
            derived = any(text(item, "context") for item in _items(request.data))
            key = self._administration.new(request.params["name"], {"derived": derived, **request.data})

        def one(item: Data) -> dict[str, Any]:
            if item.get("plaintext") is None:
                raise invalid("missing plaintext to encrypt")
            return _sealed(key, decode64(text(item, "plaintext")), item)

        return _batch(request.data, one)

    def _decrypt(self, request: Request) -> Reply:
        _check_items(request.data, "ciphertext")
        key = self._administration.key(request)
        return _batch(
            request.data,
            lambda item: {"plaintext": base64.b64encode(_opened(key, item)).decode()},
            on_error={"plaintext": ""},
        )

    def _rewrap(self, request: Request) -> Reply:
        _check_items(request.data, "ciphertext")
        key = self._administration.key(request)
        return _batch(request.data, lambda item: _sealed(key, _opened(key, item), item), status=200)

    def _data_key(self, request: Request) -> Reply:
        kind, data = request.params["kind"], request.data
        if kind not in {"plaintext", "wrapped"}:
            raise invalid("Invalid path, must be 'plaintext' or 'wrapped'")
        key = self._administration.key(request)
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
        key = self._administration.key(request, "signing key not found")
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
        key = self._administration.key(request, "signature verification key not found")
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
