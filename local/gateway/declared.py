"""The REST API as the template declares it: methods by path, authorizers, integrations, gateway responses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.gateway.authorizer import TokenAuthorizer
from local.gateway.balancer import Balancer, build_balancer
from local.gateway.responses import GatewayResponses
from local.gateway.routing import Router
from local.resolved import DeclarationError, Resource, Resources

API = "AWS::ApiGateway"
DEFAULT_TIMEOUT_MS = 29_000
_FUNCTION_URI = re.compile(r".*/functions/(?P<arn>.+)/invocations")


@dataclass(frozen=True, kw_only=True)
class LambdaProxy:
    """``AWS_PROXY``: the function ``arn``."""

    arn: str
    timeout: float
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class HttpProxy:
    """``HTTP_PROXY`` through a VPC link to a load balancer."""

    host: str
    """``Host`` header that the balancer sees."""
    balancer: Balancer
    parameters: Mapping[str, str]
    """``integration.request.…`` → where its value comes from."""
    timeout: float
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One declared method."""

    resource_id: str
    path: str
    authorizer: TokenAuthorizer | None
    integration: LambdaProxy | HttpProxy


@dataclass(frozen=True, kw_only=True)
class RestApi:
    """Everything that a request needs to know."""

    api_id: str
    account: str
    region: str
    stage: str
    router: Router[dict[str, Method]]
    responses: GatewayResponses

    def method_arn(self, method: str, raw_path: str) -> str:
        """The ARN that an authorizer's policy speaks about."""
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{self.stage}/{method}{raw_path}"


def build_api(resources: Resources, services: Mapping[str, Sequence[str]]) -> RestApi:
    """Assemble the region's REST API.

    :param services: container name → base URLs of the ECS service's running tasks.
    :raises DeclarationError: something in it cannot be served here; the message names the resource.
    """
    api = resources.only(f"{API}::RestApi")
    paths = _paths(resources)
    authorizers = {r.physical_id: _authorizer(r) for r in resources.of_type(f"{API}::Authorizer")}
    balancers: dict[str, Balancer] = {}
    router: Router[dict[str, Method]] = Router()
    methods: dict[str, dict[str, Method]] = {}
    account = "123456789012"
    for declared in resources.of_type(f"{API}::Method"):
        properties = declared.properties
        resource_id = str(properties["ResourceId"])
        integration = _integration(declared, resources, services, balancers)
        path = paths.get(resource_id, "/")
        methods.setdefault(path, {})[properties["HttpMethod"]] = Method(
            resource_id=resource_id,
            path=path,
            authorizer=_authorizer_of(declared, authorizers),
            integration=integration,
        )
        if isinstance(integration, LambdaProxy):
            account = integration.arn.split(":")[4]
    for path, by_verb in methods.items():
        router.add(path, by_verb)
    return RestApi(
        api_id=api.physical_id,
        account=account,
        region=resources.region,
        stage=str(resources.only(f"{API}::Stage").properties["StageName"]),
        router=router,
        responses=GatewayResponses(resources.of_type(f"{API}::GatewayResponse")),
    )


def _paths(resources: Resources) -> dict[str, str]:
    """Resource id → full path. A parent that is no declared resource is the root."""
    declared = {r.physical_id: r.properties for r in resources.of_type(f"{API}::Resource")}

    def path(identifier: str) -> str:
        properties = declared.get(identifier)
        return "" if properties is None else f"{path(str(properties['ParentId']))}/{properties['PathPart']}"

    return {identifier: path(identifier) for identifier in declared}


def _authorizer(declared: Resource) -> TokenAuthorizer:
    properties = declared.properties
    if properties["Type"] != "TOKEN":
        raise DeclarationError(
            f"{declared.logical_id}: an authorizer of type {properties['Type']} is not served locally"
        )
    expression = properties.get("IdentityValidationExpression")
    return TokenAuthorizer(
        function=_function_arn(declared, str(properties["AuthorizerUri"])),
        header=str(properties["IdentitySource"]).removeprefix("method.request.header.").lower(),
        seconds=int(properties.get("AuthorizerResultTtlInSeconds", 300)),
        validation=re.compile(expression) if expression else None,
    )


def _authorizer_of(method: Resource, authorizers: Mapping[str, TokenAuthorizer]) -> TokenAuthorizer | None:
    kind = method.properties.get("AuthorizationType", "NONE")
    if kind == "NONE":
        return None
    authorizer = authorizers.get(str(method.properties.get("AuthorizerId")))
    if kind != "CUSTOM" or authorizer is None:
        raise DeclarationError(f"{method.logical_id}: authorization {kind} without a known authorizer")
    return authorizer


def _integration(
    method: Resource, resources: Resources, services: Mapping[str, Sequence[str]], balancers: dict[str, Balancer]
) -> LambdaProxy | HttpProxy:
    declared: dict[str, Any] = method.properties["Integration"]
    timeout = int(declared.get("TimeoutInMillis", DEFAULT_TIMEOUT_MS)) / 1000
    if declared["Type"] == "AWS_PROXY":
        return LambdaProxy(arn=_function_arn(method, str(declared["Uri"])), timeout=timeout)
    target = declared.get("IntegrationTarget")
    if declared["Type"] != "HTTP_PROXY" or declared.get("ConnectionType") != "VPC_LINK" or not target:
        raise DeclarationError(
            f"{method.logical_id}: integration {declared['Type']} is not served locally; "
            "only AWS_PROXY, and HTTP_PROXY through a VPC link with an IntegrationTarget, are"
        )
    if target not in balancers:
        balancers[target] = build_balancer(resources, str(target), services)
    return HttpProxy(
        host=str(declared["Uri"]).split("//", 1)[-1].split("/", 1)[0],
        balancer=balancers[target],
        parameters=declared.get("RequestParameters") or {},
        timeout=timeout,
    )


def _function_arn(owner: Resource, uri: str) -> str:
    match = _FUNCTION_URI.fullmatch(uri)
    if match is None:
        raise DeclarationError(f"{owner.logical_id}: {uri} names no function")
    return match["arn"]
