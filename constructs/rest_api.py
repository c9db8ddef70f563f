"""The region's REST API as one construct: routes, token authorizer, problem responses, stage."""

import json
from collections.abc import Sequence

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.gateway_responses import GatewayResponses
from constructs.location import here
from constructs.rest_routes import ApiRoute, FunctionTarget, RestRoutes, invocation_uri

from stacks.deployment import Api, Tokens

SECURITY_POLICY = "SecurityPolicy_TLS13_1_3_2025_09"
"""TLS 1.3 alone. An API's own policy holds for its custom names too: both say the same."""
_INVOKER = "apigateway.amazonaws.com"
_BEARER = r"^[Bb]earer [A-Za-z0-9_.-]+$"
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "resource": "$context.resourcePath",
    "status": "$context.status",
    "error": "$context.error.responseType",
    "authorizerStatus": "$context.authorizer.status",
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
        self.resource = apigateway.CfnRestApi(
            self,
            "Api",
            name=name,
            binary_media_types=["*/*"],
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(types=["REGIONAL"]),
            security_policy=SECURITY_POLICY,
            endpoint_access_mode="STRICT",
            disable_execute_api_endpoint=has_names,
        )
        self.id = self.resource.ref
        self._routes = RestRoutes(
            self,
            "Routes",
            rest_api=self.resource,
            authorizer_id=self._authorizer(authorizer, int(tokens.authorizer_cache.total_seconds())),
            routes=routes,
            timeout_ms=int(limits.timeout.total_seconds() * 1000),
        )
        self._responses = GatewayResponses(self, "Responses", rest_api_id=self.id)
        self._permit(routes)
        self.live = self._stage(limits, log_group)

    @property
    def url(self) -> str:
        """Base address of the stage, without a slash at its end."""
        return f"https://{self.id}.execute-api.{here(self).region}.amazonaws.com/{self.live.ref}"

    @property
    def stage_arn(self) -> str:
        """The stage, as a firewall knows it."""
        return here(self).arn("apigateway", f"/restapis/{self.id}/stages/{self.live.ref}", account="")

    def _authorizer(self, function: lambda_.IFunction, cache_seconds: int) -> str:
        authorizer = apigateway.CfnAuthorizer(
            self,
            "Authorizer",
            rest_api_id=self.id,
            name="bearer-token",
            type="TOKEN",
            identity_source="method.request.header.Authorization",
            identity_validation_expression=_BEARER,
            authorizer_uri=invocation_uri(self, function.function_arn),
            authorizer_result_ttl_in_seconds=cache_seconds,
        )
        self._permission("InvokeAuthorizer", function.function_arn, f"authorizers/{authorizer.ref}")
        return authorizer.ref

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

    def _stage(self, limits: Api, log_group: logs.ILogGroup) -> apigateway.CfnStage:
        # A deployment is a copy: only one with another name takes changed routes and responses along.
        fingerprint = self._routes.fingerprint() + self._responses.fingerprint()[:8]
        deployment = apigateway.CfnDeployment(self, f"Deployment{fingerprint}", rest_api_id=self.id)
        deployment.node.add_dependency(self._routes, self._responses)
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
