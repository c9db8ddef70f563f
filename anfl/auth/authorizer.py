"""Decides, for API Gateway, who a bearer token's caller is: checked here first, then established by Vault.

The local check keeps what cannot be good away from Vault; tenant and roles come from Vault's answer alone.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from anfl.auth.names import CALLER_ROLE
from anfl.auth.principal import Principal, Role
from anfl.auth.vault import VaultClient
from anfl.auth.verifier import TokenVerifier
from anfl.problems import Problem

DECISION_SECONDS = 60.0
"""How long Vault's answer for a token is used again; also how long such a token works while Vault is away."""
_CACHED_DECISIONS = 1024
_log = logging.getLogger(__name__)


class Authorizer:
    """Establishes principals. Safe for threads."""

    def __init__(
        self, verifier: TokenVerifier, vault: VaultClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verifier = verifier
        self._vault = vault
        self._clock = clock
        self._decisions: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._lock = threading.Lock()

    def principal(self, token: str) -> Principal:
        """Who presents ``token``.

        :raises Problem: 401 ``token_*`` for one that is not good; 503 where that cannot be found out.
        """
        verified = self._verifier.cached(token) or self._verifier.verify(token)
        with self._lock:
            principal, decided = self._decisions.get(token, (None, 0.0))
        if principal is not None and self._clock() - decided < DECISION_SECONDS:
            return principal
        established = self._established(token, verified)
        with self._lock:
            self._decisions[token] = (established, self._clock())
            self._decisions.move_to_end(token)
            if len(self._decisions) > _CACHED_DECISIONS:
                self._decisions.popitem(last=False)
        return established

    def _established(self, token: str, verified: Principal) -> Principal:
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
        return msgspec.structs.replace(verified, tenant=tenant, roles=roles)
