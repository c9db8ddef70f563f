"""A Transit in memory, and wrapped keys in a dictionary."""

import base64
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anfl.crypto.transit import DataKey, version_of
from anfl.crypto.trouble import TamperedError, key_unavailable


class FakeTransit:
    """An `anfl.crypto.transit.Transit` without a Vault. While it is ``away``, it answers 503."""

    def __init__(self, *, called: Callable[[], None] = lambda: None) -> None:
        """:param called: is asked before every call, and may raise."""
        self.version = 1
        """The active one."""
        self.away = False
        self.calls: list[str] = []
        self._called = called
        self._keys: dict[int, bytes] = {}

    def active(self) -> int:
        """See `anfl.crypto.transit.Versions.active`."""
        return self.version

    def generate(self, context: str) -> DataKey:
        """See `Transit.generate`."""
        self._begin("generate")
        plaintext = os.urandom(32)
        return DataKey(plaintext, self._wrap(plaintext, context, self.version))

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """See `Transit.unwrap`."""
        self._begin("unwrap")
        return self.peek(wrapped, context)

    def rewrap(self, wrapped: str, context: str, *, version: int) -> str:
        """See `Transit.rewrap`."""
        self._begin("rewrap")
        return self._wrap(self.peek(wrapped, context), context, version)

    def peek(self, wrapped: str, context: str) -> bytes:
        """See `Transit.unwrap`; always answers."""
        version = version_of(wrapped)
        if version not in self._keys:
            raise key_unavailable("Vault has not this version")
        data = base64.b64decode(wrapped.rpartition(":")[2])
        try:
            return AESGCM(self._keys[version]).decrypt(data[:12], data[12:], context.encode())
        except InvalidTag as error:
            raise TamperedError("wrapped key") from error

    def forget(self, version: int) -> None:
        """Let this region's Vault have a version no more."""
        self._keys.pop(version, None)

    def _begin(self, call: str) -> None:
        self._called()
        self.calls.append(call)
        if self.away:
            raise key_unavailable("Vault does not answer")

    def _wrap(self, plaintext: bytes, context: str, version: int) -> str:
        key, nonce = self._keys.setdefault(version, os.urandom(32)), os.urandom(12)
        return (
            f"vault:v{version}:"
            + base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, context.encode())).decode()
        )


class DictKeys:
    """`anfl.crypto.data_keys.WrappedKeys` in memory."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        self.expected: list[str] = []
        """Places where there had to be one, at each look."""

    def read(self, place: str, unwrap: Callable[[str], bytes], *, expected: bool) -> bytes | None:
        """See `WrappedKeys.read`."""
        self.expected += [place] if expected else []
        return unwrap(self.standing[place]) if place in self.standing else None

    def put_if_absent(self, place: str, wrapped: str) -> bool:
        """See `WrappedKeys.put_if_absent`."""
        return self.standing.setdefault(place, wrapped) == wrapped
