"""``/v1/auth/*`` behind API Gateway (Lambda proxy): tokens, public keys, and who a token's bearer is."""

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from anfl import environment
from anfl.auth.issuer import TokenIssuer
from anfl.auth.table import AuthTable
from anfl.auth.vault import IamRole, VaultClient
from anfl.auth.verifier import TokenSettings, TokenVerifier, bearer_token, verifier_from_settings
from anfl.problems import Problem, invalid, not_found, too_large
from anfl.resources import Function
from anfl.telemetry import embedded, logs

logs.configure()
_log = logging.getLogger(__name__)

MAX_BODY = 4096
Event = Mapping[str, Any]
_Credential = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Settings(TokenSettings, frozen=True, kw_only=True):
    """The function's environment."""

    vault_address: str = msgspec.field(name="VAULT_ADDR")
    token_lifetime: int = msgspec.field(name="TOKEN_TTL_SECONDS")
    region: str = msgspec.field(name="AWS_REGION")


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/auth/token``."""

    grant: Literal["approle"]
    role_id: _Credential
    secret_id: _Credential


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/auth/whoami``. ``expires_at`` is in seconds since the epoch."""

    subject: str
    tenant: str
    roles: list[str]
    token_id: str
    expires_at: int


@cache
def _settings() -> Settings:
    return environment.load(Settings)


@cache
def _issuer() -> TokenIssuer:
    settings = _settings()
    return TokenIssuer(
        VaultClient(address=settings.vault_address, credentials=IamRole(Function.AUTH)),
        published_keys=AuthTable(name=settings.auth_table).published_keys,
        region=settings.region,
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=settings.token_lifetime,
    )


@cache
def _verifier() -> TokenVerifier:
    return verifier_from_settings(_settings())


def _token(event: Event) -> object:
    try:
        request = msgspec.json.decode(_body(event), type=TokenRequest)
    except msgspec.ValidationError as error:
        raise invalid(f"{error}; send grant (approle), role_id and secret_id") from None
    except msgspec.DecodeError:
        raise invalid("the body is not JSON", code="malformed_json") from None
    return _issuer().exchange_approle(role_id=request.role_id, secret_id=request.secret_id)


def _jwks(_event: Event) -> object:
    return _issuer().jwks()


def _whoami(event: Event) -> object:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    principal = _verifier().verify(bearer_token(headers.get("authorization")))
    return Identity(
        subject=principal.subject,
        tenant=principal.tenant,
        roles=sorted(principal.roles),
        token_id=principal.token_id,
        expires_at=principal.expires_at,
    )


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
    ("POST", "/v1/auth/token"): (_token, "no-store"),
    ("GET", "/v1/auth/jwks.json"): (_jwks, "public, max-age=60"),
    ("GET", "/v1/auth/whoami"): (_whoami, "no-store"),
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
        _log.info("refused", extra={"code": problem.code, "status": problem.status, "path": path})
        return _response(problem.status, problem.document(), problem.headers() | {"cache-control": "no-store"})
    except Exception:
        _log.exception("unexpected error", extra={"path": path})
        failure = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on our side")
        return _response(failure.status, failure.document(), failure.headers())
    return _response(HTTPStatus.OK, answer, {"content-type": "application/json", "cache-control": caching})


def _response(status: int, document: object, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "statusCode": int(status),
        "headers": dict(headers),
        "body": msgspec.json.encode(document).decode(),
        "isBase64Encoded": False,
    }
