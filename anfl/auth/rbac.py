"""Role-based access in one table: role × action, and the action that each route needs.

The stacks declare its routes, the authorizer turns it into IAM policies, the services check it again, the route tests
walk it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from anfl.auth.principal import Principal, Role


class Action(StrEnum):
    """What a route does, in the terms of the product."""

    COLLECTIONS_READ = "collections:read"
    COLLECTIONS_WRITE = "collections:write"
    VECTORS_QUERY = "vectors:query"
    VECTORS_WRITE = "vectors:write"
    IMPORTS_READ = "imports:read"
    IMPORTS_WRITE = "imports:write"
    SNAPSHOTS_READ = "snapshots:read"
    SNAPSHOTS_WRITE = "snapshots:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    MODELS_APPROVE = "models:approve"
    MODELS_GOVERN = "models:govern"
    """Say what others need: policies of aliases, keys of signatures."""
    AUDIT_READ = "audit:read"
    TOKENS_MANAGE = "tokens:manage"
    """One's own token."""
    TOKENS_REVOKE = "tokens:revoke"
    """Anybody's of the tenant."""


_READ = frozenset(
    {
        Action.COLLECTIONS_READ,
        Action.VECTORS_QUERY,
        Action.IMPORTS_READ,
        Action.SNAPSHOTS_READ,
        Action.MODELS_READ,
        Action.TOKENS_MANAGE,
    }
)

GRANTS: dict[Role, frozenset[Action]] = {
    Role.READER: _READ,
    Role.WRITER: _READ | {Action.COLLECTIONS_WRITE, Action.VECTORS_WRITE, Action.IMPORTS_WRITE},
    Role.REGISTRAR: _READ | {Action.MODELS_WRITE},
    Role.APPROVER: _READ | {Action.MODELS_APPROVE, Action.AUDIT_READ},
    Role.OPERATOR: _READ | {Action.SNAPSHOTS_WRITE, Action.AUDIT_READ, Action.TOKENS_REVOKE},
    Role.ADMIN: frozenset(Action),
}


@dataclass(frozen=True)
class Route:
    """One method and path of the API. ``{name}`` stands for one path segment, ``{name+}`` for one or more."""

    method: str
    path: str
    action: Action
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the path once."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path).replace("\\+", "+"))
        pattern = re.sub(r"\\\{(\w+)\+\\\}", r"(?P<\1>.+)", pattern)
        object.__setattr__(self, "_pattern", re.compile(pattern, re.DOTALL))

    def parameters(self, path: str) -> dict[str, str] | None:
        """The parameters in the decoded ``path``; None where it is not a path of this route."""
        match = self._pattern.fullmatch(path)
        return None if match is None else match.groupdict()

    def matches(self, method: str, path: str) -> bool:
        """Whether a request for ``method`` and the decoded ``path`` is one for this route."""
        return method == self.method and self._pattern.fullmatch(path) is not None

    def iam_resource(self) -> str:
        """``METHOD/path`` with ``*`` for every parameter, as in an execute-api ARN (a ``*`` there spans slashes)."""
        return self.method + re.sub(r"\{\w+\+?\}", "*", self.path)


_COLLECTION = "/v1/collections/{name}"

