"""The policies of the keys, equal on the primary and on every replica (replicas inherit none)."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs.location import here

_USE = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]
NOTIFIERS = ("cloudwatch.amazonaws.com", "events.amazonaws.com", "backup.amazonaws.com", "aps.amazonaws.com")
"""Services that publish to encrypted topics: without the key their messages are dropped silently."""


def key_policy(stack: Stack) -> iam.PolicyDocument:
    """Who may use the key in the region of ``stack``: the account's identities as IAM says, its logs, its notifiers."""
    logs = here(stack).arn("logs", "log-group:*")
    account = {"StringEquals": {"aws:SourceAccount": here(stack).account}}
    return iam.PolicyDocument(
        statements=[
            _identities(),
            iam.PolicyStatement(
                sid="LogGroups",
                principals=[iam.ServicePrincipal(f"logs.{here(stack).region}.amazonaws.com")],
                actions=_USE,
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
            ),
            iam.PolicyStatement(
                sid="Notifications",
                principals=[iam.ServicePrincipal(service) for service in NOTIFIERS],
                actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"],
                resources=["*"],
                conditions=account,
            ),
        ]
    )


def data_key_policy(stack: Stack) -> iam.PolicyDocument:
    """Like `key_policy`, and EC2 Auto Scaling for the disks of the clusters' instances."""
    policy = key_policy(stack)
    policy.add_statements(*_disks(stack))
    return policy


def seal_key_policy(stack: Stack) -> iam.PolicyDocument:
    """Who may use the key that opens Vault: identities as IAM says, and EC2 Auto Scaling for the nodes' disks."""
    return iam.PolicyDocument(statements=[_identities(), *_disks(stack)])


def _disks(stack: Stack) -> list[iam.PolicyStatement]:
    """EC2 Auto Scaling starts instances with encrypted disks; without these it cannot, and only its activity says so.

    The service-linked role is named in a condition: as a principal it would have to exist before the key.
    """
    scaling = here(stack).arn(
        "iam", "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling", region=""
    )
    by_scaling = {
        "StringEquals": {"kms:CallerAccount": here(stack).account},
        "ArnEquals": {"aws:PrincipalArn": scaling},
    }
    return [
        iam.PolicyStatement(
            sid="DisksOfNodes",
            principals=[iam.AnyPrincipal()],
            actions=_USE,
            resources=["*"],
            conditions=by_scaling,
        ),
        iam.PolicyStatement(
            sid="DisksOfNodesAttached",
            principals=[iam.AnyPrincipal()],
            actions=["kms:CreateGrant"],
            resources=["*"],
            conditions=by_scaling | {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _identities() -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="AccountIdentitiesAsIamAllows",
        principals=[iam.AccountRootPrincipal()],
        actions=["kms:*"],
        resources=["*"],
    )
