"""Issues bearer tokens, signed inside the region's Vault."""

import base64
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from anfl.auth.cached import Cached
from anfl.auth.keys import KEYS_REFRESH_SECONDS
from anfl.auth.names import JWT_KEY
from anfl.auth.principal import Role
from anfl.auth.table import PublishedKey
from anfl.auth.vault import Login, VaultClient
from anfl.auth.verifier import Claims
from anfl.problems import Problem, unavailable

ACTIVATION_SECONDS = 2 * KEYS_REFRESH_SECONDS
"""A new key version signs this long after it was published: by then every cache knows it."""
_KEYS_MAX_AGE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/auth/token`` (as in RFC 6749 section 5.1)."""

    access_token: str
    expires_in: int
    """Seconds."""
    token_type: str = "Bearer"  # noqa: S105 - the kind of token


class TokenIssuer:
    """Turns Vault logins into tokens."""

    def __init__(
        self,
        vault: VaultClient,
        *,
        published_keys: Callable[[], tuple[PublishedKey, ...]],
        region: str,
        issuer: str,
        audience: str,
        lifetime: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param lifetime: seconds until a token expires."""
        self._vault = vault
        self._keys = Cached(published_keys, clock=time.monotonic)
        self._region = region
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._clock = clock

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys of every region, as RFC 7517 has them.

        :raises Problem: 503 ``auth_unavailable``.
        """
        keys, _ = self._keys.get(max_age=_KEYS_MAX_AGE_SECONDS)
        return {"keys": [key.jwk for key in keys]}

    def exchange_approle(self, *, role_id: str, secret_id: str) -> IssuedToken:
        """A token for the client with this AppRole.

        :raises Problem: 401 ``invalid_credentials``, 403 ``no_roles``, 503.
        """
        login = self._vault.login_approle(role_id=role_id, secret_id=secret_id)
        return self._issue(login, subject=login.metadata["role_name"])

    def _issue(self, login: Login, *, subject: str) -> IssuedToken:
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "tenant": login.metadata.get("tenant"),
            "roles": login.metadata.get("roles", "").split(),
            "scope": login.metadata.get("roles", ""),
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + self._lifetime,
        }
        try:
            checked = msgspec.convert(claims, Claims)
        except msgspec.ValidationError:
            # A login that the set-up did not make: let an operator see it, tell the caller what to ask for.
            _log.error("client without tenant or roles", extra={"subject": subject})
            detail = f"client {subject!r} has no tenant or roles of ANFL; ask an operator to set it up"
            raise Problem(HTTPStatus.FORBIDDEN, "no_roles", detail) from None
        token = self._sign(claims)
        _log.info(
            "token issued",
            extra={
                "subject": subject,
                "tenant": checked.tenant,
                "roles": sorted(Role(role) for role in checked.roles),
                "token_id": checked.jti,
                "expires_at": checked.exp,
            },
        )
        return IssuedToken(access_token=token, expires_in=self._lifetime)

    def _sign(self, claims: Mapping[str, Any]) -> str:
        key = self._signing_key()
        signing_input = f"{_encoded({'alg': 'ES256', 'kid': key.kid, 'typ': 'JWT'})}.{_encoded(claims)}"
        signature = self._vault.sign_jws(key=JWT_KEY, version=key.version, signing_input=signing_input.encode())
        return f"{signing_input}.{signature}"

    def _signing_key(self) -> PublishedKey:
        """The newest version that every verifier knows by now; a region's first key signs at once."""
        keys, _ = self._keys.get(max_age=_KEYS_MAX_AGE_SECONDS)
        own = sorted((key for key in keys if key.region == self._region), key=lambda key: key.version)
        if not own:
            keys, _ = self._keys.get(max_age=0)
            own = sorted((key for key in keys if key.region == self._region), key=lambda key: key.version)
        if not own:
            detail = f"region {self._region} has no signing key yet; try again"
            raise unavailable(detail, code="auth_unavailable")
        known = [key for key in own if key.published_at + ACTIVATION_SECONDS <= self._clock()]
        return known[-1] if known else own[0]


def _encoded(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=").decode()
