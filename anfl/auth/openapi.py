"""The OpenAPI 3.1 description of ``/v1/auth/*``, made from the types of its requests and answers.

``python -m anfl.auth.openapi > docs/auth_openapi.json`` writes it, as ``make openapi`` does; a test compares it.
"""

import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from anfl.auth.answers import BearerToken, Identity, PublicKeys
from anfl.auth.grants import AppRole, AwsIam, Oidc, Refresh, RevokeRequest
from anfl.auth.revocation import Revocation
from anfl.problems import MEDIA_TYPE

GRANTS = (AppRole, AwsIam, Oidc, Refresh)
_REFERENCE = "#/components/schemas/{name}"
_DESCRIPTION = """\
Who somebody is: a credential is exchanged for a bearer token, which everything else takes.

A token lives for `expires_in` seconds, a login as a whole no longer than the environment's `tokens.session`. A revoked
token is refused everywhere `refused_within` seconds later. **Errors** are problem documents (RFC 9457) with a stable
`code`; those with `retry-after` may be tried again.
"""
_REFUSALS = {
    400: "The body is no JSON, or not what the call takes: `malformed_json`, `invalid_request`.",
    401: "The credential or token proves nobody: `invalid_credentials`, `token_*`, `login_ended`.",
    403: "The client has no tenant or roles (`no_roles`), or none that grants the action (`forbidden`).",
    413: "The body is over its limit: `too_large`.",
    429: "The gateway is asked more than the environment allows: `too_many_requests`.",
    503: "Vault, an issuer's keys or the deny-list do not answer: `vault_unavailable`, `auth_unavailable`.",
}
_PUBLIC = frozenset({429, 503})
"""What anybody may be told by a call that takes nothing."""


@dataclass(frozen=True, kw_only=True)
class _Operation:
    method: str
    path: str
    name: str
    summary: str
    answer: type
    takes: tuple[type, ...] = ()
    optional: bool = False
    """Whether the body may be left out."""
    guarded: bool = True


OPERATIONS = (
    _Operation(
        method="POST",
        path="/v1/auth/token",
        name="getToken",
        summary="Exchange a credential, or a token that is still good, for a token.",
        answer=BearerToken,
        takes=GRANTS,
        guarded=False,
    ),
    _Operation(
        method="GET",
        path="/v1/auth/jwks.json",
        name="listKeys",
        summary="The keys that verify tokens.",
        answer=PublicKeys,
        guarded=False,
    ),
    _Operation(
        method="GET", path="/v1/auth/whoami", name="whoAmI", summary="Whose the presented token is.", answer=Identity
    ),
    _Operation(
        method="POST",
        path="/v1/auth/revoke",
        name="revoke",
        summary="Take back a login with all its tokens: one's own, or by `token_id` another of the tenant.",
        answer=Revocation,
        takes=(RevokeRequest,),
        optional=True,
    ),
)


def document() -> dict[str, Any]:
    """The description, JSON-ready."""
    types = {type_ for call in OPERATIONS for type_ in (call.answer, *call.takes)}
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    client = components[AwsIam.__name__]["properties"]["client"]
    client["pattern"] = client["pattern"].replace(r"\A", "^").replace(r"\Z", "$")  # as ECMA-262 has it
    paths: dict[str, dict[str, Any]] = {}
    for call in OPERATIONS:
        paths.setdefault(call.path, {})[call.method.lower()] = _described(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ANFL authentication", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "security": [{"bearer": []}],
        "components": {
            "schemas": components | {"Problem": _problem()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _described(call: _Operation) -> dict[str, Any]:
    statuses = _REFUSALS.keys() if call.takes else _PUBLIC | ({401, 403} if call.guarded else set())
    described: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.summary,
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": _reference(call.answer)}}},
            **{str(status): _refusal(status) for status in sorted(statuses)},
        },
    }
    if not call.guarded:
        described["security"] = []
    if call.takes:
        schema = _reference(call.takes[0]) if len(call.takes) == 1 else _one_of(call.takes)
        described["requestBody"] = {"required": not call.optional, "content": {"application/json": {"schema": schema}}}
    return described


def _one_of(grants: tuple[type, ...]) -> dict[str, Any]:
    tags = {str(grant.__struct_config__.tag): _reference(grant)["$ref"] for grant in grants}  # type: ignore[attr-defined]
    return {"oneOf": list(map(_reference, grants)), "discriminator": {"propertyName": "grant", "mapping": tags}}


def _refusal(status: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(name="Problem")}
    text = f"{HTTPStatus(status).phrase}. {_REFUSALS[status]}"
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}


def _problem() -> dict[str, Any]:
    texts = {name: {"type": "string"} for name in ("type", "title", "code", "detail")}
    return {"type": "object", "required": [*texts, "status"], "properties": texts | {"status": {"type": "integer"}}}


def _reference(type_: type) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=type_.__name__)}


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1) + b"\n")
