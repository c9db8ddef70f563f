"""A declared REST API, and the fake Lambda API and service behind it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx
from aiohttp import web

from local.resolved import Resource

REGION = "us-west-1"
ACCOUNT = "123456789012"
ALB = "arn:alb"
LISTENER = "arn:listener"
AUTHORIZER_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:authorizer"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:auth"


def lambda_uri(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def resource(kind: str, physical_id: str, **properties: Any) -> Resource:
    return Resource(
        stack="service",
        region=REGION,
        logical_id=physical_id,
        type=f"AWS::{kind}",
        physical_id=physical_id,
        properties=properties,
    )


def vpc_link(timeout: int = 29_000) -> dict[str, Any]:
    return {
        "type": "http_proxy",
        "connectionType": "VPC_LINK",
        "integrationTarget": ALB,
        "uri": "https://services.internal",
        "timeoutInMillis": timeout,
        "requestParameters": {
            "integration.request.header.x-tenant": "context.authorizer.tenant",
            "integration.request.header.x-amzn-requestid": "context.requestId",
            "integration.request.header.x-path": "context.path",
        },
    }


def operation(integration: dict[str, Any], *, public: bool = False) -> dict[str, Any]:
    return {"security": [] if public else [{"bearer": []}], "x-amazon-apigateway-integration": integration}


PROBLEM = '{"code":"%s","detail":$context.error.messageString,"request":"$context.requestId."}'


def response(status: int | None, code: str) -> dict[str, Any]:
    return {
        **({} if status is None else {"statusCode": status}),
        "responseTemplates": {"application/json": PROBLEM % code},
        "responseParameters": {"gatewayresponse.header.Content-Type": "'application/problem+json'"},
    }


def document() -> dict[str, Any]:
    """The OpenAPI document of a REST API with private, public, slow and artefact routes."""
    return {
        "openapi": "3.0.1",
        "paths": {
            "/v1/items/{name}": {"get": operation(vpc_link()), "put": operation(vpc_link())},
            "/v1/items/{name}/query": {"post": operation(vpc_link())},
            "/v1/slow": {"get": operation(vpc_link(timeout=200))},
            "/v1/stopped": {"get": operation(vpc_link())},
            "/v1/files/{path+}": {"get": operation(vpc_link())},
            "/v1/token": {"post": operation({"type": "aws_proxy", "uri": lambda_uri(FUNCTION_ARN)}, public=True)},
        },
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "custom",
                    "x-amazon-apigateway-authorizer": {
                        "type": "token",
                        "authorizerUri": lambda_uri(AUTHORIZER_ARN),
                        "authorizerResultTtlInSeconds": 300,
                        "identityValidationExpression": "^Bearer .+",
                    },
                }
            }
        },
        "x-amazon-apigateway-gateway-responses": {
            "UNAUTHORIZED": response(401, "unauthorized"),
            "ACCESS_DENIED": response(None, "forbidden"),
            "MISSING_AUTHENTICATION_TOKEN": response(404, "no_such_route"),
            "AUTHORIZER_FAILURE": response(503, "authorizer_unavailable"),
            "REQUEST_TOO_LARGE": response(None, "too_large"),
            "DEFAULT_5XX": response(None, "unavailable"),
        },
    }


def declared_api() -> list[Resource]:
    """The REST API of `document`, its stage, and the balancer behind it."""
    return [
        resource("ApiGateway::RestApi", "api1", BinaryMediaTypes=["*/*"], Body=document()),
        resource("ApiGateway::Stage", "live", StageName="live"),
        resource(
            "ElasticLoadBalancingV2::Listener",
            LISTENER,
            LoadBalancerArn=ALB,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
        ),
        # Declared in the wrong order on purpose: the priority decides.
        rule(20, ["/live/v1/*"], "group-main"),
        rule(10, ["/live/v1/stopped*", "/live/v1/gone"], "group-without-service"),
        resource(
            "ECS::Service", "service", LoadBalancers=[{"TargetGroupArn": "group-main", "ContainerName": "vector-store"}]
        ),
    ]


def rule(priority: int, patterns: list[str], group: str) -> Resource:
    return resource(
        "ElasticLoadBalancingV2::ListenerRule",
        f"rule-{priority}",
        ListenerArn=LISTENER,
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": patterns}}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
    )


class Backends:
    """The fakes, what they received, and what they shall answer."""

    def __init__(self) -> None:
        self.invocations: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        self.function_answer: Any = {"statusCode": 200, "body": "{}"}
        self.authorizer_answer: Callable[[str], Any] = allow("*")

    async def invoke(self, request: web.Request) -> web.Response:
        name = unquote(request.raw_path).split("/functions/")[1].split("/")[0]
        event = await request.json()
        self.invocations.append((name, event))
        answer = self.authorizer_answer(event["authorizationToken"]) if name == AUTHORIZER_ARN else self.function_answer
        if isinstance(answer, Exception):
            failure = {"errorMessage": str(answer), "errorType": "Error"}
            return web.json_response(failure, headers={"X-Amz-Function-Error": "Unhandled"})
        return web.json_response(answer)

    async def serve(self, request: web.Request) -> web.Response:
        if request.path.endswith("/slow"):
            await asyncio.sleep(1)
        seen = {"method": request.method, "target": request.raw_path, "headers": dict(request.headers)}
        self.requests.append({**seen, "body": await request.read()})
        return web.json_response(seen, headers={"www-authenticate": "Bearer", "connection": "close"})

    def authorizations(self) -> int:
        return sum(1 for name, _ in self.invocations if name == AUTHORIZER_ARN)


def allow(*resources: str, deny: tuple[str, ...] = (), **context: Any) -> Callable[[str], Any]:
    """An authorizer that answers every token with this policy."""

    def statement(effect: str, paths: tuple[str, ...]) -> dict[str, Any]:
        arns = [f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api1/live/{path}" for path in paths]
        return {"Effect": effect, "Action": "execute-api:Invoke", "Resource": arns}

    statements = [statement("Allow", resources), *([statement("Deny", deny)] if deny else [])]
    document = {"Version": "2012-10-17", "Statement": statements}
    return lambda _: {"principalId": "someone", "policyDocument": document, "context": context}


def token(value: str = "t") -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def decoded(response: httpx.Response) -> Any:
    return json.loads(response.content)
