"""What wraps data keys: Vault's Transit, as far as those who use it need to know."""

import re
from dataclasses import dataclass
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from anfl.crypto.trouble import TamperedError, key_unavailable

_WRAPPED = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, repr=False)
class DataKey:
    """A key in clear, 32 bytes, and wrapped."""

    plaintext: bytes
    wrapped: str


class Transit(Protocol):
    """What wraps data keys. ``context`` says whose key it is: one that is wrapped for another place does not open."""

    def generate(self, context: str) -> DataKey:
        """A new key.

        :raises Problem: 503 ``key_unavailable``.
        """

    def unwrap(self, wrapped: str, context: str) -> bytes:
        """The key in clear.

        :raises TamperedError: it was not wrapped for this context, or is no longer what was.
        :raises Problem: 503 ``key_unavailable``: Vault is away, or has not that version.
        """

    def rewrap(self, wrapped: str, context: str, *, version: int) -> str:
        """The same key, wrapped by ``version``; nobody but Vault sees it.

        :raises TamperedError, Problem: as `unwrap`.
        """


class Versions(Protocol):
    """See `anfl.crypto.wrapping_versions`."""

    def active(self) -> int | None:
        """The version that every region's Vault has; None before the first."""


def version_of(wrapped: str) -> int:
    """By which version of the wrapping key a data key is wrapped.

    :raises TamperedError: it is no wrapped key.
    """
    found = _WRAPPED.fullmatch(wrapped)
    if found is None:
        raise TamperedError("no wrapped key")
    return int(found[1])


def active_version(versions: Versions) -> int:
    """The version by which keys are wrapped now.

    :raises Problem: 503 ``key_unavailable``.
    """
    try:
        version = versions.active()
    except (BotoCoreError, ClientError) as error:
        raise key_unavailable("the table that says which version is active does not answer") from error
    if version is None:
        raise key_unavailable("no wrapping key has come to every region yet")
    return version
