"""Tokens and their lives: creation, TTL arithmetic, renewal, uses, revocation with children."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.vault.api import invalid
from local.vault.cidrs import cidrs
from local.vault.fields import Data, boolean, integer, seconds, strings, text

DEFAULT_TTL = MAX_TTL = 2764800
"""32 days: the system's default and its maximum, in seconds."""
_PURGE_EVERY = 512
_IMPOSSIBLE = frozenset({"response-wrapping"})


def timestamp(moment: float) -> str:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class TokenParams:
    """The ``token_*`` fields that the roles of every auth method share. Durations in seconds; 0 is unset."""

    ttl: int = 0
    max_ttl: int = 0
    explicit_max_ttl: int = 0
    period: int = 0
    num_uses: int = 0
    policies: tuple[str, ...] = ()
    no_default_policy: bool = False
    bound_cidrs: tuple[str, ...] = ()
    type: str = "default"

    @classmethod
    def from_fields(cls, data: Data, *, legacy: bool = True) -> "TokenParams":
        """Read the fields; ``legacy`` also takes the names without ``token_``, as before Vault 1.2."""

        def name(field_name: str) -> str:
            long = f"token_{field_name}"
            return field_name if legacy and long not in data and field_name in data else long

        params = cls(
            ttl=seconds(data, name("ttl")),
            max_ttl=seconds(data, name("max_ttl")),
            explicit_max_ttl=seconds(data, "token_explicit_max_ttl"),
            period=seconds(data, name("period")),
            num_uses=integer(data, "token_num_uses"),
            policies=strings(data, name("policies")),
            no_default_policy=boolean(data, "token_no_default_policy"),
            bound_cidrs=cidrs(data, "token_bound_cidrs"),
            type=text(data, "token_type", "default"),
        )
        if params.max_ttl and params.ttl > params.max_ttl:
            raise invalid("'token_ttl' cannot be greater than 'token_max_ttl'")
        if params.type not in {"default", "default-service", "default-batch", "service", "batch"}:
            raise invalid(f"invalid 'token_type' value {params.type!r}")
        if params.type == "batch" and (params.period or params.num_uses):
            raise invalid("'token_type' cannot be 'batch' when 'token_period' or 'token_num_uses' is set")
        return params

    def fields(self) -> dict[str, Any]:
        """As a role's read shows them."""
        return {
            "token_ttl": self.ttl,
            "token_max_ttl": self.max_ttl,
            "token_explicit_max_ttl": self.explicit_max_ttl,
            "token_period": self.period,
            "token_num_uses": self.num_uses,
            "token_policies": list(self.policies),
            "token_no_default_policy": self.no_default_policy,
            "token_bound_cidrs": list(self.bound_cidrs),
            "token_type": self.type,
        }


@dataclass(kw_only=True)
class Token:
    """One live token. Times in seconds since the epoch."""

    id: str
    accessor: str
    policies: tuple[str, ...]
    path: str
    display_name: str
    type: str
    renewable: bool
    issued: int
    ttl: int
    """As created or last renewed; 0 never expires (root)."""
    effective_max: int
    explicit_max_ttl: int = 0
    period: int = 0
    num_uses: int = 0
    parent: str | None = None
    orphan: bool = True
    meta: Mapping[str, str] = field(default_factory=dict)
    bound_cidrs: tuple[str, ...] = ()
    """Networks from which it is good; any where there are none."""
    renewed: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def expires(self) -> int | None:
        """When it expires."""
        return None if self.ttl == 0 else (self.renewed or self.issued) + self.ttl

    def auth(self) -> dict[str, Any]:
        """The ``auth`` object of a login or creation."""
        return {
            "client_token": self.id,
            "accessor": self.accessor,
            "policies": list(self.policies),
            "token_policies": list(self.policies),
            "identity_policies": [],
            "metadata": dict(self.meta) or None,
            "lease_duration": self.ttl,
            "renewable": self.renewable,
            "entity_id": "",
            "token_type": self.type,
            "orphan": self.orphan,
            "mfa_requirement": None,
            "num_uses": self.num_uses,
        }

    def lookup(self, now: float) -> dict[str, Any]:
        """What a look-up tells."""
        expires = self.expires
        data: dict[str, Any] = {
            "id": self.id,
            "accessor": self.accessor,
            "policies": list(self.policies),
            "path": self.path,
            "meta": dict(self.meta) or None,
            "display_name": self.display_name,
            "num_uses": self.num_uses,
            "orphan": self.orphan,
            "creation_time": self.issued,
            "creation_ttl": self.ttl,
            "issue_time": timestamp(self.issued),
            "expire_time": None if expires is None else timestamp(expires),
            "ttl": 0 if expires is None else max(0, int(expires - now)),
            "explicit_max_ttl": self.explicit_max_ttl,
            "entity_id": "",
            "renewable": self.renewable,
            "type": self.type,
        }
        if self.period:
            data["period"] = self.period
        if self.bound_cidrs:
            data["bound_cidrs"] = list(self.bound_cidrs)
        if self.renewed is not None:
            data |= {"last_renewal": timestamp(self.renewed), "last_renewal_time": self.renewed}
        return data


