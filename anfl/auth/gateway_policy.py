"""The IAM policy that tells API Gateway which routes a caller may use, short enough for its limit of 8 KB.

One entry per route would reach the limit, so routes that share a prefix become one entry, as long as it covers no route
that the roles do not grant.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from anfl.auth.principal import Role
from anfl.auth.rbac import GRANTS, ROUTES, Action, Route

_PARAMETER_SAMPLE = "x"


@lru_cache(maxsize=128)
def resources(roles: frozenset[Role]) -> tuple[str, ...]:
    """``METHOD/path`` patterns, as they end an execute-api ARN, that cover exactly the routes of ``roles``."""
    actions = frozenset[Action]().union(*(GRANTS[role] for role in roles))
    allowed = [route for route in ROUTES if route.action in actions]
    refused = [_sample(route) for route in ROUTES if route.action not in actions]
    return tuple(sorted({_widest(route, refused) for route in allowed}))


def _widest(route: Route, refused: Iterable[str]) -> str:
    """The shortest prefix of the route that, followed by ``*``, covers nothing refused; else the route itself."""
    exact = route.iam_resource()
    method, *segments = exact.split("/")
    for length in range(len(segments)):
        pattern = "/".join([method, *segments[:length], "*"])
        if not any(fnmatchcase(one, pattern) for one in refused):
            return pattern
    return exact


def _sample(route: Route) -> str:
    return route.iam_resource().replace("*", _PARAMETER_SAMPLE)


def policy(*, method_arn: str, roles: frozenset[Role]) -> dict[str, object]:
    """An IAM policy document for every route of ``roles`` at the API and stage that ``method_arn`` names.

    :param method_arn: ``arn:aws:execute-api:<region>:<account>:<api>/<stage>/<METHOD>/<path>``.
    """
    api, stage, _ = method_arn.split("/", 2)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "execute-api:Invoke",
                "Resource": [f"{api}/{stage}/{resource}" for resource in resources(roles)],
            }
        ],
    }
