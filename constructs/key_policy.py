"""The policies of the keys, equal on the primary and on every replica (replicas inherit none)."""

from aws_cdk import Stack
from constructs.location import Location, here
from constructs.statements import ANYBODY, Statement, services

_USE = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]
NOTIFIERS = ("aps.amazonaws.com", "backup.amazonaws.com", "cloudwatch.amazonaws.com")
"""Services that publish to encrypted topics: without the key their messages are dropped silently."""
EVENTS = "events.amazonaws.com"
"""Another one. It sends no source with its calls (SNS Developer Guide, "Managing Amazon SNS encryption keys": for
EventBridge ``aws:SourceAccount`` and the like are not supported), so what binds it is the topic that it is about."""
_NOTIFY = ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]


def key_policy(stack: Stack) -> list[Statement]:
    """Who may use the key in the region of ``stack``: the account's identities as IAM says, its logs, its notifiers."""
    place = here(stack)
    return [
        _identities(place),
        Statement(
            sid="LogGroups",
            principal=services(f"logs.{place.region}.amazonaws.com"),
            actions=_USE,
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", "log-group:*")}},
        ),
        Statement(
            sid="Notifications",
            principal=services(*NOTIFIERS),
            actions=_NOTIFY,
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": place.account}},
        ),
        Statement(
            sid="Events",
            principal=services(EVENTS),
            actions=_NOTIFY,
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": place.arn("sns", "*")}},
        ),
    ]


def data_key_policy(stack: Stack) -> list[Statement]:
    """Like `key_policy`, and EC2 Auto Scaling for the disks of the clusters' instances."""
    return [*key_policy(stack), *_disks(here(stack))]


def seal_key_policy(stack: Stack) -> list[Statement]:
    """Who may use the key that opens Vault: identities as IAM says, and EC2 Auto Scaling for the nodes' disks."""
    place = here(stack)
    return [_identities(place), *_disks(place)]


def wrapping_key_policy(stack: Stack) -> list[Statement]:
    """Who may use the key of the wrapping keys: identities as IAM says, and no service of AWS for itself."""
    return [_identities(here(stack))]


def _disks(place: Location) -> list[Statement]:
    """EC2 Auto Scaling starts instances with encrypted disks; without these it cannot, and only its activity says so.

    The service-linked role is named in a condition: as a principal it would have to exist before the key.
    """
    scaling = place.arn(
        "iam", "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling", region=""
    )
    by_scaling = {
        "StringEquals": {"kms:CallerAccount": place.account},
        "ArnEquals": {"aws:PrincipalArn": scaling},
    }
    return [
        Statement(
            sid="DisksOfNodes",
            principal=ANYBODY,
            actions=_USE,
            resources=["*"],
            conditions=by_scaling,
        ),
        Statement(
            sid="DisksOfNodesAttached",
            principal=ANYBODY,
            actions=["kms:CreateGrant"],
            resources=["*"],
            conditions=by_scaling | {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _identities(place: Location) -> Statement:
    return Statement(
        sid="AccountIdentitiesAsIamAllows",
        principal={"AWS": place.arn("iam", "root", region="")},
        actions=["kms:*"],
        resources=["*"],
    )
