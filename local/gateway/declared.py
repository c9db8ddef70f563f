"""The REST API as the template declares it, in the OpenAPI document of its body: methods by path, authorizers,
integrations, gateway responses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.gateway.authorizer import TokenAuthorizer
from local.gateway.balancer import Balancer, build_balancer
from local.gateway.responses import GatewayResponses
from local.gateway.routing import Router
from local.resolved import DeclarationError, Resources

API = "AWS::ApiGateway"
DEFAULT_TIMEOUT_MS = 29_000
_INTEGRATION = "x-amazon-apigateway-integration"
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
    balancers: Sequence[Balancer]
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
    document = api.properties["Body"]
    schemes = document.get("components", {}).get("securitySchemes", {})
    authorizers = {name: _authorizer(name, scheme) for name, scheme in schemes.items()}
    balancers: dict[str, Balancer] = {}
    router: Router[dict[str, Method]] = Router()
    account = "123456789012"
    for path, operations in document["paths"].items():
        methods: dict[str, Method] = {}
        for verb, operation in operations.items():
            where = f"{verb.upper()} {path}"
            integration = _integration(where, operation[_INTEGRATION], resources, services, balancers)
            authorizer = _authorizer_of(where, operation, authorizers)
            methods[verb.upper()] = Method(path=path, authorizer=authorizer, integration=integration)
            if isinstance(integration, LambdaProxy):
                account = integration.arn.split(":")[4]
        router.add(path, methods)
    return RestApi(
        api_id=api.physical_id,
        account=account,
        region=resources.region,
        stage=str(resources.only(f"{API}::Stage").properties["StageName"]),
        router=router,
        balancers=tuple(balancers.values()),
        responses=GatewayResponses(document.get("x-amazon-apigateway-gateway-responses", {})),
    )


def _authorizer(name: str, scheme: Mapping[str, Any]) -> TokenAuthorizer:
    declared = scheme.get("x-amazon-apigateway-authorizer", {})
    if declared.get("type") != "token" or scheme.get("in") != "header":
        raise DeclarationError(f"{name}: an authorizer of type {declared.get('type')} is not served locally")
    expression = declared.get("identityValidationExpression")
    return TokenAuthorizer(
        function=_function_arn(name, str(declared["authorizerUri"])),
        header=str(scheme["name"]).lower(),
        seconds=int(declared.get("authorizerResultTtlInSeconds", 300)),
        validation=re.compile(expression) if expression else None,
    )


def _authorizer_of(
    where: str, operation: Mapping[str, Any], authorizers: Mapping[str, TokenAuthorizer]
) -> TokenAuthorizer | None:
    schemes = [name for requirement in operation.get("security", []) for name in requirement]
    if not schemes:
        return None
    if len(schemes) > 1 or schemes[0] not in authorizers:
        raise DeclarationError(f"{where}: {' and '.join(schemes)} is no known authorizer")
    return authorizers[schemes[0]]


def _integration(
    where: str,
    declared: Mapping[str, Any],
    resources: Resources,
    services: Mapping[str, Sequence[str]],
    balancers: dict[str, Balancer],
) -> LambdaProxy | HttpProxy:
    timeout = int(declared.get("timeoutInMillis", DEFAULT_TIMEOUT_MS)) / 1000
    if declared["type"] == "aws_proxy":
        return LambdaProxy(arn=_function_arn(where, str(declared["uri"])), timeout=timeout)
    target = declared.get("integrationTarget")
    if declared["type"] != "http_proxy" or declared.get("connectionType") != "VPC_LINK" or not target:
        raise DeclarationError(
            f"{where}: integration {declared['type']} is not served locally; "
            "only aws_proxy, and http_proxy through a VPC link with an integrationTarget, are"
        )
    if target not in balancers:
        balancers[target] = build_balancer(resources, str(target), services)
    return HttpProxy(
        host=str(declared["uri"]).split("//", 1)[-1].split("/", 1)[0],
        balancer=balancers[target],
        parameters=declared.get("requestParameters") or {},
        timeout=timeout,
    )


def _function_arn(owner: str, uri: str) -> str:
    match = _FUNCTION_URI.fullmatch(uri)
    if match is None:
        raise DeclarationError(f"{owner}: {uri} names no function")
    return match["arn"]
