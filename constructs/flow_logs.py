"""What a VPC refused, noted in a log group."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, attach


def log_refused(scope: Construct, *, vpc_id: str, log_group: logs.ILogGroup) -> None:
    """Note refused connections of the VPC in ``log_group``, by a role of their own."""
    principal = iam.ServicePrincipal(
        "vpc-flow-logs.amazonaws.com",
        # Not for the logs of another account's networks.
        conditions={"StringEquals": {"aws:SourceAccount": here(scope).account}},
    )
    role = iam.Role(scope, "FlowLogsRole", assumed_by=principal)
    writes = [
        Statement(
            sid="WriteFlowLogs",
            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[log_group.log_group_arn],
        )
    ]
    attach(role, writes)
    ec2.CfnFlowLog(
        scope,
        "FlowLogs",
        resource_id=vpc_id,
        resource_type="VPC",
        traffic_type="REJECT",
        deliver_logs_permission_arn=role.role_arn,
        log_group_name=log_group.log_group_name,
    )
