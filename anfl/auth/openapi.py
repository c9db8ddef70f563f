"""The OpenAPI 3.1 description of ``/v1/auth/*``, made from the types of its requests and answers.

``python -m anfl.auth.openapi > docs/auth_openapi.json`` writes it, as ``make openapi`` does; a test compares it.
"""

import sys
from http import HTTPStatus
from typing import Any

import msgspec

from anfl import openapi
from anfl.auth.answers import BearerToken, Identity, PublicKeys
from anfl.auth.grants import AppRole, AwsIam, Oidc, Refresh, RevokeRequest
from anfl.auth.revocation import Revocation
from anfl.openapi import Operation

GRANTS = (AppRole, AwsIam, Oidc, Refresh)
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
    429: "The caller, or all together, ask more than the environment allows: `too_many_requests`, `throttled`; or its "
    "tenant has had its share of the deny-list: `too_many_revocations`.",
    503: "Vault, an issuer's keys or the deny-list do not answer: `vault_unavailable`, `auth_unavailable`.",
}
_PUBLIC = frozenset({429, 503})
"""What anybody may be told by a call that takes nothing."""

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/auth/token",
        name="getToken",
        summary="Exchange a credential, or a token that is still good, for a token.",
        answer=BearerToken,
        takes=GRANTS,
        guarded=False,
    ),
    Operation(
        method="GET",
        path="/v1/auth/jwks.json",
        name="listKeys",
        summary="The keys that verify tokens.",
        answer=PublicKeys,
        guarded=False,
    ),
    Operation(
        method="GET", path="/v1/auth/whoami", name="whoAmI", summary="Whose the presented token is.", answer=Identity
    ),
    Operation(
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
    described = openapi.document(OPERATIONS, title="ANFL authentication", description=_DESCRIPTION, refusals=_refusals)
    schemas = described["components"]["schemas"]
    client = schemas[AwsIam.__name__]["properties"]["client"]
    (token_id,) = (
        kind for kind in schemas[RevokeRequest.__name__]["properties"]["token_id"]["anyOf"] if "pattern" in kind
    )
    for named in (client, token_id):
        named["pattern"] = named["pattern"].replace(r"\A", "^").replace(r"\Z", "$")  # as ECMA-262 has it
    return described


def _refusals(call: Operation) -> dict[str, Any]:
    statuses = _REFUSALS.keys() if call.takes else _PUBLIC | ({401, 403} if call.guarded else set())
    return {
        str(status): openapi.refusal(f"{HTTPStatus(status).phrase}. {_REFUSALS[status]}") for status in sorted(statuses)
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1) + b"\n")
