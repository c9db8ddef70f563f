"""``python -m documentation.access``: writes ``docs/access_control.md`` from the table of access."""

from collections.abc import Iterator
from itertools import groupby

from anfl.auth.keys import REVOCATION_LAG_SECONDS
from anfl.auth.principal import Role
from anfl.auth.rbac import GRANTS, PUBLIC_ROUTES, ROUTES, Action, Route
from stacks.settings import ROOT

PAGE = ROOT / "docs" / "access_control.md"
_HEAD = f"""# Access control

Written by `make docs` from `anfl/auth/rbac.py`, the one table by which authorizer, services and tests decide.
A role holds within its own tenant, which the token names; another tenant's resource is answered as if it did not exist
(404). 403 says that none of the caller's roles has the action, and nothing else. A revoked token is refused everywhere
after {REVOCATION_LAG_SECONDS:.0f} s at the latest (`anfl.auth.keys.REVOCATION_LAG_SECONDS`).
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, "## Roles", "", *_roles(), "", "## Routes", "", *_routes(), "", *_public(), ""])


def _roles() -> Iterator[str]:
    yield f"| action | {' | '.join(Role)} |"
    yield f"|---|{'---|' * len(Role)}"
    for action in Action:
        marks = ("✓" if action in GRANTS[role] else "" for role in Role)
        yield f"| `{action}` | {' | '.join(marks)} |"


def _routes() -> Iterator[str]:
    """One line a path and action: most paths have one of each."""
    yield "| methods | path | action | roles |"
    yield "|---|---|---|---|"
    lines = sorted(ROUTES, key=lambda route: (route.path.replace("/ajax-api/", "/api/~"), route.action))
    for (path, action), routes in groupby(lines, key=lambda route: (route.path, route.action)):
        roles = [role for role in Role if action in GRANTS[role]]
        told = "all" if len(roles) == len(Role) else ", ".join(roles)
        yield f"| {_methods(routes)} | `{path}` | `{action}` | {told} |"


def _methods(routes: Iterator[Route]) -> str:
    return ", ".join(route.method for route in routes)


def _public() -> Iterator[str]:
    yield f"`POST /v1/auth/revoke` of another's token takes `{Action.TOKENS_REVOKE}`."
    yield f"Without a token: {', '.join(f'`{method} {path}`' for method, path in PUBLIC_ROUTES)}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
