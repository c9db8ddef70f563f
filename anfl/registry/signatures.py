"""Signatures of versions: taken only if a registered key signed exactly the files that were recorded, and checked again
whenever they count for something."""

import zlib
from http import HTTPStatus
from typing import Any

import msgspec

from anfl.problems import Problem
from anfl.registry import keys, rules, signing
from anfl.registry.audit import Change
from anfl.registry.clock import Clock, now
from anfl.registry.entities import Model, Version, VersionOf
from anfl.registry.errors import invalid_parameter
from anfl.registry.locations import Locations, artifact_path
from anfl.registry.records import Records
from anfl.registry.signing import MAX_BUNDLE_BYTES, Signature, SignatureError
from anfl.registry.signing_keys import SigningKeys
from anfl.registry.table import EXISTS, Action, Check, Item, Put
from anfl.resources import SORT_KEY

_MAX_STORED_BYTES = 350_000


class VersionSignature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of a version. ``valid``: by a key that is believed, over exactly the recorded files."""

    key: str
    key_name: str | None
    """None where the key was removed."""
    added_by: str
    added_at: int
    valid: bool
    bundle: dict[str, Any]
    """As `model-signing` writes it: enough to verify the files without this registry."""


class Signatures:
    """Signatures of all tenants' versions; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, records: Records, signing_keys: SigningKeys, *, clock: Clock = now) -> None:
        self._records = records
        self._table = records.table
        self._locations = Locations(records.table)
        self._keys = signing_keys
        self._clock = clock

    def add(self, tenant: str, name: str, number: int, *, by: str, bundle: str) -> VersionSignature:
        """Take a signature; another one by the same key is replaced.

        :param bundle: the file that `model-signing` wrote.
        :raises Problem: 404, 400 for what is no signature, 409 for one that does not hold for this version.
        """
        rules.limit_bytes(bundle, MAX_BUNDLE_BYTES, field="bundle")
        try:
            signature = signing.parse(bundle)
        except SignatureError as error:
            raise invalid_parameter(f"'bundle' cannot be used: {error}.", field="bundle") from None

        def attempt() -> VersionSignature:
            found = self._records.version(tenant, name, number)
            reason = self._wrong(tenant, found.version, signature)
            if reason is not None:
                detail = f"The signature does not hold for version {number} of {name}: {reason}."
                raise Problem(HTTPStatus.CONFLICT, "signature_invalid", detail, field="bundle")
            moment = self._clock()
            change = Change(
                by=by, at=moment, action="version.signed", version=number, after={"signatures": {signature.key: by}}
            )
            item = _item(signature) | {"added_by": by, "added_at": moment}
            self._table.write(
                *self._records.changed(tenant, found.model, before=found.model, change=change),
                Put(key=keys.signature(tenant, found.model.id, number, signature.key), item=item),
                Check(key=keys.version(tenant, found.model.id, number), condition=EXISTS),
                self._keys.still_there(tenant, signature.key),
            )
            return self._told(tenant, found, item | {SORT_KEY: signature.key})

        return self._records.in_turn(tenant, name, attempt)

    def all(self, tenant: str, name: str, number: int) -> list[VersionSignature]:
        """A version's signatures, each verified again.

        :raises Problem: 404.
        """
        found = self._records.version(tenant, name, number)
        return [self._told(tenant, found, item) for item in self._stored(tenant, found.model, number)]

    def holding(self, tenant: str, of: VersionOf) -> list[Action] | None:
        """What demands in a transaction that the version is signed as it is now; None where it is not."""
        for item in self._stored(tenant, of.model, of.version.number):
            signature = _signature(item)
            if self._wrong(tenant, of.version, signature) is None:
                return [self._keys.still_there(tenant, signature.key)]
        return None

    def _wrong(self, tenant: str, version: Version, signature: Signature) -> str | None:
        """Why a signature does not hold; None where it does."""
        key = self._keys.find(tenant, signature.key)
        if key is None:
            return f"no key {signature.key} is registered"
        path = artifact_path(version.location)
        place = None if path is None else self._locations.at(tenant, path)
        if place is None or not place.files:
            return "its artefacts do not lie in this registry's store, so their checksums are not known"
        files = place.manifest()
        if len(files) != len(place.files):  # of a release that let a file be a folder as well
            return "two of its files have one name"
        try:
            signing.verify(signature, pem=key.public_key, files=files)
        except SignatureError as error:
            return str(error)
        return None

    def _told(self, tenant: str, of: VersionOf, item: Item) -> VersionSignature:
        signature = _signature(item)
        key = self._keys.find(tenant, signature.key)
        return VersionSignature(
            key=signature.key,
            key_name=None if key is None else key.name,
            added_by=item["added_by"],
            added_at=item["added_at"],
            valid=self._wrong(tenant, of.version, signature) is None,
            bundle=signing.bundle_of(signature),
        )

    def _stored(self, tenant: str, model: Model, number: int) -> list[Item]:
        prefix = keys.signatures_of(number)
        return list(self._table.query(keys.belongings(tenant, model.id), prefix=prefix))


def _item(signature: Signature) -> Item:
    payload = zlib.compress(signature.payload, 9)
    if len(payload) > _MAX_STORED_BYTES:
        raise invalid_parameter("'bundle' lists more files, or longer names, than can be recorded.", field="bundle")
    return {"payload": payload, "signature": signature.signature}


def _signature(item: Item) -> Signature:
    return Signature(
        payload=zlib.decompress(item["payload"]), signature=item["signature"], key=item[SORT_KEY].rpartition("#")[2]
    )
