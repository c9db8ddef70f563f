"""The routes of the REST API as the paths of an OpenAPI document, each with what answers it.

The extensions ``x-amazon-apigateway-…`` are those of API Gateway's Developer Guide, "OpenAPI extensions".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

AUTHORIZER = "bearer-token"
"""The security scheme of every route that is not public."""
_PARAMETER = re.compile(r"\{(\w+)\+?\}")
_CALLERS_VIEW = {
    "integration.request.header.X-Anfl-Host": "context.domainName",
    "integration.request.header.X-Anfl-Path": "context.path",
}
"""The address that the caller used: a service behind the balancer sees neither, and hands out absolute links."""


@dataclass(frozen=True, kw_only=True)
class FunctionTarget:
    """The Lambda function behind a route (proxy integration)."""

    arn: str


@dataclass(frozen=True, kw_only=True)
class BalancerTarget:
    """The load balancer behind a route, by way of a VPC link."""

    link_id: str
    balancer_arn: str
    base_url: str
    """Scheme and host; the host is that of the certificate."""


@dataclass(frozen=True, kw_only=True)
class ApiRoute:
    """One method and path. ``public`` routes answer without a token."""

    method: str
    path: str
    public: bool
    target: FunctionTarget | BalancerTarget


def paths(routes: Sequence[ApiRoute], *, region: str, timeout_ms: int) -> dict[str, dict[str, object]]:
    """Path → method → operation. No path is caught by a proxy.

    :param timeout_ms: of every integration.
    """
    found: dict[str, dict[str, object]] = {}
    for route in routes:
        names = _PARAMETER.findall(route.path)
        found.setdefault(route.path, {})[route.method.lower()] = {
            "security": [] if route.public else [{AUTHORIZER: []}],
            "parameters": [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names],
            "responses": {},
            "x-amazon-apigateway-integration": _integration(route, names, region) | {"timeoutInMillis": timeout_ms},
        }
    return found


_TEXT = {"type": "string"}


def _integration(route: ApiRoute, names: list[str], region: str) -> dict[str, object]:
    target = route.target
    if isinstance(target, FunctionTarget):
        return {"type": "aws_proxy", "httpMethod": "POST", "uri": invocation_uri(region, target.arn)}
    return {
        "type": "http_proxy",
        "httpMethod": route.method,
        "connectionType": "VPC_LINK",
        "connectionId": target.link_id,
        "integrationTarget": target.balancer_arn,
        "uri": target.base_url + _PARAMETER.sub(r"{\1}", route.path),
        "requestParameters": _CALLERS_VIEW
        | {f"integration.request.path.{name}": f"method.request.path.{name}" for name in names},
    }


def invocation_uri(region: str, function_arn: str) -> str:
    """How API Gateway names a function that it invokes."""
    return f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"
