"""The caller of a request, as established by a verified token."""

from enum import StrEnum

import msgspec


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
    expires_at: int
