"""The REST API and what it answers by itself: the least, and everything set."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs.gateway_responses import RESPONSES, gateway_responses
from constructs.rest_api import RestApi
from constructs.rest_routes import ApiRoute, BalancerTarget, FunctionTarget, paths

from stacks.deployment import Api, Throttle, Tokens
from tests.infrastructure.conftest import Properties, Template
from tests.infrastructure.test_api import document, integration, responses, routes

Inspect = Callable[[Callable[[Stack], object]], Template]
AUTHORIZER = "arn:aws:lambda:eu-west-1:000000000000:function:authorizer"
FUNCTION = "arn:aws:lambda:eu-west-1:000000000000:function:login"
LOGIN = ApiRoute(
    method="POST",
    path="/login",
    public=True,
    target=FunctionTarget(arn=FUNCTION),
)
ROWS = ApiRoute(
    method="GET",
    path="/rows/{id}",
    public=False,
    target=BalancerTarget(link_id="link", balancer_arn="arn:balancer", base_url="https://inside"),
)


def tokens_kept(time: timedelta) -> Tokens:
    """Tokens about which the authorizer's answer is kept so long."""
    return Tokens(
        session=timedelta(hours=8),
        issuer="https://a.org",
        audience="a",
        ttl=timedelta(hours=1),
        throttle=Throttle(rate=1, burst=1),
        revocations=100,
        authorizer_cache=time,
    )


def api_of(stack: Stack, *routes: ApiRoute, **changes: Any) -> RestApi:
    """An API with one stage, ``live``."""
    settings: dict[str, Any] = {
        "name": "a",
        "stage": "live",
        "routes": routes,
        "authorizer": lambda_.Function.from_function_arn(stack, "Authorizer", AUTHORIZER),
        "limits": Api(rate=7, burst=9, timeout=timedelta(seconds=3)),
        "tokens": tokens_kept(timedelta(0)),
        "log_group": logs.LogGroup.from_log_group_name(stack, "Logs", "l"),
        "has_names": False,
    }
    made = RestApi(stack, "A", **(settings | changes))
    CfnOutput(stack, "Url", value=made.url)
    return made


def authorizer_of(template: Template) -> Properties:
    """What the one security scheme says of its function."""
    (scheme,) = document(template)["components"]["securitySchemes"].values()
    found: Properties = scheme["x-amazon-apigateway-authorizer"]
    return found


@pytest.mark.defaults(of=RestApi)
def test_an_api_without_names_answers_under_aws_own_over_tls_1_3_alone(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: api_of(stack, LOGIN))
    api = template.only("AWS::ApiGateway::RestApi")
    assert api["DisableExecuteApiEndpoint"] is False
    assert api["SecurityPolicy"] == "SecurityPolicy_TLS13_1_3_2025_09"
    assert api["EndpointAccessMode"] == "STRICT"
    assert "execute-api.eu-west-1" in json.dumps(template.document["Outputs"]["Url"]["Value"])
    assert routes(template)["POST", "/login"]["security"] == []
    assert authorizer_of(template)["authorizerResultTtlInSeconds"] == 0


@pytest.mark.everything(of=RestApi)
def test_an_api_with_names_limits_and_a_cache(inspect_construct: Inspect) -> None:
    tokens = tokens_kept(timedelta(minutes=2))
    template = inspect_construct(lambda stack: api_of(stack, LOGIN, ROWS, has_names=True, tokens=tokens))
    assert template.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
    assert authorizer_of(template)["authorizerResultTtlInSeconds"] == 120
    guarded = routes(template)["GET", "/rows/{id}"]
    assert guarded["security"] == [{"bearer-token": []}]
    assert integration(guarded)["timeoutInMillis"] == 3000
    stage = template.only("AWS::ApiGateway::Stage")
    (everywhere,) = stage["MethodSettings"]
    assert (everywhere["ThrottlingRateLimit"], everywhere["ThrottlingBurstLimit"]) == (7, 9)
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert not [value for value in logged.values() if "header" in value.lower() or "token" in value.lower()]


