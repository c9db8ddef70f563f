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
        "Type": "HTTP_PROXY",
        "ConnectionType": "VPC_LINK",
        "IntegrationTarget": ALB,
        "Uri": "https://services.internal",
        "TimeoutInMillis": timeout,
        "RequestParameters": {
            "integration.request.header.x-tenant": "context.authorizer.tenant",
            "integration.request.header.x-amzn-requestid": "context.requestId",
            "integration.request.header.x-path": "context.path",
        },
    }


def declared_api() -> list[Resource]:
    """A REST API with a private, a public, a slow and an artefact route."""
    custom = {"AuthorizationType": "CUSTOM", "AuthorizerId": "authorizer"}
    parts = [
        ("v1", "root", "v1"),
        ("items", "v1", "items"),
        ("item", "items", "{name}"),
        ("query", "item", "query"),
        ("slow", "v1", "slow"),
        ("stopped", "v1", "stopped"),
        ("files", "v1", "files"),
        ("file", "files", "{path+}"),
        ("token", "v1", "token"),
    ]
    proxy = {"Type": "AWS_PROXY", "Uri": lambda_uri(FUNCTION_ARN)}
    methods = [
        ("item", "GET", custom, vpc_link()),
        ("item", "PUT", custom, vpc_link()),
        ("query", "POST", custom, vpc_link()),
        ("slow", "GET", custom, vpc_link(timeout=200)),
        ("stopped", "GET", custom, vpc_link()),
        ("file", "GET", custom, vpc_link()),
        ("token", "POST", {"AuthorizationType": "NONE"}, proxy),
    ]
    problem = '{"code":"%s","detail":$context.error.messageString,"request":"$context.requestId."}'

    def response(kind: str, status: int | None, code: str) -> Resource:
        return resource(
            "ApiGateway::GatewayResponse",
            f"response-{kind}",
            ResponseType=kind,
            **({} if status is None else {"StatusCode": str(status)}),
            ResponseTemplates={"application/json": problem % code},
            ResponseParameters={"gatewayresponse.header.Content-Type": "'application/problem+json'"},
        )

    return [
        resource("ApiGateway::RestApi", "api1", BinaryMediaTypes=["*/*"]),
        resource("ApiGateway::Stage", "live", StageName="live"),
        *(resource("ApiGateway::Resource", i, ParentId=parent, PathPart=part) for i, parent, part in parts),
        *(
            resource("ApiGateway::Method", f"{i}{verb}", ResourceId=i, HttpMethod=verb, Integration=integration, **auth)
            for i, verb, auth, integration in methods
        ),
        resource(
            "ApiGateway::Authorizer",
            "authorizer",
            Type="TOKEN",
            AuthorizerUri=lambda_uri(AUTHORIZER_ARN),
            AuthorizerResultTtlInSeconds=300,
            IdentitySource="method.request.header.Authorization",
            IdentityValidationExpression="^Bearer .+",
        ),
        response("UNAUTHORIZED", 401, "unauthorized"),
        response("ACCESS_DENIED", None, "forbidden"),
        response("MISSING_AUTHENTICATION_TOKEN", 404, "no_such_route"),
        response("AUTHORIZER_FAILURE", 503, "authorizer_unavailable"),
        response("REQUEST_TOO_LARGE", None, "too_large"),
        response("DEFAULT_5XX", None, "unavailable"),
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
