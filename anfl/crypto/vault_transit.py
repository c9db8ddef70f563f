"""Wrapping data keys by Vault's Transit, derived by a context each, at the version that is active."""

import base64
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import hvac
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, UnexpectedError

from anfl.auth.names import DATA_KEY
from anfl.auth.vault import IamRole, VaultClient
from anfl.crypto.sealed import KEY_BYTES
from anfl.crypto.transit import DataKey, Versions, active_version, version_of
from anfl.crypto.trouble import TamperedError, key_unavailable
from anfl.crypto.wrapping_versions import WrappingVersions
from anfl.problems import Problem
from anfl.resources import Function, Service

_VERSION = re.compile(r"too (new|old)")
_DAMAGED = re.compile(r"authentication failed|invalid ciphertext|illegal base64|could not decode")
_log = logging.getLogger(__name__)


class VaultTransit:
    """`Transit` in the region's Vault. Safe for threads; retries and outages are `VaultClient`'s."""

    def __init__(self, vault: VaultClient, versions: Versions) -> None:
        self._vault = vault
        self._versions = versions

    def generate(self, context: str) -> DataKey:
        """See `Transit.generate`."""
        body = {"bits": 8 * KEY_BYTES, "context": _base64(context), "key_version": active_version(self._versions)}
        try:
            made = self._ask(lambda client: client.adapter.post(f"/v1/transit/datakey/plaintext/{DATA_KEY}", json=body))
        except TamperedError as error:  # nothing was presented that could be
            raise _refused(error) from error
        return DataKey(base64.b64decode(made["plaintext"]), str(made["ciphertext"]))

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """See `Transit.unwrap`."""
        version_of(wrapped)
        decrypted = self._ask(
            lambda client: client.secrets.transit.decrypt_data(DATA_KEY, wrapped, context=_base64(context))
        )
        key = base64.b64decode(decrypted["plaintext"])
        if len(key) != KEY_BYTES:
            raise TamperedError("no data key")
        return key

    def rewrap(self, wrapped: str, context: str, *, version: int) -> str:
        """See `Transit.rewrap`."""
        version_of(wrapped)
        return str(
            self._ask(
                lambda client: client.secrets.transit.rewrap_data(
                    DATA_KEY, wrapped, context=_base64(context), key_version=version
                )
            )["ciphertext"]
        )

    def _ask(self, call: Callable[[hvac.Client], Any]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = self._vault.attempt(call)["data"]
        except Problem as outage:
            raise key_unavailable("Vault does not answer") from outage
        except InvalidRequest as error:
            if _DAMAGED.search(str(error)) and not _VERSION.search(str(error)):
                raise TamperedError("wrapped key") from error
            raise _refused(error) from error
        except (Forbidden, InvalidPath, UnexpectedError) as error:
            raise _refused(error) from error
        return answer


def wrapping_of(part: Function | Service, *, vault: str, table: str) -> tuple[VaultTransit, WrappingVersions]:
    """What wraps keys, and what says by which version. Nothing is asked of either yet.

    :param part: as whom this process logs in to Vault, whose address is ``vault``. :param table: the auth table's name.
    """
    versions = WrappingVersions(table=table)
    return VaultTransit(VaultClient(address=vault, credentials=IamRole(part)), versions), versions


def _refused(error: Exception) -> Problem:
    """Vault answers and has not what is asked for: a version that has not come yet, a grant that is missing."""
    _log.error("Vault does not wrap or unwrap a data key", extra={"error": str(error)})
    return key_unavailable("Vault refuses it")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
