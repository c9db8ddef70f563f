"""How the table keeps secrets of webhooks: sealed (`anfl.registry.sealed_secrets`), or in clear from before that."""

from typing import Protocol

from anfl.crypto.trouble import key_unavailable

SEALED = "anfl-sealed:"
"""Begins what is sealed. It stands where releases before had the secret itself: one of them that still runs while this
one is rolled out keeps it, and signs by nothing that a receiver takes."""


class Secrets(Protocol):
    """Seals and opens; what is sealed opens for no other tenant and no other webhook."""

    def seal(self, tenant: str, webhook_id: str, secret: str) -> str:
        """What the table keeps.

        :raises Problem: 503 ``key_unavailable``.
        """

    def open(self, tenant: str, webhook_id: str, kept: str) -> str:
        """The secret; one from before is itself.

        :raises Problem: 503 ``key_unavailable``; 503 ``secret_damaged``: waiting does not help.
        """


class InClear:
    """For a process without a Vault: seals nothing, and opens nothing that is."""

    def seal(self, _tenant: str, _webhook_id: str, secret: str) -> str:
        """See `Secrets.seal`."""
        return secret

    def open(self, _tenant: str, _webhook_id: str, kept: str) -> str:
        """See `Secrets.open`."""
        if is_sealed(kept):
            raise key_unavailable("this process has no Vault")
        return kept


def is_sealed(kept: str) -> bool:
    """Whether what the table keeps is sealed."""
    return kept.startswith(SEALED)
