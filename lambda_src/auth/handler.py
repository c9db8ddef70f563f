"""``/v1/auth/*`` behind API Gateway (Lambda proxy): tokens, public keys, who a token's bearer is, and revocation."""

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from anfl import aws, environment, start
from anfl import cache as shared
from anfl.auth import audit
from anfl.auth.answers import Identity
from anfl.auth.bearer import bearer_token
from anfl.auth.grants import MAX_BODY, AppRole, AwsIam, Grant, Oidc, Refresh, grant_in, revocation_in
from anfl.auth.issuer import IssuedToken, TokenIssuer
from anfl.auth.oidc import ExternalIssuer, ExternalVerifier
from anfl.auth.principal import Principal
from anfl.auth.rbac import action_for
from anfl.auth.revocation import Revoker
from anfl.auth.revocation_counts import RevocationCounts
from anfl.auth.table import AuthTable
from anfl.auth.throttle import SPARE, CallThrottle
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.verifier import TokenSettings, TokenVerifier, verifier_from_settings
from anfl.buckets import Region
from anfl.buckets import Settings as Limits
from anfl.problems import Problem, invalid, not_found, too_large
from anfl.protection import CACHING, PRIVATE, PROTECTION
from anfl.resources import Function
from anfl.telemetry import embedded

start.begin()
_log = logging.getLogger(__name__)

Event = Mapping[str, Any]


class Settings(TokenSettings, frozen=True, kw_only=True):
    """The function's environment."""

    vault_address: str = msgspec.field(name="VAULT_ADDR")
    token_lifetime: int = msgspec.field(name="TOKEN_TTL_SECONDS")
    session: int = msgspec.field(name="TOKEN_SESSION_SECONDS")
    region: str = msgspec.field(name="AWS_REGION")
    issuers: str = msgspec.field(name="TOKEN_ISSUERS")
    """JSON: a list of `ExternalIssuer`."""
    rate: float = msgspec.field(name="TOKEN_THROTTLE_RATE")
    burst: int = msgspec.field(name="TOKEN_THROTTLE_BURST")
    revocations: int = msgspec.field(name="REVOCATIONS_PER_TENANT")


@cache
def _settings() -> Settings:
    return environment.load(Settings)


@cache
def _table() -> AuthTable:
    return AuthTable(name=_settings().auth_table)


@cache
def _issuer() -> TokenIssuer:
    settings = _settings()
    return TokenIssuer(
        VaultClient(address=settings.vault_address, credentials=IamRole(Function.AUTH)),
        published_keys=_table().published_keys,
        region=settings.region,
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=settings.token_lifetime,
        session=settings.session,
    )


@cache
def _verifier() -> TokenVerifier:
    return verifier_from_settings(_settings())


@cache
def _people() -> ExternalVerifier:
    issuers = _settings().issuers
    return ExternalVerifier(msgspec.json.decode(issuers, type=list[ExternalIssuer]))


@cache
def _region() -> Region | None:
    return shared.buckets(environment.load(shared.Settings), aws.session())


@cache
def _throttle() -> CallThrottle:
    return CallThrottle(Limits(rate=_settings().rate, burst=_settings().burst), region=_region())


@cache
def _revoker() -> Revoker:
    settings = _settings()
    counts = RevocationCounts(
        table=settings.auth_table, region=settings.region, most=settings.revocations, session=settings.session
    )
    spare = CallThrottle(SPARE, region=_region())
    return Revoker(
        _table(), counts, spare=lambda principal: spare.spend(principal, on="revoke"), session=settings.session
    )


def _token(event: Event) -> object:
    try:
        grant = grant_in(_body(event))
        issued = _exchange(grant, _address(event))
    except Problem as problem:
        audit.refused(_asked(event), problem)
        raise
    audit.issued(issued.principal, grant=str(grant.__struct_config__.tag), request_id=_request_id(event))
    return issued.answer()


