"""Public keys whose signatures a tenant believes. The private ones stay with their owners."""

import msgspec

from anfl.registry import keys, rules, signing
from anfl.registry.audit import Change
from anfl.registry.clock import Clock, now
from anfl.registry.errors import does_not_exist, invalid_parameter
from anfl.registry.journal import Journal
from anfl.registry.signing import SignatureError
from anfl.registry.table import ABSENT, EXISTS, Check, Delete, Item, Put, Table

MAX_KEYS = 100
"""Of one tenant."""
MAX_PEM_BYTES = 2000
MAX_NAME_BYTES = 200


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key. ``id`` is the sha256 of its PEM in hexadecimal, as signatures name it; times are ms since the epoch."""

    id: str
    name: str
    public_key: str
    """PEM."""
    added_by: str
    added_at: int


class SigningKeys:
    """Keys of all tenants; every method takes the tenant first and reaches nothing of another's."""

    def __init__(self, table: Table, *, clock: Clock = now) -> None:
        self._table = table
        self._journal = Journal(table)
        self._clock = clock

    def all(self, tenant: str) -> list[SigningKey]:
        """All keys, the oldest first."""
        found = [_key(item) for item in self._table.query(keys.signing_keys(tenant))]
        return sorted(found, key=lambda key: (key.added_at, key.id))

    def find(self, tenant: str, key_id: str) -> SigningKey | None:
        """A key; None where the tenant has it not, or no more."""
        if not (len(key_id) == 64 and key_id.isascii()):
            return None
        item = self._table.get(keys.signing_key(tenant, key_id))
        return None if item is None else _key(item)

    def still_there(self, tenant: str, key_id: str) -> Check:
        """What demands in a transaction that a key is still believed."""
        return Check(key=keys.signing_key(tenant, key_id), condition=EXISTS)

    def add(self, tenant: str, *, by: str, name: str, pem: str) -> SigningKey:
        """Believe signatures of a key from now on; one that is there already stays as it is.

        :raises Problem: 400.
        """
        if not name.strip():
            raise rules.missing("name")
        rules.limit_bytes(name, MAX_NAME_BYTES, field="name")
        rules.limit_bytes(pem, MAX_PEM_BYTES, field="public_key")
        try:
            normal, key_id = signing.public_key(pem)
        except SignatureError as error:
            raise invalid_parameter(f"'public_key' cannot be used: {error}.", field="public_key") from None

        def attempt() -> SigningKey:
            place = keys.signing_key(tenant, key_id)
            head, (item,) = self._journal.read(tenant, place)
            if item is not None:
                return _key(item)
            if len(self.all(tenant)) >= MAX_KEYS:
                raise invalid_parameter(f"At most {MAX_KEYS} keys may be registered; remove one first.")
            key = SigningKey(id=key_id, name=name, public_key=normal, added_by=by, added_at=self._clock())
            change = Change(by=by, at=key.added_at, action="key.added", after={"key": {"id": key_id, "name": name}})
            put = Put(key=place, item=msgspec.to_builtins(key), condition=ABSENT)
            self._journal.write(tenant, change, put, head=head)
            return key

        return self._journal.in_turn(tenant, attempt)

    def remove(self, tenant: str, key_id: str, *, by: str) -> None:
        """Believe a key's signatures no more: also those that are registered count for no further alias.

        :raises Problem: 404.
        """

        def attempt() -> None:
            key = self.find(tenant, key_id)
            if key is None:
                raise does_not_exist(f"No key {key_id} is registered.")
            head = self._journal.head(tenant)
            told = {"key": {"id": key_id, "name": key.name}}
            change = Change(by=by, at=self._clock(), action="key.removed", before=told)
            delete = Delete(key=keys.signing_key(tenant, key_id), condition=EXISTS)
            self._journal.write(tenant, change, delete, head=head)

        self._journal.in_turn(tenant, attempt)


def _key(item: Item) -> SigningKey:
    return msgspec.convert(item, SigningKey)
