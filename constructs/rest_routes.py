"""The routes of the REST API: each path segment a resource, each route a method; nothing is caught by a proxy."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct
from constructs.location import here

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


class RestRoutes(Construct):
    """Resources and methods of ``routes``; `fingerprint` changes with any of them."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        rest_api: apigateway.CfnRestApi,
        authorizer_id: str,
        routes: Sequence[ApiRoute],
        timeout_ms: int,
    ) -> None:
        """:param timeout_ms: of every integration."""
        super().__init__(scope, id)
        self._api_id = rest_api.ref
        self._authorizer_id = authorizer_id
        self._timeout_ms = timeout_ms
        self._resources: dict[str, str] = {"": rest_api.attr_root_resource_id}
        self._declared: list[tuple[str, str, bool, apigateway.CfnMethod.IntegrationProperty]] = []
        for route in routes:
            self._method(route)

    def fingerprint(self) -> str:
        """Hash over everything that a deployment would freeze."""
        resolved = Stack.of(self).resolve([list(route) for route in self._declared])
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]

    def _resource(self, path: str) -> str:
        """Id of the resource at ``path``; parents are made as needed."""
        if path not in self._resources:
            parent, _, segment = path.rpartition("/")
            resource = apigateway.CfnResource(
                self,
                f"{path} resource".replace("/", ":"),
                rest_api_id=self._api_id,
                parent_id=self._resource(parent),
                path_part=segment,
            )
            self._resources[path] = resource.ref
        return self._resources[path]

    def _method(self, route: ApiRoute) -> None:
        names = _PARAMETER.findall(route.path)
        integration = self._integration(route, names)
        self._declared.append((route.method, route.path, route.public, integration))
        apigateway.CfnMethod(
            self,
            f"{route.method} {route.path}".replace("/", ":"),
            rest_api_id=self._api_id,
            resource_id=self._resource(route.path),
            http_method=route.method,
            authorization_type="NONE" if route.public else "CUSTOM",
            authorizer_id=None if route.public else self._authorizer_id,
            request_parameters={f"method.request.path.{name}": True for name in names} or None,
            integration=integration,
        )

    def _integration(self, route: ApiRoute, names: list[str]) -> apigateway.CfnMethod.IntegrationProperty:
        target = route.target
        if isinstance(target, FunctionTarget):
            return apigateway.CfnMethod.IntegrationProperty(
                type="AWS_PROXY",
                integration_http_method="POST",
                timeout_in_millis=self._timeout_ms,
                uri=invocation_uri(self, target.arn),
            )
        return apigateway.CfnMethod.IntegrationProperty(
            type="HTTP_PROXY",
            integration_http_method=route.method,
            timeout_in_millis=self._timeout_ms,
            connection_type="VPC_LINK",
            connection_id=target.link_id,
            integration_target=target.balancer_arn,
            uri=target.base_url + _PARAMETER.sub(r"{\1}", route.path),
            request_parameters=_CALLERS_VIEW
            | {f"integration.request.path.{name}": f"method.request.path.{name}" for name in names},
        )


def invocation_uri(scope: Construct, function_arn: str) -> str:
    """How API Gateway names a function that it invokes."""
    return f"arn:aws:apigateway:{here(scope).region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"