class TokenStore:
    """Every live token. Not safe for threads by itself: the server's lock guards it."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._accessors: dict[str, str] = {}
        self._created = 0

    def create_root(self, token_id: str | None = None) -> Token:
        """A token with the policy ``root`` that never expires."""
        return self._add(
            Token(
                id=token_id or f"hvs.{secrets.token_urlsafe(24)}",
                accessor=secrets.token_urlsafe(18),
                policies=("root",),
                path="auth/token/root",
                display_name="root",
                type="service",
                renewable=False,
                issued=int(self._clock()),
                ttl=0,
                effective_max=0,
            )
        )

    def create(
        self,
        *,
        path: str,
        display_name: str,
        params: TokenParams,
        meta: Mapping[str, str],
        parent: str | None = None,
        renewable: bool = True,
        increment: int = 0,
    ) -> Token:
        """A new token; ``increment`` replaces the role's TTL. It is an orphan unless it has a ``parent``."""
        batch = params.type in {"batch", "default-batch"}
        policies = normalise(params.policies, default=not params.no_default_policy)
        effective_max = min(ttl for ttl in (MAX_TTL, params.max_ttl, params.explicit_max_ttl) if ttl > 0)
        wanted = increment or params.ttl or DEFAULT_TTL
        ttl = min(params.period or wanted, effective_max)
        capped = ttl < wanted and not params.period
        token = Token(
            id=("hvb." if batch else "hvs.") + secrets.token_urlsafe(48 if batch else 24),
            accessor="" if batch else secrets.token_urlsafe(18),
            policies=policies,
            path=path,
            display_name=display_name,
            type="batch" if batch else "service",
            renewable=renewable and not batch,
            issued=int(self._clock()),
            ttl=ttl,
            effective_max=effective_max,
            explicit_max_ttl=params.explicit_max_ttl,
            period=params.period,
            num_uses=params.num_uses,
            parent=parent,
            orphan=parent is None,
            meta=meta,
            bound_cidrs=params.bound_cidrs,
            warnings=(_capped(wanted, effective_max),) if capped and (increment or params.ttl) else (),
        )
        return self._add(token)

    def _add(self, token: Token) -> Token:
        self._created += 1
        if self._created % _PURGE_EVERY == 0:
            for expired in [t for t in self._tokens.values() if self._expired(t)]:
                self.revoke(expired)
        self._tokens[token.id] = token
        if token.accessor:
            self._accessors[token.accessor] = token.id
        return token

    def _expired(self, token: Token) -> bool:
        expires = token.expires
        return expires is not None and self._clock() >= expires

    def find(self, token_id: str) -> Token | None:
        """The live token."""
        token = self._tokens.get(token_id)
        if token is not None and self._expired(token):
            self.revoke(token)
            return None
        return token

    def find_by_accessor(self, accessor: str) -> Token | None:
        """The live token with this accessor."""
        token_id = self._accessors.get(accessor)
        return None if token_id is None else self.find(token_id)

    def accessors(self) -> list[str]:
        """Accessors of every live token."""
        return [token.accessor for token in list(self._tokens.values()) if token.accessor and not self._expired(token)]

    def use(self, token: Token) -> None:
        """Count one use. The request with the last one is served; call `settle` after it."""
        if token.num_uses > 0:
            token.num_uses = token.num_uses - 1 or -1

    def settle(self, token: Token) -> None:
        """Revoke a token that has had its last use."""
        if token.num_uses == -1:
            self.revoke(token)

    def renew(self, token: Token, increment: int) -> None:
        """Extend the life from now on; warnings are left in ``token.warnings``.

        :raises VaultError: 400 where it is not renewable or past its maximum.
        """
        if not token.renewable:
            raise invalid("lease is not renewable")
        now = int(self._clock())
        wanted = token.period or increment or DEFAULT_TTL
        left = token.issued + token.effective_max - now
        if token.period:
            left = token.issued + token.explicit_max_ttl - now if token.explicit_max_ttl else wanted
        if left <= 0:
            raise invalid("past the max TTL, cannot renew")
        token.warnings = (_capped(wanted, token.effective_max),) if wanted > left else ()
        token.ttl, token.renewed = min(wanted, left), now

    def revoke(self, token: Token, *, children: bool = True) -> None:
        """Revoke the token and, unless told otherwise, everything created with it; then children become orphans."""
        self._tokens.pop(token.id, None)
        self._accessors.pop(token.accessor, None)
        for child in [t for t in self._tokens.values() if t.parent == token.id]:
            if children:
                self.revoke(child)
            else:
                child.parent, child.orphan = None, True

    def clear_mount(self, path: str) -> None:
        """Revoke what logged in through an auth mount that goes away."""
        for token in [t for t in self._tokens.values() if t.path.startswith(path)]:
            self.revoke(token)


def normalise(policies: Iterable[str], *, default: bool) -> tuple[str, ...]:
    """Lower-cased, sorted, without repetition, with ``default`` if asked.

    :raises VaultError: 400 for names that cannot be assigned.
    """
    names = {name.strip().lower() for name in policies if name.strip()}
    if "root" in names:
        if len(names) > 1:
            raise invalid("root tokens may not have any other policies")
        return ("root",)
    if names & _IMPOSSIBLE:
        raise invalid(f"cannot assign policy {min(names & _IMPOSSIBLE)!r}")
    return tuple(sorted(names | {"default"} if default else names))


def _capped(wanted: int, effective_max: int) -> str:
    return f'TTL of "{wanted}s" exceeded the effective max_ttl of "{effective_max}s"; TTL value is capped accordingly'


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())
