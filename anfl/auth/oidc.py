"""Tokens of OpenID Connect issuers, which people exchange for tokens of ours at ``/v1/auth/token``.

An issuer is named by the environment with its keys' address, its audience and the one tenant that it speaks for: what a
token says of itself leads nowhere. Keys are fetched from public addresses only, by the address that was looked at, and
no redirect is followed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import jwt
import msgspec
from urllib3.exceptions import HTTPError

from anfl import elapsed, public_hosts
from anfl.auth import jwk
from anfl.auth.cached import Cached
from anfl.auth.principal import Role
from anfl.auth.verifier import check_times, header_of, members_of, refused
from anfl.problems import unavailable

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"})
KEYS_REFRESH_SECONDS = 300.0
UNKNOWN_KEY_REFRESH_SECONDS = 30.0
"""Unknown kids make a process fetch the keys at most this often."""
KEYS_MAX_AGE_SECONDS = 3600.0
"""How long an issuer that cannot be reached is bridged by its last keys."""
FETCH_SECONDS = 1.5
MAX_TOKEN_BYTES = 8192
_MAX_HEADER_CHARACTERS = 2048
_MAX_KEYS_BYTES = 64 * 1024
_MAX_KEYS = 32
_CHANGES_THE_RULES = frozenset({"crit", "b64", "zip"})
"""A header that has one is refused; members that name keys (``jku``, ``x5u``, ``jwk``) are not looked at."""
_Moment = Annotated[float, msgspec.Meta(ge=0, lt=2**38)]


class ExternalIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer, as the environment names it."""

    name: str
    """Stands before the subject of its people's tokens, which no AppRole's name can begin with."""
    issuer: str
    audience: str
    keys: str
    """``https`` address of its JSON Web Key Set."""
    tenant: str
    claim: str
    """Of its tokens: a list, or words, that ``roles`` translates."""
    roles: dict[str, Role]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an issuer vouches for."""

    subject: str
    tenant: str
    roles: frozenset[Role]


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str | list[str]
    sub: Annotated[str, msgspec.Meta(pattern=r"\A[\x20-\x7e]+\Z", max_length=200)]
    """ASCII, as OpenID Connect Core 1.0 section 2 has it, and printable: terminals and logs show it."""
    exp: _Moment
    iat: _Moment
    nbf: _Moment = 0
    azp: str | None = None


class UnreachableError(Exception):
    """Keys cannot be had from where they are said to be."""


Fetch = Callable[[str], bytes]
"""URL → document. Raises `UnreachableError`."""


class ExternalVerifier:
    """Turns issuers' tokens into people. Safe for threads."""

    def __init__(
        self, issuers: Sequence[ExternalIssuer], *, fetch: Fetch | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        fetch = fetch or fetch_public
        self._clock = clock
        self._issuers = {issuer.issuer: (issuer, _keys(issuer, fetch)) for issuer in issuers}

    def verify(self, token: str) -> Person:
        """Who presents ``token``.

        :raises Problem: 401 ``token_*``; 503 ``auth_unavailable`` where the issuer's keys cannot be had.
        """
        header = header_of(token, largest=MAX_TOKEN_BYTES, largest_header=_MAX_HEADER_CHARACTERS)
        issuer, keys = self._issuer_of(token)
        payload = _verified(token, header, keys)
        try:
            claims = msgspec.convert(payload, _Claims)
        except msgspec.ValidationError as error:
            raise refused("token_claims", f"the token's claims are not as OpenID Connect has them: {error}") from None
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != issuer.issuer or issuer.audience not in audiences:
            raise refused("token_audience", "the token was issued by or for somebody else")
        if len(audiences) > 1 and claims.azp != issuer.audience:
            # OpenID Connect Core 1.0 section 3.1.3.7: any of them holds the token, and could present it here.
            raise refused("token_audience", f"of several audiences the authorised party (azp) is not {issuer.audience}")
        check_times(self._clock(), exp=claims.exp, nbf=claims.nbf, iat=claims.iat)
        roles = frozenset(issuer.roles[value] for value in _values(payload, issuer.claim) if value in issuer.roles)
        if not roles:
            raise refused("token_claims", f"nothing in the token's {issuer.claim!r} stands for a role here")
        return Person(subject=f"{issuer.name}:{claims.sub}", tenant=issuer.tenant, roles=roles)

    def _issuer_of(self, token: str) -> tuple[ExternalIssuer, "Cached[Mapping[str, jwt.PyJWK]]"]:
        """Only chooses among those that are configured; the claim is proven afterwards."""
        try:
            encoded = token.split(".")[1]
            claimed = members_of(jwt.utils.base64url_decode(encoded)).get("iss")
        except ValueError:
            claimed = None
        found = self._issuers.get(claimed) if isinstance(claimed, str) else None
        if found is None:
            raise refused("token_audience", "tokens of this issuer are not exchanged here")
        return found


def _keys(issuer: ExternalIssuer, fetch: Fetch) -> "Cached[Mapping[str, jwt.PyJWK]]":
    def load() -> Mapping[str, jwt.PyJWK]:
        return _parsed(fetch(issuer.keys))

    return Cached(load, clock=elapsed.seconds, failures=(UnreachableError,))


def _verified(token: str, header: Mapping[str, object], keys: "Cached[Mapping[str, jwt.PyJWK]]") -> dict[str, object]:
    algorithm, kid = header.get("alg"), header.get("kid")
    known_algorithm = isinstance(algorithm, str) and algorithm in ALGORITHMS
    if not known_algorithm or not isinstance(kid, str) or header.keys() & _CHANGES_THE_RULES:
        raise refused("token_algorithm", f"sign tokens with one of {', '.join(sorted(ALGORITHMS))}, and name the key")
    known, age = keys.get(max_age=KEYS_REFRESH_SECONDS)
    if kid not in known:
        known, age = keys.get(max_age=UNKNOWN_KEY_REFRESH_SECONDS)
    if age > KEYS_MAX_AGE_SECONDS:
        raise unavailable("the issuer's keys cannot be read at the moment; try again", code="auth_unavailable")
    key = known.get(kid)
    if key is None or key.algorithm_name != algorithm:
        raise refused("token_unknown_key", "its issuer does not (or no longer) publish the key that signed the token")
    try:
        return members_of(jwt.PyJWS().decode(token, key, algorithms=[key.algorithm_name]))
    except jwt.InvalidSignatureError:
        raise refused("token_signature", "the token's signature is wrong") from None
    except (jwt.PyJWTError, ValueError):
        raise refused("token_malformed", "the token is not a well-formed JWT") from None


def _values(payload: Mapping[str, object], claim: str) -> list[str]:
    found = payload.get(claim)
    given = found.split() if isinstance(found, str) else found
    return [value for value in given if isinstance(value, str)] if isinstance(given, list) else []


def _parsed(document: bytes) -> dict[str, jwt.PyJWK]:
    """Keys by kid; those that sign by no algorithm of `ALGORITHMS`, or are too short for it, are left out.

    :raises UnreachableError: it is no key set.
    """
    try:
        found = msgspec.json.decode(document, type=dict[str, object])["keys"]
    except (msgspec.DecodeError, KeyError) as error:
        raise UnreachableError(f"no JSON Web Key Set: {error!r}") from error
    usable: dict[str, jwt.PyJWK] = {}
    for member in found[:_MAX_KEYS] if isinstance(found, list) else []:
        try:
            key = jwk.read(member)
        except jwk.UnreadableKeyError:
            continue
        if isinstance(key.key_id, str) and _signs(key) and member.get("use", "sig") == "sig":
            usable[key.key_id] = key
    return usable


def _signs(key: jwt.PyJWK) -> bool:
    """By an algorithm of ours, and long enough for it: RSA by 2,048 bits at least (RFC 7518, 3.3 and 3.5)."""
    return key.algorithm_name in ALGORITHMS and key.Algorithm.check_key_length(key.key) is None


def fetch_public(url: str, *, resolver: public_hosts.Resolver = public_hosts.resolve) -> bytes:
    """GET over TLS from a host whose every address is public; the name is resolved once, no redirect is followed.

    :raises UnreachableError: whatever is in the way.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme != "https" or not host:
        raise UnreachableError(f"{url} is no https address")
    try:
        addresses = resolver(host)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{host} has no address: {error}") from error
    if not addresses or not all(map(public_hosts.is_public, addresses)):
        raise UnreachableError(f"{host} is no public host")
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return _get(addresses[0], host, parts.port or 443, target)


def _get(address: str, host: str, port: int, target: str) -> bytes:
    """From ``address``, whose certificate must be for ``host``."""
    try:
        status, document = public_hosts.request(
            "GET",
            target,
            address=address,
            host=host,
            port=port,
            headers={"host": host, "accept": "application/json"},
            seconds=FETCH_SECONDS,
            most_bytes=_MAX_KEYS_BYTES + 1,
        )
    except HTTPError as error:
        raise UnreachableError(f"{host} does not answer: {error}") from error
    if status != 200 or len(document) > _MAX_KEYS_BYTES:
        raise UnreachableError(f"{host} answered {status} with {len(document)} bytes")
    return document
