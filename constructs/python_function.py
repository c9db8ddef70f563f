"""A Lambda function from a bundle that ``make bundle`` built: synthesis installs nothing."""

from collections.abc import Mapping, Sequence

from aws_cdk import (
    AssetHashType,
    Size,
    Stack,
)
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, grants
from constructs.durations import seconds
from constructs.location import here
from constructs.statements import Statement, attach

from anfl.resources import HANDLER, Caretaker, Function, Variable
from bundling.functions import bundle_for
from stacks.architecture import FunctionSize

SMALLEST_STORAGE = 512
"""MiB of ephemeral storage, which every function gets."""
_TRACE = Statement(sid="Trace", actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"])
"""AWS scopes it to nothing."""


class PythonFunction(lambda_.Function):
    """Runs under a role of its own that may log and what is granted; in private subnets where there is a network."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        function: Function | Caretaker,
        name: str,
        size: FunctionSize,
        environment: Mapping[Variable, str],
        statements: Sequence[Statement],
        log_group: logs.ILogGroup,
        vpc: ec2.IVpc | None = None,
        security_group: ec2.ISecurityGroup | None = None,
        ephemeral_storage: int = SMALLEST_STORAGE,
    ) -> None:
        """:param statements: everything the function may do beyond logging. :param ephemeral_storage: MiB."""
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        arn = here(scope).arn("lambda", f"function:{name}")
        own = grants.write_logs(log_group.log_group_arn) + (_network_interfaces(arn) if vpc else [])
        attach(role, (*own, *statements, _TRACE))
        frozen = role.without_policy_updates()  # it may what is said here, and nothing that the CDK would add
        super().__init__(
            scope,
            id,
            function_name=name,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.X86_64,
            handler=HANDLER,
            code=_code(function, scope),
            memory_size=size.memory,
            timeout=seconds(size.timeout),
            ephemeral_storage_size=Size.mebibytes(ephemeral_storage),
            environment={str(key): value for key, value in environment.items()},
            role=frozen,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS) if vpc else None,
            security_groups=[security_group] if security_group else None,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.TEXT,
            tracing=lambda_.Tracing.ACTIVE,
        )
        self.own_role: iam.IRole = frozen


def _code(function: Function | Caretaker, scope: Construct) -> lambda_.Code:
    """The bundle, named by what it is made of; where the CLI wants none of this stack's, its sources will do."""
    bundle = bundle_for(function)
    asset = bundle.require() if Stack.of(scope).bundling_required else bundle.source
    return lambda_.Code.from_asset(str(asset), asset_hash=bundle.content_hash, asset_hash_type=AssetHashType.CUSTOM)


def _network_interfaces(function_arn: str) -> list[Statement]:
    """What Lambda itself needs to attach the function to its subnets; EC2 scopes none of it to a resource."""
    actions = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ]
    return [
        Statement(sid="NetworkInterfaces", actions=actions, resources=["*"]),
        Statement(
            sid="NetworkInterfacesNotFromCode",
            effect="Deny",
            actions=actions,
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": function_arn}},
        ),
    ]
