"""The policy of the data key, equal on the primary and on every replica (replicas inherit none)."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam

_USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
NOTIFIERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com", "backup.amazonaws.com", "aps.amazonaws.com")
"""Services that publish to encrypted topics: without the key their messages are dropped silently."""


def key_policy(stack: Stack) -> iam.PolicyDocument:
    """Who may use the key in the region of ``stack``: the account's identities as IAM says, its logs, its notifiers."""
    logs = stack.format_arn(
        service="logs", resource="log-group", resource_name="*", arn_format=ArnFormat.COLON_RESOURCE_NAME
    )
    account = {"StringEquals": {"aws:SourceAccount": stack.account}}
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="AccountIdentitiesAsIamAllows",
                principals=[iam.AccountRootPrincipal()],
                actions=["kms:*"],
                resources=["*"],
            ),
            iam.PolicyStatement(
                sid="LogGroups",
                principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
                actions=_USE,
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
            ),
            iam.PolicyStatement(
                sid="Notifications",
                principals=[iam.ServicePrincipal(service) for service in NOTIFIERS],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=account,
            ),
        ]
    )
