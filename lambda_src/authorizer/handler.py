"""API Gateway's authorizer (type TOKEN): bearer token in, IAM policy for every route of its bearer's roles out."""

from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from anfl import aws, environment, start
from anfl import cache as shared
from anfl.auth import audit
from anfl.auth.authorizer import Authorizer
from anfl.auth.bearer import bearer_token
from anfl.auth.gateway_policy import policy
from anfl.auth.vault import VaultClient
from anfl.auth.verifier import TokenSettings, verifier_from_settings
from anfl.problems import Problem
from anfl.resources import Function
from anfl.telemetry import embedded

start.begin()


class Settings(TokenSettings, frozen=True, kw_only=True):
    """The function's environment."""

    vault_address: str = msgspec.field(name="VAULT_ADDR")


@cache
def _authorizer() -> Authorizer:
    settings = environment.load(Settings)
    marks = shared.connect(environment.load(shared.Settings), aws.session())
    return Authorizer(verifier_from_settings(settings), VaultClient(address=settings.vault_address), marks=marks)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer API Gateway.

    :raises Exception: exactly ``Unauthorized`` makes the gateway answer 401; any other error, 503.
    """
    asked = _asked(event, context)
    try:
        with embedded.call(Function.AUTHORIZER) as call:
            call.operation = "authorize"
            principal = _authorizer().principal(bearer_token(event.get("authorizationToken") or ""))
    except Problem as problem:
        audit.refused(asked, problem)
        if problem.status == HTTPStatus.UNAUTHORIZED:
            raise Exception("Unauthorized") from None
        raise
    audit.authenticated(asked, principal)
    return {
        "principalId": principal.subject,
        "policyDocument": policy(method_arn=event["methodArn"], roles=principal.roles),
        "context": {
            "tenant": principal.tenant,
            "subject": principal.subject,
            "roles": " ".join(sorted(principal.roles)),
        },
    }


def _asked(event: dict[str, Any], context: object) -> audit.Asked:
    """What the caller wants first; the answer is for all routes of its roles.

    The event names no request: the gateway's access log has this call's id as ``authorizerRequestId``.
    """
    method, _, path = event["methodArn"].partition("/")[2].partition("/")[2].partition("/")
    return audit.Asked(request_id=str(getattr(context, "aws_request_id", "")), method=method, path=f"/{path}")
