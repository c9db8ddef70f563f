"""Verifies bearer tokens for services and authorizer: signature, issuer, audience, time, revocation.

Work per token is bounded: size and shape first, one key look-up by kid, one signature check.
"""

import base64
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import jwt
import msgspec

from anfl import environment
from anfl.auth.keys import DenyList, KeySet
from anfl.auth.principal import Principal, Role
from anfl.auth.table import AuthTable
from anfl.problems import Problem

MAX_TOKEN_BYTES = 4096
MAX_HEADER_CHARACTERS = 512
"""Of the encoded JOSE header, the only part that is parsed before the signature is checked."""
CLOCK_SKEW_SECONDS = 5
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
"""Of base64url alone: a decoder may pass over anything else, and one token would have many spellings."""
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
_MAX_NESTED = 32
"""Lists and objects in a part of a token; there is one list in those that are issued here."""
_TYPES = ("JWT", "at+jwt")
_CACHED_TOKENS = 4096

TENANT_PATTERN = r"\A[a-z0-9][a-z0-9-]{0,62}\Z"
_Moment = Annotated[int, msgspec.Meta(ge=0, lt=2**38)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a token. Times are whole seconds since the epoch."""

    iss: str
    aud: str
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    tenant: Annotated[str, msgspec.Meta(pattern=TENANT_PATTERN)]
    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=len(Role))]
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    iat: _Moment
    nbf: _Moment
    exp: _Moment
    scope: str = ""
    """``roles`` joined by spaces: Vault's jwt mount maps string claims only."""
    auth_time: _Moment | None = None
    """Of a refreshed token: when its bearer logged in (OpenID Connect Core section 2)."""


def check_times(now: float, *, exp: float, nbf: float, iat: float) -> None:
    """Refuse what has expired, or is not valid yet: claims of RFC 7519, section 4.1.

    :raises Problem: 401.
    """
    if exp <= now:
        raise refused("token_expired", "the token has expired; get a new one")
    if max(nbf, iat) > now + CLOCK_SKEW_SECONDS:
        raise refused("token_not_yet_valid", "the token is not valid yet; check the clock that issued it")


def principal_of(claims: Claims) -> Principal:
    """Whom the claims of a good token speak of."""
    return Principal(
        subject=claims.sub,
        tenant=claims.tenant,
        roles=frozenset(claims.roles),
        token_id=claims.jti,
        expires_at=claims.exp,
        logged_in_at=claims.iat if claims.auth_time is None else claims.auth_time,
    )


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that verifies tokens reads from its environment."""

    auth_table: str = msgspec.field(name="AUTH_TABLE")
    issuer: str = msgspec.field(name="TOKEN_ISSUER")
    audience: str = msgspec.field(name="TOKEN_AUDIENCE")


@dataclass(frozen=True, slots=True)
class _Verified:
    """Whom a token spoke of, and the key that signed it: without that it is no token any more."""

    principal: Principal
    kid: str
    key: jwt.PyJWK


class TokenVerifier:
    """Turns bearer tokens into principals. Safe for threads."""

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        audience: str,
        deny_list: DenyList,
        algorithms: frozenset[str] = frozenset({"ES256"}),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param algorithms: accepted ``alg`` values, asymmetric ones only."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._deny_list = deny_list
        self._algorithms = algorithms
        self._clock = clock
        self._verified: OrderedDict[str, _Verified] = OrderedDict()
        self._lock = threading.Lock()

    def cached(self, token: str) -> Principal | None:
        """The principal of a token verified before; None where `verify` must decide. Never blocks on the network.

        A revocation takes effect after `anfl.auth.keys.REVOCATION_LAG_SECONDS` at the latest, the end of a key after
        `anfl.auth.keys.KEYS_REFRESH_SECONDS`.
        """
        with self._lock:
            verified = self._verified.get(token)
            if verified is None:
                return None
            self._verified.move_to_end(token)
        principal = verified.principal
        if not self._keys.still_names(verified.kid, verified.key):
            return None
        if principal.expires_at <= self._clock() or self._deny_list.contains_cached(principal) is not False:
            return None
        return principal

    def verify(self, token: str) -> Principal:
        """The principal of ``token``; may read the auth table.

        :raises Problem: 401 with a code ``token_*`` for a token that is not good; 503 ``auth_unavailable``.
        """
        kid, key = self._key(header_of(token))
        principal = principal_of(self._decode(token, key))
        if self._deny_list.contains(principal):
            raise refused("token_revoked", "the token was revoked; get a new one")
        with self._lock:
            self._verified[token] = _Verified(principal, kid, key)
            if len(self._verified) > _CACHED_TOKENS:
                self._verified.popitem(last=False)
        return principal

    def is_revoked(self, principal: Principal) -> bool:
        """Whether the login of a principal was taken back since; may read the auth table.

        :raises Problem: 503 ``auth_unavailable``.
        """
        return self._deny_list.contains(principal)

    def _decode(self, token: str, key: jwt.PyJWK) -> Claims:
        try:
            payload = jwt.PyJWS().decode(token, key, algorithms=[key.algorithm_name])
        except jwt.InvalidSignatureError:
            raise refused("token_signature", "the token's signature is wrong") from None
        except (jwt.PyJWTError, ValueError):
            raise refused("token_malformed", "the token is not a well-formed JWT") from None
        try:
            claims = msgspec.convert(members_of(payload), Claims)
        except msgspec.ValidationError as error:
            raise refused("token_claims", f"the token's claims are not those of an access token: {error}") from None
        if (claims.iss, claims.aud) != (self._issuer, self._audience):
            raise refused("token_audience", "the token was issued by or for somebody else")
        check_times(self._clock(), exp=claims.exp, nbf=claims.nbf, iat=claims.iat)
        return claims

    def _key(self, header: dict[str, object]) -> tuple[str, jwt.PyJWK]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise refused("token_algorithm", f"sign tokens with one of: {', '.join(sorted(self._algorithms))}")
        if header.get("typ", "JWT") not in _TYPES or not header.keys() <= _HEADER_MEMBERS:
            raise refused("token_malformed", "the token's header may hold alg, kid and typ (JWT) only")
        key = self._keys.find(kid) if isinstance(kid, str) else None
        if not isinstance(kid, str) or key is None or key.algorithm_name != algorithm:
            raise refused("token_unknown_key", "the token is signed by a key that is not (or no longer) published")
        return kid, key


def header_of(
    token: str, *, largest: int = MAX_TOKEN_BYTES, largest_header: int = MAX_HEADER_CHARACTERS
) -> dict[str, object]:
    """The JOSE header, not yet trustworthy.

    :raises Problem: 401.
    """
    if len(token) > largest:
        raise refused("token_too_large", f"a token has at most {largest} bytes")
    encoded = token.partition(".")[0]
    if _COMPACT.fullmatch(token) is None or len(encoded) > largest_header:
        raise refused("token_malformed", "a token is a JWT: three base64url parts joined by dots")
    try:
        return members_of(base64.urlsafe_b64decode(f"{encoded}{'=' * (-len(encoded) % 4)}"))
    except ValueError:
        raise refused("token_malformed", "the token is not a well-formed JWT") from None


def members_of(document: bytes) -> dict[str, object]:
    """A JSON object of UTF-8 in which no name stands twice: readers that differ in what they take, or in which one
    counts, would be deceived.

    :raises Problem: 401 ``token_malformed``.
    """
    try:
        if sum(map(document.count, (b"[", b"{"))) > _MAX_NESTED:
            raise ValueError("nested too deep for a token")
        found = json.loads(document.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text: nobody can be told of it
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise refused("token_malformed", "a token's header and payload are JSON objects, and no name stands twice")
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def refused(code: str, detail: str) -> Problem:
    """401."""
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail)


def verifier_from_settings(settings: TokenSettings | None = None) -> TokenVerifier:
    """The verifier of this process; without ``settings``, from its environment."""
    settings = settings or environment.load(TokenSettings)
    table = AuthTable(name=settings.auth_table)
    return TokenVerifier(
        KeySet(table.published_keys),
        issuer=settings.issuer,
        audience=settings.audience,
        deny_list=DenyList(table.revoked),
    )
