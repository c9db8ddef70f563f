"""What ``/v1/auth/*`` answers, beside `anfl.auth.revocation.Revocation`."""

from typing import Literal

import msgspec


class BearerToken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /v1/auth/token`` (as in RFC 6749 section 5.1)."""

    access_token: str
    expires_in: int
    """Seconds."""
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the kind of token


class PublicKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/auth/jwks.json``: the public keys of every region, as RFC 7517 has them."""

    keys: list[dict[str, str]]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/auth/whoami``. ``expires_at`` is in seconds since the epoch."""

    subject: str
    tenant: str
    roles: list[str]
    token_id: str
    expires_at: int
