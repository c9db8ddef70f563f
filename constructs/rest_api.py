"""The region's REST API as one construct: an OpenAPI document (routes, token authorizer, problem responses), a stage.

One document and not hundreds of resources, of which API Gateway makes five a second for an account.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.gateway_responses import gateway_responses
from constructs.location import here
from constructs.rest_routes import AUTHORIZER, ApiRoute, FunctionTarget, invocation_uri, paths

from anfl.auth.bearer import AUTHORIZATION
from stacks.deployment import Api, Tokens

SECURITY_POLICY = "SecurityPolicy_TLS13_1_3_2025_09"
"""TLS 1.3 alone. An API's own policy holds for its custom names too: both say the same."""
_INVOKER = "apigateway.amazonaws.com"
_TOKEN = re.compile(r"\$\{Token\[[^\]]*\]\}")
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "resource": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.responseType",
    "authorizerStatus": "$context.authorizer.status",
    "authorizerRequestId": "$context.authorizer.requestId",
    "integrationStatus": "$context.integration.status",
    "latency": "$context.responseLatency",
    "integrationLatency": "$context.integration.latency",
    "bytes": "$context.responseLength",
}
"""No header, no path parameter, no token: the log may be read by whoever operates the system."""


class RestApi(Construct):
    """Regional REST API over TLS 1.3 with one stage."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        stage: str,
        routes: Sequence[ApiRoute],
        authorizer: lambda_.IFunction,
        limits: Api,
        tokens: Tokens,
        log_group: logs.ILogGroup,
        has_names: bool,
    ) -> None:
        """:param authorizer: the function that turns a bearer token into a policy.

        :param has_names: the API answers under names of the domain alone, not under AWS's own.
        """
        super().__init__(scope, id)
        self.name = name
        self.stage = stage
        body = {
            "openapi": "3.0.1",
            "info": {"title": name, "version": "1"},
            "paths": paths(routes, region=here(self).region, timeout_ms=int(limits.timeout.total_seconds() * 1000)),
            "components": {"securitySchemes": {AUTHORIZER: self._scheme(authorizer, tokens)}},
            "x-amazon-apigateway-gateway-responses": gateway_responses(),
        }
        self.resource = apigateway.CfnRestApi(
            self,
            "Api",
            name=name,
            binary_media_types=["*/*"],
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(types=["REGIONAL"]),
            security_policy=SECURITY_POLICY,
            endpoint_access_mode="STRICT",
            disable_execute_api_endpoint=has_names,
            body=body,
        )
        self.id = self.resource.ref
        self._permission("InvokeAuthorizer", authorizer.function_arn, "authorizers/*")
        self._permit(routes)
        self.live = self._stage(limits, log_group, body)

    @property
    def url(self) -> str:
        """Base address of the stage, without a slash at its end."""
        return f"https://{self.id}.execute-api.{here(self).region}.amazonaws.com/{self.live.ref}"

    @property
    def stage_arn(self) -> str:
        """The stage, as a firewall knows it."""
        return here(self).arn("apigateway", f"/restapis/{self.id}/stages/{self.live.ref}", account="")

    def _scheme(self, function: lambda_.IFunction, tokens: Tokens) -> dict[str, object]:
        return {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "token",
                "authorizerUri": invocation_uri(here(self).region, function.function_arn),
                "authorizerResultTtlInSeconds": int(tokens.authorizer_cache.total_seconds()),
                "identityValidationExpression": AUTHORIZATION,
            },
        }

    def _permit(self, routes: Sequence[ApiRoute]) -> None:
        for route in routes:
            if isinstance(route.target, FunctionTarget):
                self._permission(
                    f"Invoke {route.method} {route.path}".replace("/", ":"),
                    route.target.arn,
                    f"{self.stage}/{route.method}{route.path}",
                )

    def _permission(self, name: str, function_arn: str, source: str) -> None:
        arn = here(self).arn("execute-api", f"{self.id}/{source}")
        lambda_.CfnPermission(
            self,
            name,
            action="lambda:InvokeFunction",
            function_name=function_arn,
            principal=_INVOKER,
            source_arn=arn,
        )

    def _stage(self, limits: Api, log_group: logs.ILogGroup, body: Mapping[str, object]) -> apigateway.CfnStage:
        # A deployment is a copy: only one with another name takes a changed document along.
        deployment = apigateway.CfnDeployment(self, f"Deployment{self._fingerprint(body)}", rest_api_id=self.id)
        return apigateway.CfnStage(
            self,
            "Stage",
            rest_api_id=self.id,
            deployment_id=deployment.ref,
            stage_name=self.stage,
            tracing_enabled=True,
            method_settings=[
                apigateway.CfnStage.MethodSettingProperty(
                    http_method="*",
                    resource_path="/*",
                    metrics_enabled=True,
                    throttling_rate_limit=limits.rate,
                    throttling_burst_limit=limits.burst,
                )
            ],
            access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
                destination_arn=log_group.log_group_arn, format=json.dumps(_ACCESS_LOG)
            ),
        )

    def _fingerprint(self, body: Mapping[str, object]) -> str:
        """Hash of ``body`` with what its tokens stand for: they are numbered anew with every change of the app."""
        text = json.dumps(body, sort_keys=True)
        tokens = sorted(set(_TOKEN.findall(text)))
        for token, meaning in zip(tokens, Stack.of(self).resolve(tokens), strict=True):
            text = text.replace(token, json.dumps(meaning))
        return hashlib.sha256(text.encode()).hexdigest()[:24]