def test_the_api_alone_invokes_the_functions_behind_it_each_for_its_own_route(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: api_of(stack, LOGIN, ROWS))
    permissions = template.properties("AWS::Lambda::Permission")
    assert {permission["Principal"] for permission in permissions} == {"apigateway.amazonaws.com"}
    sources = {permission["FunctionName"]: json.dumps(permission["SourceArn"]) for permission in permissions}
    assert "/live/POST/login" in sources[FUNCTION]
    assert "/authorizers/" in sources[AUTHORIZER]


def test_whatever_the_gateway_answers_is_a_problem_document(inspect_construct: Inspect) -> None:
    found = responses(inspect_construct(lambda stack: api_of(stack, LOGIN)))
    assert found == gateway_responses()
    assert set(found) == set(RESPONSES)
    for response in found.values():
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert problem["status"] == response["statusCode"]
        assert problem["code"]
        assert problem["message"] == problem["detail"]
        assert problem["error_code"].isupper()
        headers = response["responseParameters"]
        assert headers["gatewayresponse.header.content-type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"
        assert headers["gatewayresponse.header.cache-control"] == "'no-store'"
        assert headers["gatewayresponse.header.x-content-type-options"] == "'nosniff'"
        assert headers["gatewayresponse.header.strict-transport-security"] == "'max-age=63072000; includeSubDomains'"


@pytest.mark.parametrize("kind", ["THROTTLED", "AUTHORIZER_FAILURE", "INTEGRATION_FAILURE"])
def test_what_passes_says_when_to_try_again(inspect_construct: Inspect, kind: str) -> None:
    response = responses(inspect_construct(lambda stack: api_of(stack, LOGIN)))[kind]
    assert response["statusCode"] in (429, 503)
    assert response["responseParameters"]["gatewayresponse.header.retry-after"] == "'1'"


def test_a_route_becomes_an_operation_with_its_path_parameters() -> None:
    deep = ApiRoute(method="PUT", path="/a/{name}/b/{path+}", public=False, target=ROWS.target)
    found = paths([LOGIN, ROWS, deep], region="eu-west-1", timeout_ms=5)
    assert list(found) == ["/login", "/rows/{id}", "/a/{name}/b/{path+}"]
    operation = cast("Properties", found[deep.path]["put"])
    assert integration(operation)["uri"] == "https://inside/a/{name}/b/{path}"
    assert [each["name"] for each in operation["parameters"]] == ["name", "path"]


def test_a_deployment_is_made_anew_when_and_only_when_the_document_changes(
    inspect_construct: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deployment(route: ApiRoute = LOGIN, *, others: int = 0, seconds: int = 3) -> str:
        def built(stack: Stack) -> RestApi:
            for number in range(others):
                CfnOutput(stack, f"O{number}", value=apigateway.CfnRestApi(stack, f"R{number}", name="r").ref)
            return api_of(stack, route, limits=Api(rate=7, burst=9, timeout=timedelta(seconds=seconds)))

        (name,) = inspect_construct(built).resources("AWS::ApiGateway::Deployment")
        return name

    plain = deployment()
    assert deployment(others=3) == plain  # other tokens with the same meaning
    changes: list[dict[str, Any]] = [
        {"method": "PUT"},
        {"path": "/a"},
        {"public": False},
        {"target": ROWS.target},
        {"target": FunctionTarget(arn=AUTHORIZER)},
    ]
    changed = {deployment(replace(LOGIN, **change)) for change in changes} | {deployment(seconds=4)}
    answers = {**RESPONSES, "THROTTLED": RESPONSES["QUOTA_EXCEEDED"]}
    monkeypatch.setattr("constructs.gateway_responses.RESPONSES", answers)
    assert len(changed | {plain, deployment()}) == len(changes) + 3
