"""The transit engine's keys themselves: making, configuring, rotating, trimming and deleting them."""

from collections.abc import Callable

from local.vault.api import Operation, Reply, Request, Route, absent, failed, invalid
from local.vault.fields import Data, boolean, integer, seconds, text
from local.vault.transit_keys import KEY_TYPES, Key

READ, UPDATE, LIST, DELETE = Operation.READ, Operation.UPDATE, Operation.LIST, Operation.DELETE
_HOUR = 3600


class KeyAdministration:
    """Every key of one mount."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.keys: dict[str, Key] = {}
        self.disable_upsert = False
        """Whether encrypting with a key that is absent makes none."""
        self._clock = clock
        self.routes = (
            Route(path="keys", operations={LIST: self._list}),
            Route(path="keys/", operations={LIST: self._list}),
            Route(path="keys/{name}", operations={READ: self._read, UPDATE: self._create, DELETE: self._delete}),
            Route(path="keys/{name}/config", operations={UPDATE: self._configure}),
            Route(path="keys/{name}/rotate", operations={UPDATE: self._rotate}),
            Route(path="keys/{name}/trim", operations={UPDATE: self._trim}),
            Route(path="config/keys", operations={READ: self._read_config, UPDATE: self._write_config}),
        )

    def key(self, request: Request, message: str = "encryption key not found") -> Key:
        """The key that the path names.

        :raises VaultError: 400 with ``message`` where it is absent.
        """
        key = self.keys.get(request.params["name"])
        if key is None:
            raise invalid(message)
        return key

    def new(self, name: str, data: Data) -> Key:
        """Make a key as ``data`` has it.

        :raises VaultError: 400 for settings that do not go together.
        """
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
            auto_rotate_period=rotation_period(data),
        )
        key.rotate(self._clock())
        self.keys[name] = key
        return key

    def _list(self, _request: Request) -> Reply:
        if not self.keys:
            raise absent()
        return Reply(data={"keys": sorted(self.keys)})

    def _read(self, request: Request) -> Reply:
        key = self.keys.get(request.params["name"])
        if key is None:
            raise absent()
        return Reply(data=key.shown())

    def _create(self, request: Request) -> Reply:
        name, data = request.params["name"], request.data
        if name in self.keys:
            return Reply(data=self.keys[name].shown(), warnings=(f"key {name} already existed",))
        return Reply(data=self.new(name, data).shown())

    def _delete(self, request: Request) -> None:
        name = request.params["name"]
        key = self.keys.get(name)
        if key is None:
            raise invalid(f"error deleting policy {name}: could not delete key; not found")
        if not key.deletion_allowed:
            raise invalid(f"error deleting policy {name}: deletion is not allowed for this key")
        del self.keys[name]

    def _configure(self, request: Request) -> Reply:
        data = request.data
        key = self.key(request, f"no existing key named {request.params['name']} could be found")
        warnings = []
        decryption = integer(data, "min_decryption_version", key.min_decryption_version)
        if decryption == 0:
            decryption = 1
            warnings.append("since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1")
        encryption = integer(data, "min_encryption_version", key.min_encryption_version)
        _check_versions(key, decryption=decryption, encryption=encryption)
        rotation = rotation_period(data) if "auto_rotate_period" in data else key.auto_rotate_period
        key.min_decryption_version, key.min_encryption_version = decryption, encryption
        key.deletion_allowed = boolean(data, "deletion_allowed", key.deletion_allowed)
        key.exportable = key.exportable or boolean(data, "exportable")
        key.allow_plaintext_backup = key.allow_plaintext_backup or boolean(data, "allow_plaintext_backup")
        key.auto_rotate_period = rotation
        return Reply(data=key.shown(), warnings=tuple(warnings))

    def _rotate(self, request: Request) -> Reply:
        key = self.key(request, "key not found")
        if key.imported and not key.allow_rotation:
            raise failed(f"imported key {key.name} does not allow rotation within Vault")
        key.rotate(self._clock())
        return Reply(data=key.shown())

    def _trim(self, request: Request) -> Reply:
        key = self.key(request, "invalid key name")
        if request.data.get("min_available_version") is None:
            raise invalid("missing min_available_version")
        key.trim(integer(request.data, "min_available_version"))
        return Reply(data=key.shown())

    def _read_config(self, _request: Request) -> Reply:
        return Reply(data={"disable_upsert": self.disable_upsert})

    def _write_config(self, request: Request) -> Reply:
        self.disable_upsert = boolean(request.data, "disable_upsert")
        return Reply(data={"disable_upsert": self.disable_upsert})


def rotation_period(data: Data) -> int:
    """``auto_rotate_period`` in seconds.

    :raises VaultError: 400 where it is too short.
    """
    period = seconds(data, "auto_rotate_period")
    if 0 < period < _HOUR:
        raise invalid("auto rotate period must be 0 to disable or at least an hour")
    return period


def _check_versions(key: Key, *, decryption: int, encryption: int) -> None:
    if not 0 < decryption <= key.latest:
        raise invalid(f"cannot set min decryption version of {decryption}, latest key version is {key.latest}")
    if not 0 <= encryption <= key.latest:
        raise invalid(f"cannot set min encryption version of {encryption}, latest key version is {key.latest}")
    if 0 < encryption < decryption:
        raise invalid(
            f"cannot set min encryption/decryption values; min encryption version of {encryption} "
            f"must be greater than or equal to min decryption version of {decryption}"
        )
    if encryption < key.min_available_version:
        raise invalid("min encryption version should not be less than min available version")
    if decryption < key.min_available_version:
        raise invalid("min decryption version should not be less then min available version")
