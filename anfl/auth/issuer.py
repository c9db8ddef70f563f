"""Issues bearer tokens, signed inside the region's Vault."""

import base64
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from anfl import elapsed
from anfl.auth.answers import BearerToken, PublicKeys
from anfl.auth.cached import Cached
from anfl.auth.keys import KEYS_REFRESH_SECONDS
from anfl.auth.names import CALLER_ROLE, JWT_KEY, granted
from anfl.auth.oidc import Person
from anfl.auth.principal import Principal, login_of, new_login, new_token
from anfl.auth.table import PublishedKey
from anfl.auth.vault import VaultClient
from anfl.auth.verifier import Claims, principal_of
from anfl.problems import Problem, unavailable

ACTIVATION_SECONDS = 2 * KEYS_REFRESH_SECONDS
"""A new key version signs this long after it was published: by then every cache knows it."""
_KEYS_MAX_AGE_SECONDS = 30.0
_log = logging.getLogger(__name__)


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made just now."""

    access_token: str
    expires_in: int
    """Seconds."""
    principal: Principal
    """Its bearer; no part of the answer."""

    def answer(self) -> BearerToken:
        """What the client gets."""
        return BearerToken(access_token=self.access_token, expires_in=self.expires_in)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token is for, as a login has told."""

    subject: str
    tenant: str | None
    roles: str
    """Joined by spaces."""
    login: str
    """Its id; every token of it begins so, and is revoked with it."""
    logged_in_at: int


class TokenIssuer:
    """Turns logins into tokens."""

    def __init__(
        self,
        vault: VaultClient,
        *,
        published_keys: Callable[[], tuple[PublishedKey, ...]],
        region: str,
        issuer: str,
        audience: str,
        lifetime: int,
        session: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param lifetime: seconds until a token expires.
        :param session: seconds after a login at which all its tokens have expired, refreshed or not.
        """
        self._vault = vault
        self._keys = Cached(published_keys, clock=elapsed.seconds)
        self._region = region
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._session = session
        self._clock = clock

    def jwks(self) -> PublicKeys:
        """The public keys of every region, as RFC 7517 has them.

        :raises Problem: 503 ``auth_unavailable``.
        """
        keys, _ = self._keys.get(max_age=_KEYS_MAX_AGE_SECONDS)
        return PublicKeys(keys=[key.jwk for key in keys])

    def exchange_approle(self, *, role_id: str, secret_id: str) -> IssuedToken:
        """A token for the client with this AppRole.

        :raises Problem: 401 ``invalid_credentials``, 403 ``no_roles``, 503.
        """
        login = self._vault.login_approle(role_id=role_id, secret_id=secret_id)
        return self._issue(self._begun(login.metadata["role_name"], login.metadata))

    def exchange_iam(self, *, client: str, request: Mapping[str, str]) -> IssuedToken:
        """A token for the ``client``, whose IAM role a signed request proves.

        :raises Problem: 401 ``invalid_credentials``, 403 ``no_roles``, 503.
        """
        login = self._vault.login_client_iam(role=client, request=request)
        return self._issue(self._begun(client, granted(login.policies)))

    def exchange_oidc(self, person: Person) -> IssuedToken:
        """A token for whom an OpenID Connect issuer has vouched.

        :raises Problem: 503.
        """
        return self._issue(
            self._begun(person.subject, {"tenant": person.tenant, "roles": " ".join(sorted(person.roles))})
        )

    def refresh(self, token: str, principal: Principal) -> IssuedToken:
        """A token that follows ``token``, for as long as the login lasts; Vault is asked about the one presented.

        :raises Problem: 401 ``token_refused``, ``login_ended``; 503.
        """
        if self._clock() >= principal.logged_in_at + self._session:
            raise _ended()
        self._vault.login_jwt(role=CALLER_ROLE, token=token)
        session = Session(
            subject=principal.subject,
            tenant=principal.tenant,
            roles=" ".join(sorted(principal.roles)),
            login=login_of(principal.token_id),
            logged_in_at=principal.logged_in_at,
        )
        return self._issue(session, token_id=new_token(session.login))

    def _begun(self, subject: str, metadata: Mapping[str, str]) -> Session:
        return Session(
            subject=subject,
            tenant=metadata.get("tenant"),
            roles=metadata.get("roles", ""),
            login=new_login(),
            logged_in_at=int(self._clock()),
        )

    def _issue(self, session: Session, *, token_id: str | None = None) -> IssuedToken:
        now = int(self._clock())
        lifetime = min(self._lifetime, session.logged_in_at + self._session - now)
        if lifetime <= 0:  # it ended while Vault was asked
            raise _ended()
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": session.subject,
            "tenant": session.tenant,
            "roles": session.roles.split(),
            "scope": session.roles,
            "jti": token_id or session.login,
            "auth_time": session.logged_in_at,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        try:
            checked = msgspec.convert(claims, Claims)
        except msgspec.ValidationError:
            # A login that the set-up did not make: let an operator see it, tell the caller what to ask for.
            _log.error("client without tenant or roles", extra={"subject": session.subject})
            detail = f"client {session.subject!r} has no tenant or roles of ANFL; ask an operator to set it up"
            raise Problem(HTTPStatus.FORBIDDEN, "no_roles", detail) from None
        return IssuedToken(access_token=self._sign(claims), expires_in=lifetime, principal=principal_of(checked))

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


def _ended() -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, "login_ended", "the login is too long ago; log in again")


def _encoded(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=").decode()