_VECTOR_ROUTES = (
    Route("POST", "/v1/collections", Action.COLLECTIONS_WRITE),
    Route("GET", "/v1/collections", Action.COLLECTIONS_READ),
    Route("GET", _COLLECTION, Action.COLLECTIONS_READ),
    Route("PATCH", _COLLECTION, Action.COLLECTIONS_WRITE),
    Route("DELETE", _COLLECTION, Action.COLLECTIONS_WRITE),
    Route("GET", f"{_COLLECTION}/stats", Action.COLLECTIONS_READ),
    Route("PUT", f"{_COLLECTION}/vectors", Action.VECTORS_WRITE),
    Route("PATCH", f"{_COLLECTION}/vectors", Action.VECTORS_WRITE),
    Route("POST", f"{_COLLECTION}/vectors/delete", Action.VECTORS_WRITE),
    Route("GET", f"{_COLLECTION}/deletions/{{id}}", Action.VECTORS_QUERY),
    Route("POST", f"{_COLLECTION}/vectors/fetch", Action.VECTORS_QUERY),
    Route("GET", f"{_COLLECTION}/vectors", Action.VECTORS_QUERY),
    Route("POST", f"{_COLLECTION}/query", Action.VECTORS_QUERY),
    Route("POST", f"{_COLLECTION}/count", Action.VECTORS_QUERY),
    Route("POST", f"{_COLLECTION}/warm", Action.VECTORS_QUERY),
    Route("GET", f"{_COLLECTION}/export", Action.VECTORS_QUERY),
    Route("POST", f"{_COLLECTION}/move", Action.COLLECTIONS_WRITE),
    Route("POST", f"{_COLLECTION}/move/undo", Action.COLLECTIONS_WRITE),
    Route("POST", "/v1/aliases", Action.COLLECTIONS_WRITE),
    Route("GET", "/v1/aliases", Action.COLLECTIONS_READ),
    Route("DELETE", "/v1/aliases/{alias}", Action.COLLECTIONS_WRITE),
    Route("POST", f"{_COLLECTION}/snapshots", Action.SNAPSHOTS_WRITE),
    Route("GET", f"{_COLLECTION}/snapshots", Action.SNAPSHOTS_READ),
    Route("POST", f"{_COLLECTION}/snapshots/delete", Action.SNAPSHOTS_WRITE),
    Route("POST", f"{_COLLECTION}/restore", Action.SNAPSHOTS_WRITE),
    Route("POST", f"{_COLLECTION}/imports", Action.IMPORTS_WRITE),
    Route("GET", "/v1/imports", Action.IMPORTS_READ),
    Route("GET", "/v1/imports/{id}", Action.IMPORTS_READ),
    Route("POST", "/v1/imports/{id}/uploads", Action.IMPORTS_WRITE),
    Route("POST", "/v1/imports/{id}/start", Action.IMPORTS_WRITE),
    Route("POST", "/v1/imports/{id}/redrive", Action.IMPORTS_WRITE),
    Route("POST", "/v1/imports/{id}/cancel", Action.IMPORTS_WRITE),
)


def _registry_routes() -> Iterator[Route]:
    for base in ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow"):
        for path in (
            "registered-models/get",
            "registered-models/search",
            "registered-models/get-latest-versions",
            "registered-models/alias",
            "model-versions/get",
            "model-versions/search",
            "model-versions/get-download-uri",
        ):
            yield Route("GET", f"{base}/{path}", Action.MODELS_READ)
        yield Route("POST", f"{base}/registered-models/get-latest-versions", Action.MODELS_READ)
        for method, path in (
            ("POST", "registered-models/create"),
            ("POST", "registered-models/rename"),
            ("PATCH", "registered-models/update"),
            ("DELETE", "registered-models/delete"),
            ("POST", "registered-models/set-tag"),
            ("DELETE", "registered-models/delete-tag"),
            ("POST", "registered-models/alias"),
            ("DELETE", "registered-models/alias"),
            ("POST", "model-versions/create"),
            ("PATCH", "model-versions/update"),
            ("POST", "model-versions/transition-stage"),
            ("DELETE", "model-versions/delete"),
            ("POST", "model-versions/set-tag"),
            ("DELETE", "model-versions/delete-tag"),
        ):
            yield Route(method, f"{base}/{path}", Action.MODELS_WRITE)
        # Addresses of webhooks can hold secrets, so reading them takes as much as writing.
        for method, path in (
            ("POST", "webhooks"),
            ("GET", "webhooks"),
            ("GET", "webhooks/{webhook_id}"),
            ("PATCH", "webhooks/{webhook_id}"),
            ("DELETE", "webhooks/{webhook_id}"),
            ("POST", "webhooks/{webhook_id}/test"),
        ):
            yield Route(method, f"{base}/{path}", Action.MODELS_WRITE)
    for base in ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"):
        yield Route("GET", f"{base}/artifacts", Action.MODELS_READ)
        yield Route("GET", f"{base}/artifacts/{{path+}}", Action.MODELS_READ)
        yield Route("PUT", f"{base}/artifacts/{{path+}}", Action.MODELS_WRITE)
        yield Route("DELETE", f"{base}/artifacts/{{path+}}", Action.MODELS_WRITE)
        yield Route("GET", f"{base}/presigned/{{path+}}", Action.MODELS_READ)
        for step in ("create", "complete", "abort"):
            yield Route("POST", f"{base}/mpu/{step}/{{path+}}", Action.MODELS_WRITE)