def _exchange(grant: Grant, address: str) -> IssuedToken:
    """Each is counted by whom it has proven, or claims, before Vault is asked."""
    match grant:
        case AppRole():
            # Vault passes over blanks around it: each spelling would have a bucket of its own.
            _throttle().spend_claimed(grant.role_id.strip(), address=address)
            return _issuer().exchange_approle(role_id=grant.role_id, secret_id=grant.secret_id)
        case AwsIam():
            _throttle().spend_claimed(grant.client, address=address)
            fields = msgspec.structs.asdict(grant)
            return _issuer().exchange_iam(client=fields.pop("client"), request=fields)
        case Oidc():
            person = _people().verify(grant.token)
            _throttle().spend(person)
            return _issuer().exchange_oidc(person)
        case Refresh():
            principal = _verifier().verify(grant.token)
            _throttle().spend(principal)
            return _issuer().refresh(grant.token, principal)


def _jwks(_event: Event) -> object:
    return _issuer().jwks()


def _whoami(event: Event) -> object:
    principal = _principal(event)
    return Identity(
        subject=principal.subject,
        tenant=principal.tenant,
        roles=sorted(principal.roles),
        token_id=principal.token_id,
        expires_at=principal.expires_at,
    )


def _revoke(event: Event) -> object:
    principal = _principal(event)
    request = revocation_in(_body(event))
    try:
        revocation = _revoker().revoke(principal, request.token_id)
    except Problem as problem:
        audit.refused(_asked(event), problem, principal)
        raise
    audit.revoked(principal, revocation.token_id, request_id=_request_id(event))
    return revocation


def _principal(event: Event) -> Principal:
    try:
        principal = _verifier().verify(bearer_token(*_headers(event, "authorization")))
        _throttle().spend(principal)
    except Problem as problem:
        audit.refused(_asked(event), problem)
        raise
    audit.authenticated(_asked(event), principal)
    return principal


def _headers(event: Event, name: str) -> list[str]:
    """Every value of the header ``name``."""
    multiple: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    single = {key: [value] for key, value in (event.get("headers") or {}).items()}
    return [value for key, values in (multiple or single).items() if key.lower() == name for value in values]


def _request_id(event: Event) -> str:
    return str((event.get("requestContext") or {}).get("requestId", ""))


def _address(event: Event) -> str:
    """Whence it comes, as the gateway saw it."""
    return str(((event.get("requestContext") or {}).get("identity") or {}).get("sourceIp", ""))


def _asked(event: Event) -> audit.Asked:
    method, path = event["httpMethod"], event.get("resource") or event["path"]
    return audit.Asked(request_id=_request_id(event), method=method, path=path, action=action_for(method, path))


def _body(event: Event) -> bytes:
    text: str = event.get("body") or ""
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise invalid("the body is not readable", code="malformed_json") from None
    if len(body) > MAX_BODY:
        raise too_large(f"a body holds at most {MAX_BODY} bytes here")
    return body


_ROUTES: Mapping[tuple[str, str], tuple[Callable[[Event], object], str]] = {
    ("POST", "/v1/auth/token"): (_token, PRIVATE),
    ("GET", "/v1/auth/jwks.json"): (_jwks, "public, max-age=60"),
    ("GET", "/v1/auth/whoami"): (_whoami, PRIVATE),
    ("POST", "/v1/auth/revoke"): (_revoke, PRIVATE),
}
"""What answers a route, and how long the answer may be kept."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one proxied request; errors are problem documents."""
    method, path = event["httpMethod"], event.get("resource") or event["path"]
    try:
        route = _ROUTES.get((method, path))
        if route is None:
            raise not_found(f"there is no {method} {path}", code="no_such_route")
        with embedded.call(Function.AUTH) as call:
            call.operation = f"{method} {path}"
            answer, caching = route[0](event), route[1]
    except Problem as problem:
        extra = {"code": problem.code, "status": problem.status, "path": path, "request_id": _request_id(event)}
        _log.info("refused", extra=extra)
        return _response(problem.status, problem.document(), problem.headers() | {CACHING: PRIVATE})
    except Exception:
        _log.exception("unexpected error", extra={"path": path})
        failure = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on our side")
        return _response(failure.status, failure.document(), failure.headers() | {CACHING: PRIVATE})
    return _response(HTTPStatus.OK, answer, {"content-type": "application/json", CACHING: caching})


def _response(status: int, document: object, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "statusCode": int(status),
        "headers": dict(headers) | PROTECTION,
        "body": msgspec.json.encode(document).decode(),
        "isBase64Encoded": False,
    }
