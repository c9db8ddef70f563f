"""The one table of access: what it promises about roles, and that every request has one meaning."""

import re

import pytest

from anfl.auth.principal import Principal, Role
from anfl.auth.rbac import GRANTS, PUBLIC_ROUTES, ROUTES, Action, Route, action_for, actions_of, is_allowed

READING = {
    Action.COLLECTIONS_READ,
    Action.VECTORS_QUERY,
    Action.IMPORTS_READ,
    Action.SNAPSHOTS_READ,
    Action.MODELS_READ,
    Action.TOKENS_MANAGE,
}
BEYOND_READING = {
    Role.READER: set(),
    Role.WRITER: {Action.COLLECTIONS_WRITE, Action.VECTORS_WRITE, Action.IMPORTS_WRITE},
    Role.REGISTRAR: {Action.MODELS_WRITE},
    Role.APPROVER: {Action.MODELS_APPROVE, Action.AUDIT_READ},
    Role.OPERATOR: {Action.SNAPSHOTS_WRITE, Action.AUDIT_READ, Action.TOKENS_REVOKE},
    Role.ADMIN: set(Action) - READING,
}


def principal(*roles: Role) -> Principal:
    return Principal(subject="s", tenant="t", roles=frozenset(roles), token_id="i", expires_at=0)


def sample(route: Route) -> str:
    return re.sub(r"\{\w+\}", "some name", route.path.replace("{path+}", "a/b"))


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_a_role_may_exactly_what_the_product_says(role: Role, action: Action) -> None:
    assert is_allowed(principal(role), action) is (action in READING | BEYOND_READING[role])


def test_every_role_is_in_the_table() -> None:
    assert GRANTS.keys() == set(Role)


def test_nobody_approves_what_the_same_role_registers() -> None:
    both = [role for role in Role if {Action.MODELS_WRITE, Action.MODELS_APPROVE} <= GRANTS[role]]
    assert both == [Role.ADMIN]


def test_roles_add_up_and_no_role_may_nothing() -> None:
    assert actions_of(principal()) == frozenset()
    assert actions_of(principal(Role.WRITER, Role.REGISTRAR)) == GRANTS[Role.WRITER] | GRANTS[Role.REGISTRAR]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_request_has_one_meaning(route: Route) -> None:
    matching = [other for other in ROUTES if other.matches(route.method, sample(route))]

    assert matching == [route]
    assert action_for(route.method, sample(route)) is route.action


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/v1"),
        ("GET", "/v1/collections/"),
        ("GET", "/V1/collections"),
        ("get", "/v1/collections"),
        ("GET", "//v1/collections"),
        ("GET", "/v1/collections/a/"),
        ("GET", "/v1/collections/a/b"),
        ("GET", "/v1/collections/../collections"),
        ("GET", "/v1/collections/a/vectors/../stats"),
        ("TRACE", "/v1/collections"),
        ("POST", "/v1/collections/a/query/"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/"),
        ("GET", "/v1/auth/whoami\n"),
    ],
)
def test_anything_else_has_none(method: str, path: str) -> None:
    assert action_for(method, path) is None


def test_parameters_are_single_segments_unless_greedy() -> None:
    route = Route("GET", "/v1/collections/{name}/stats", Action.COLLECTIONS_READ)
    greedy = Route("GET", "/artifacts/{path+}", Action.MODELS_READ)

    assert route.parameters("/v1/collections/a.b*c/stats") == {"name": "a.b*c"}
    assert route.parameters("/v1/collections/a/b/stats") is None
    assert greedy.parameters("/artifacts/a/b c") == {"path": "a/b c"}
    assert greedy.parameters("/artifacts/") is None


def test_gateway_resources() -> None:
    greedy = Route("PUT", "/artifacts/{path+}", Action.MODELS_WRITE)
    assert greedy.iam_resource() == "PUT/artifacts/*"
    assert {route.iam_resource() for route in ROUTES if route.path.startswith("/v1/models")} == {
        "GET/v1/models/*/versions/*/validation",
        "POST/v1/models/*/versions/*/validation",
        "POST/v1/models/*/uploads",
        "GET/v1/models/*/audit",
        "PUT/v1/models/*/aliases/*",
        "DELETE/v1/models/*/aliases/*",
        "POST/v1/models/*/versions/*/approvals",
        "GET/v1/models/*/approvals",
        "GET/v1/models/*/approvals/*",
        "POST/v1/models/*/approvals/*/approve",
        "POST/v1/models/*/approvals/*/reject",
        "POST/v1/models/*/approvals/*/withdraw",
        "GET/v1/models/*/versions/*/signatures",
        "POST/v1/models/*/versions/*/signatures",
        "GET/v1/models-keys",
        "POST/v1/models-keys",
        "DELETE/v1/models-keys/*",
        "GET/v1/models-policies",
        "PUT/v1/models-policies/*",
        "DELETE/v1/models-policies/*",
        "GET/v1/models-audit",
        "GET/v1/models-audit/chains",
    }


def test_public_routes_need_no_action() -> None:
    for method, path in PUBLIC_ROUTES:
        assert action_for(method, path) is None