_MODEL = "/v1/models/{name}/versions/{version}"

_MODEL_ROUTES = (
    Route("GET", f"{_MODEL}/validation", Action.MODELS_READ),
    Route("POST", f"{_MODEL}/validation", Action.MODELS_WRITE),
    Route("POST", "/v1/models/{name}/uploads", Action.MODELS_WRITE),
    Route("GET", "/v1/models/{name}/audit", Action.AUDIT_READ),
    Route("PUT", "/v1/models/{name}/aliases/{alias}", Action.MODELS_WRITE),
    Route("DELETE", "/v1/models/{name}/aliases/{alias}", Action.MODELS_WRITE),
    Route("POST", f"{_MODEL}/approvals", Action.MODELS_WRITE),
    Route("GET", "/v1/models/{name}/approvals", Action.MODELS_READ),
    Route("GET", "/v1/models/{name}/approvals/{approval}", Action.MODELS_READ),
    Route("POST", "/v1/models/{name}/approvals/{approval}/approve", Action.MODELS_APPROVE),
    Route("POST", "/v1/models/{name}/approvals/{approval}/reject", Action.MODELS_APPROVE),
    Route("POST", "/v1/models/{name}/approvals/{approval}/withdraw", Action.MODELS_WRITE),
    Route("GET", f"{_MODEL}/signatures", Action.MODELS_READ),
    Route("POST", f"{_MODEL}/signatures", Action.MODELS_WRITE),
    Route("GET", "/v1/models-keys", Action.MODELS_READ),
    Route("POST", "/v1/models-keys", Action.MODELS_GOVERN),
    Route("DELETE", "/v1/models-keys/{key}", Action.MODELS_GOVERN),
    Route("GET", "/v1/models-policies", Action.MODELS_READ),
    Route("PUT", "/v1/models-policies/{alias}", Action.MODELS_GOVERN),
    Route("DELETE", "/v1/models-policies/{alias}", Action.MODELS_GOVERN),
    Route("GET", "/v1/models-audit", Action.AUDIT_READ),
    Route("GET", "/v1/models-audit/chains", Action.AUDIT_READ),
)

_AUTH_ROUTES = (
    Route("GET", "/v1/auth/whoami", Action.TOKENS_MANAGE),
    # Of another's token: TOKENS_REVOKE, which the handler asks for, because the body tells whose it is.
    Route("POST", "/v1/auth/revoke", Action.TOKENS_MANAGE),
)

ROUTES: tuple[Route, ...] = (*_VECTOR_ROUTES, *_registry_routes(), *_MODEL_ROUTES, *_AUTH_ROUTES)
"""Every route that needs a token."""

PUBLIC_ROUTES: tuple[tuple[str, str], ...] = (
    ("POST", "/v1/auth/token"),
    ("GET", "/v1/auth/jwks.json"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/models/openapi.json"),
)
"""(method, path) of the routes that answer without a token."""


def action_for(method: str, path: str) -> Action | None:
    """The action that ``method`` and the decoded ``path`` need; None for an unknown route."""
    return next((route.action for route in ROUTES if route.matches(method, path)), None)


def actions_of(principal: Principal) -> frozenset[Action]:
    """Everything that the principal's roles allow within its own tenant."""
    return _granted(principal.roles)


@cache
def _granted(roles: frozenset[Role]) -> frozenset[Action]:
    return frozenset[Action]().union(*(GRANTS[role] for role in roles))


def is_allowed(principal: Principal, action: Action) -> bool:
    """Whether any of the principal's roles grants ``action``."""
    return action in actions_of(principal)
