"""A region's REST API: every route of the access table, before the function or the balancer that answers it."""

from collections.abc import Mapping

from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_logs as logs
from constructs.internal_balancer import InternalBalancer
from constructs.python_function import PythonFunction
from constructs.region_network import RegionNetwork
from constructs.rest_api import RestApi
from constructs.rest_routes import ApiRoute, BalancerTarget, FunctionTarget

from anfl.auth.rbac import PUBLIC_ROUTES, ROUTES
from anfl.resources import STAGE, Function
from stacks.base import AnflStack
from stacks.security import SecurityStack

AUTH_PREFIX = "/v1/auth/"
"""Below it the auth function answers."""


def api_in(
    stack: AnflStack,
    *,
    network: RegionNetwork,
    security: SecurityStack,
    functions: Mapping[Function, PythonFunction],
    balancer: InternalBalancer,
    log_group: logs.ILogGroup,
) -> RestApi:
    """The API and its private link to ``balancer``. :param log_group: of its access log."""
    settings, certificate = stack.settings, security.certificate
    link = apigatewayv2.CfnVpcLink(
        stack,
        "Link",
        name=settings.name("internal"),
        subnet_ids=network.private_subnet_ids,
        security_group_ids=[security.link.security_group_id],
    )
    services = BalancerTarget(
        link_id=link.ref,
        balancer_arn=balancer.arn,
        base_url=f"https://{certificate.host}" if certificate else f"http://{balancer.balancer.attr_dns_name}",
    )
    auth = FunctionTarget(arn=functions[Function.AUTH].function_arn)
    declared = [(route.method, route.path, False) for route in ROUTES]
    declared += [(method, path, True) for method, path in PUBLIC_ROUTES]
    return RestApi(
        stack,
        "Api",
        name=settings.name("api"),
        stage=STAGE,
        routes=[
            ApiRoute(method=method, path=path, public=public, target=auth if path.startswith(AUTH_PREFIX) else services)
            for method, path, public in declared
        ],
        authorizer=functions[Function.AUTHORIZER],
        limits=settings.deployment.api,
        tokens=settings.deployment.tokens,
        log_group=log_group,
        has_names=certificate is not None,
    )
