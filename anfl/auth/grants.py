"""What clients send to ``/v1/auth/token`` and ``/v1/auth/revoke``."""

from typing import Annotated, Any, get_args

import msgspec

from anfl.auth.principal import TOKEN_ID_PATTERN
from anfl.auth.verifier import MAX_TOKEN_BYTES, TENANT_PATTERN
from anfl.decoding import parse
from anfl.problems import Problem, invalid

MAX_BODY = 16 * 1024
"""A signed request carries a session token of AWS, whose size has no stated limit."""
_Credential = Annotated[
    str,
    msgspec.Meta(pattern=r"\S", max_length=256, extra_json_schema={"description": "It is not blank"}),
]
"""Vault takes blanks alone for nothing at all, and says so with 500 where it counts failures by role id."""
_Signed = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BODY)]
CLIENT_PATTERN = TENANT_PATTERN.removesuffix(r"\Z") + r"\.[a-z0-9_.-]+\Z"
"""Vault finds a role by its name in lower case, of any script: another spelling would be the same client under a second
subject, with a rate of its own and a second voice where several people have to approve."""

_CLIENT = "It is <tenant>.<name>, in lower-case letters, digits, '_', '.' and '-'"


class _Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="grant"):
    """Body of ``POST /v1/auth/token``."""


class AppRole(_Grant, frozen=True, kw_only=True, tag="approle"):
    """The credentials of an AppRole of Vault."""

    role_id: _Credential
    secret_id: _Credential


class AwsIam(_Grant, frozen=True, kw_only=True, tag="aws_iam"):
    """A signed GetCallerIdentity request, in the fields of Vault's aws method, for the client ``<tenant>.<name>``."""

    client: Annotated[
        str, msgspec.Meta(pattern=CLIENT_PATTERN, max_length=256, extra_json_schema={"description": _CLIENT})
    ]
    iam_http_request_method: _Credential
    iam_request_url: _Signed
    iam_request_body: _Signed
    iam_request_headers: _Signed


class Refresh(_Grant, frozen=True, kw_only=True, tag="refresh"):
    """A token that is still good."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOKEN_BYTES)]


class Oidc(_Grant, frozen=True, kw_only=True, tag="oidc"):
    """A token of an OpenID Connect issuer that the environment names."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BODY)]


Grant = AppRole | AwsIam | Refresh | Oidc
_KINDS: dict[str, Any] = {kind.__struct_config__.tag: kind for kind in get_args(Grant)}


class _Named(msgspec.Struct):
    grant: str


_ID = "It is the id of a token: 32 hexadecimal digits in groups of 8-4-4-4-12, perhaps a dot and 12 more"


class RevokeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/auth/revoke``; without an id, or without a body, it is about the caller's own token."""

    token_id: Annotated[str, msgspec.Meta(pattern=TOKEN_ID_PATTERN, extra_json_schema={"description": _ID})] | None = (
        None
    )


def grant_in(body: bytes) -> Grant:
    """:raises Problem: 400 ``malformed_json``, ``invalid_request``."""
    grant: Grant = _decoded(
        body, _kind_in(body), "Send grant (approle, aws_iam, oidc or refresh) and what belongs to it."
    )
    return grant


def _kind_in(body: bytes) -> Any:  # noqa: ANN401 - a union is no type
    """The one that is named, so that what is wrong is told of it alone; any where that does not help."""
    try:
        return _KINDS.get(msgspec.json.decode(body, type=_Named).grant, Grant)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Grant


def revocation_in(body: bytes) -> RevokeRequest:
    """:raises Problem: 400 ``malformed_json``, ``invalid_request``."""
    if not body:
        return RevokeRequest()
    request: RevokeRequest = _decoded(body, RevokeRequest, "Send token_id, or nothing for your own token.")
    return request


def _decoded(body: bytes, kind: Any, advice: str) -> Any:  # noqa: ANN401 - a union is no type
    try:
        return parse(body, kind)
    except Problem as problem:
        raise invalid(f"{problem.detail} {advice}", field=problem.field, code=problem.code) from None
