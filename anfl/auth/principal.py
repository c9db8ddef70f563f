"""The caller of a request, as established by a verified token."""

import uuid
from enum import StrEnum

import msgspec

TOKEN_ID_PATTERN = r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.[0-9a-f]{12})?\Z"  # noqa: S105 - the shape of a name
"""Ids as `new_login` and `new_token` make them; nothing else is ever on the deny-list."""


class Role(StrEnum):
    """Roles a principal holds within its tenant."""

    READER = "reader"
    WRITER = "writer"
    REGISTRAR = "registrar"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A verified caller. ``expires_at`` is in seconds since the epoch."""

    subject: str
    tenant: str
    roles: frozenset[Role]
    token_id: str
    """``<login>`` or ``<login>.<n>``: a refreshed token keeps the login of the one that it follows."""
    expires_at: int
    logged_in_at: int = 0
    """Seconds since the epoch; a refresh does not change it."""

    @property
    def deny_entry(self) -> str:
        """What stands on the deny-list once this token's login is revoked."""
        return deny_entry(tenant=self.tenant, token_id=self.token_id)


def deny_entry(*, tenant: str, token_id: str) -> str:
    """Names the login of a token on the deny-list. A tenant's name holds no slash, so nobody can name another's."""
    return f"{tenant}/{login_of(token_id)}"


def new_login() -> str:
    """An id for a login, which is that of its first token too."""
    return str(uuid.uuid4())


def new_token(login: str) -> str:
    """An id for a token that follows another one of the ``login``."""
    return f"{login}.{uuid.uuid4().hex[:12]}"


def login_of(token_id: str) -> str:
    """The id of the login that a token, or one that it follows, was issued for."""
    return token_id.partition(".")[0]
