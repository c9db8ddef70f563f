"""A Lambda function from a bundle that ``make bundle`` built: synthesis installs nothing."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import jsii
from aws_cdk import (
    AssetHashType,
    BundlingOptions,
    BundlingOutput,
    DockerImage,
    Duration,
    ILocalBundling,
    Size,
    Stack,
)
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, grants
from constructs.location import here
from constructs.statements import Statement, attach

from anfl.resources import HANDLER, Caretaker, Function, Variable
from bundling.functions import bundle_for
from stacks.architecture import FunctionSize

RUNTIME = lambda_.Runtime.PYTHON_3_13
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
        stack = Stack.of(scope)
        role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        arn = here(scope).arn("lambda", f"function:{name}")
        own = grants.write_logs(log_group.log_group_arn) + (_network_interfaces(arn) if vpc else [])
        attach(role, (*own, *statements, _TRACE))
        super().__init__(
            scope,
            id,
            function_name=name,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.X86_64,
            handler=HANDLER,
            code=_code(function, stack),
            memory_size=size.memory,
            timeout=Duration.seconds(size.timeout),
            ephemeral_storage_size=Size.mebibytes(ephemeral_storage),
            environment={str(key): value for key, value in environment.items()},
            role=role.without_policy_updates(),  # it may what is said here, and nothing that the CDK would add
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS) if vpc else None,
            security_groups=[security_group] if security_group else None,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.TEXT,
            tracing=lambda_.Tracing.ACTIVE,
        )


@jsii.implements(ILocalBundling)
class _Prebuilt:
    """Hands the CDK a finished archive."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def try_bundle(self, output_dir: str, options: BundlingOptions) -> bool:  # noqa: ARG002 - the interface has it
        """Copy the archive; always succeeds, so that no container image is ever pulled."""
        shutil.copy(self._archive, Path(output_dir) / self._archive.name)
        return True


def _code(function: Function | Caretaker, stack: Stack) -> lambda_.Code:
    bundle = bundle_for(function)
    # Asked for before the CDK calls back: an error raised inside its callback arrives as a trace of another language.
    archive = bundle.require() if stack.bundling_required else bundle.source
    return lambda_.Code.from_asset(
        str(bundle.source),
        asset_hash=bundle.content_hash,
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(
            image=DockerImage("never-pulled"),
            local=cast(ILocalBundling, _Prebuilt(archive)),
            output_type=BundlingOutput.ARCHIVED,
        ),
    )


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
