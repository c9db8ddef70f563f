"""Decides, for API Gateway, who a bearer token's caller is: checked here first, then established by Vault.

The local check keeps what cannot be good away from Vault; tenant and roles stand only where Vault says the same.
"""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from anfl import elapsed
from anfl.auth.decisions import Decisions, Marks
from anfl.auth.names import CALLER_ROLE
from anfl.auth.principal import Principal, Role
from anfl.auth.vault import VaultClient
from anfl.auth.verifier import TokenVerifier
from anfl.problems import Problem

_log = logging.getLogger(__name__)


class Authorizer:
    """Establishes principals. Safe for threads."""

    def __init__(
        self,
        verifier: TokenVerifier,
        vault: VaultClient,
        *,
        marks: Marks | None = None,
        clock: Callable[[], float] = elapsed.seconds,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """:param marks: what the region's other copies of the function remember too."""
        self._verifier = verifier
        self._vault = vault
        self._clock = clock
        self._wall = wall
        self._decisions = Decisions(marks, clock=clock)

    def principal(self, token: str) -> Principal:
        """Who presents ``token``.

        :raises Problem: 401 ``token_*`` for one that is not good; 503 where that cannot be found out.
        """
        verified = self._verifier.cached(token) or self._verifier.verify(token)
        if not self._decisions.stands(token):
            asked = self._clock()
            self._confirm(token, verified)
            self._decisions.note(token, asked=asked, seconds=verified.expires_at - self._wall())
        return verified

    def _confirm(self, token: str, verified: Principal) -> None:
        metadata = self._vault.login_jwt(role=CALLER_ROLE, token=token).metadata
        try:
            roles = frozenset(Role(name) for name in metadata.get("roles", "").split())
            tenant = metadata["tenant"]
        except (KeyError, ValueError):
            roles, tenant = frozenset(), ""
        # The services decide by the token's own claims: a token that tells Vault something else is refused here.
        if not roles or (tenant, roles) != (verified.tenant, verified.roles):
            _log.error("token and Vault disagree about its bearer", extra={"token_id": verified.token_id})
            detail = "the token's claims contradict each other; get a new one"
            raise Problem(HTTPStatus.UNAUTHORIZED, "token_refused", detail)
