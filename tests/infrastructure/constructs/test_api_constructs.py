"""The REST API and what it answers by itself: the least, and everything set."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs.gateway_responses import RESPONSES, GatewayResponses
from constructs.rest_api import RestApi
from constructs.rest_routes import ApiRoute, BalancerTarget, FunctionTarget

from stacks.deployment import Api, Tokens
from tests.infrastructure.conftest import CONTEXT, Template

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
    return Tokens(issuer="https://a.org", audience="a", ttl=timedelta(hours=1), authorizer_cache=time)


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


@pytest.mark.defaults(of=RestApi)
def test_an_api_without_names_answers_under_aws_own_over_tls_1_3_alone(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: api_of(stack, LOGIN))
    api = template.only("AWS::ApiGateway::RestApi")
    assert api["DisableExecuteApiEndpoint"] is False
    assert api["SecurityPolicy"] == "SecurityPolicy_TLS13_1_3_2025_09"
    assert api["EndpointAccessMode"] == "STRICT"
    assert "execute-api.eu-west-1" in json.dumps(template.document["Outputs"]["Url"]["Value"])
    assert template.only("AWS::ApiGateway::Method")["AuthorizationType"] == "NONE"
    assert template.only("AWS::ApiGateway::Authorizer")["AuthorizerResultTtlInSeconds"] == 0


@pytest.mark.everything(of=RestApi)
def test_an_api_with_names_limits_and_a_cache(inspect_construct: Inspect) -> None:
    tokens = tokens_kept(timedelta(minutes=2))
    template = inspect_construct(lambda stack: api_of(stack, LOGIN, ROWS, has_names=True, tokens=tokens))
    assert template.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
    ((authorizer, whole),) = template.resources("AWS::ApiGateway::Authorizer").items()
    assert whole["Properties"]["AuthorizerResultTtlInSeconds"] == 120
    guarded = template.only("AWS::ApiGateway::Method", HttpMethod="GET")
    assert (guarded["AuthorizationType"], guarded["AuthorizerId"]) == ("CUSTOM", {"Ref": authorizer})
    assert guarded["Integration"]["TimeoutInMillis"] == 3000
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


def responses_of(stack: Stack) -> GatewayResponses:
    """For an API that has nothing else."""
    api = apigateway.CfnRestApi(stack, "Api", name="a")
    return GatewayResponses(stack, "R", rest_api_id=api.ref)


@pytest.mark.defaults(of=GatewayResponses)
def test_whatever_the_gateway_answers_is_a_problem_document(inspect_construct: Inspect) -> None:
    found = inspect_construct(responses_of).properties("AWS::ApiGateway::GatewayResponse")
    assert {response["ResponseType"] for response in found} == set(RESPONSES)
    for response in found:
        document = json.loads(response["ResponseTemplates"]["application/json"])
        assert document["status"] == int(response["StatusCode"])
        assert document["code"]
        headers = response["ResponseParameters"]
        assert headers["gatewayresponse.header.content-type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.x-request-id"] == "context.requestId"


@pytest.mark.everything(of=GatewayResponses)
@pytest.mark.parametrize("kind", ["THROTTLED", "AUTHORIZER_FAILURE", "INTEGRATION_FAILURE"])
def test_what_passes_says_when_to_try_again(inspect_construct: Inspect, kind: str) -> None:
    response = inspect_construct(responses_of).only("AWS::ApiGateway::GatewayResponse", ResponseType=kind)
    assert response["StatusCode"] in ("429", "503")
    assert response["ResponseParameters"]["gatewayresponse.header.retry-after"] == "'1'"


def test_another_answer_makes_another_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint() -> str:
        return responses_of(Stack(App(context=CONTEXT), "Test")).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    changed = {**RESPONSES, "THROTTLED": RESPONSES["QUOTA_EXCEEDED"]}
    monkeypatch.setattr("constructs.gateway_responses.RESPONSES", changed)
    assert fingerprint() != before
