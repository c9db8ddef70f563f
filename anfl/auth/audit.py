"""The audit log of who was let in, what they were allowed, and why not: lines of the logger ``anfl.audit``.

One line a decision, with who, what, decision, reason and the request's id, and never a token, a credential or a body.
A decision that is used again from a cache is not told again; what reading takes is told when it is refused.
"""

import logging
from enum import StrEnum
from http import HTTPStatus

import msgspec

from anfl.auth.principal import Principal, login_of
from anfl.problems import Problem

LOGGER = "anfl.audit"
_log = logging.getLogger(LOGGER)


class Decision(StrEnum):
    """What was decided."""

    ALLOW = "allow"
    DENY = "deny"
    ERROR = "error"
    """It could not be found out, so the answer was no."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants."""

    request_id: str
    method: str
    path: str
    action: str | None = None
    """Of `anfl.auth.rbac.Action`; None where the question is only who it is."""


def authenticated(asked: Asked, principal: Principal) -> None:
    """A token was verified, and is good."""
    _note("authentication", Decision.ALLOW, "token_verified", asked, principal)


def authorised(asked: Asked, principal: Principal) -> None:
    """The principal's roles grant the action."""
    _note("authorisation", Decision.ALLOW, "granted", asked, principal)


def refused(asked: Asked, problem: Problem, principal: Principal | None = None) -> None:
    """:param principal: None where nobody was authenticated."""
    failed = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    subject = "authentication" if principal is None else "authorisation"
    _note(subject, Decision.ERROR if failed else Decision.DENY, problem.code, asked, principal)


def issued(principal: Principal, *, grant: str, request_id: str) -> None:
    """A token was issued. :param grant: what was exchanged for it."""
    asked = Asked(request_id=request_id, method="POST", path="/v1/auth/token")
    _note("token_issued", Decision.ALLOW, grant, asked, principal)


def revoked(by: Principal, token_id: str, *, request_id: str) -> None:
    """The login of ``token_id`` was revoked."""
    asked = Asked(request_id=request_id, method="POST", path="/v1/auth/revoke", action=token_id)
    own = login_of(token_id) == login_of(by.token_id)
    _note("token_revoked", Decision.ALLOW, "own" if own else "by_operator", asked, by)


def _note(event: str, decision: Decision, reason: str, asked: Asked, principal: Principal | None) -> None:
    who: dict[str, object] = {}
    if principal is not None:
        who = {
            "subject": principal.subject,
            "tenant": principal.tenant,
            "roles": sorted(principal.roles),
            "token_id": principal.token_id,
            "expires_at": principal.expires_at,
        }
    what = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
    _log.info(event, extra={"decision": decision.value, "reason": reason, **what, **who})
