"""Takes tokens back before they expire."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anfl.auth.keys import REVOCATION_LAG_SECONDS
from anfl.auth.principal import Principal, deny_entry, login_of
from anfl.auth.rbac import Action, is_allowed
from anfl.problems import Problem, unavailable


class Denials(Protocol):
    """Where the deny-list stands (see `anfl.auth.table.AuthTable`)."""

    def is_revoked(self, entry: str) -> bool: ...

    def revoke(self, entry: str, *, expires_at: int) -> bool: ...


class Counts(Protocol):
    """How much of it is the tenant's (see `anfl.auth.revocation_counts.RevocationCounts`)."""

    def add(self, tenant: str, *, own: bool = False, beyond: bool = False) -> int | None: ...

    def take_back(self, tenant: str, *, own: bool = False) -> None: ...


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/auth/revoke``."""

    token_id: str
    refused_within: int = int(REVOCATION_LAG_SECONDS)
    """Seconds, after which nobody takes the token any more."""


class Revoker:
    """Puts logins on the deny-list, and of each tenant no more than its share."""

    def __init__(
        self,
        denials: Denials,
        counts: Counts,
        *,
        spare: Callable[[Principal], None],
        session: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """:param spare: takes what lets a caller revoke its own login although the tenant has had its share.

        :param session: seconds after a login at which all its tokens have expired.
        """
        self._denials = denials
        self._counts = counts
        self._spare = spare
        self._session = session
        self._clock = clock

    def revoke(self, by: Principal, token_id: str | None) -> Revocation:
        """Revoke a token of the caller's tenant, and every other one of the same login.

        Nobody is told whether there is such a token: another tenant's is never met, an unknown one makes no difference.

        :param token_id: None for the caller's own.
        :raises Problem: 403 for another's without the role; 429 ``too_many_revocations`` where the tenant has had its
            share of others', and ``too_many_requests`` where beyond its share of own ones the caller's are too many
            too; 503 where it could not be noted.
        """
        token_id = token_id or by.token_id
        own = login_of(token_id) == login_of(by.token_id)
        if not own and not is_allowed(by, Action.TOKENS_REVOKE):
            detail = f"None of your roles grants {Action.TOKENS_REVOKE}, which another's token takes."
            raise Problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
        begun = by.logged_in_at if own else self._clock()
        try:
            self._deny(by, token_id, own=own, expires_at=max(int(begun) + self._session, by.expires_at if own else 0))
        except (BotoCoreError, ClientError) as error:
            detail = "the token could not be revoked; try again"
            raise unavailable(detail, code="auth_unavailable") from error
        return Revocation(token_id=token_id)

    def _deny(self, by: Principal, token_id: str, *, own: bool, expires_at: int) -> None:
        """Counted first, and taken back where somebody else has noted it meanwhile: so what is noted is counted."""
        entry = deny_entry(tenant=by.tenant, token_id=token_id)
        if self._denials.is_revoked(entry):
            return
        if (wait := self._counts.add(by.tenant, own=own)) is not None:
            if not own:
                raise _too_many(wait)
            self._spare(by)
            self._counts.add(by.tenant, own=True, beyond=True)
        if not self._denials.revoke(entry, expires_at=expires_at):
            self._counts.take_back(by.tenant, own=own)


def _too_many(seconds: int) -> Problem:
    detail = (
        "Your tenant has revoked as many logins of others as may be at a time; wait until some of them have ended. "
        "You may still revoke your own."
    )
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_revocations", detail, retry_after=max(1, seconds))
