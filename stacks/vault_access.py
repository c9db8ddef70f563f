"""Who may do what around Vault: its nodes, its bootstrap, the record of its recovery keys."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import grants
from constructs.location import here
from constructs.statements import ANYBODY, Statement, document

from anfl.resources import AUTH, VAULT_TAG, AuthPartition
from bundling.vault_package import VAULT_REPOSITORY
from stacks.models import Settings

BREAK_GLASS = "break-glass"
"""End of the name of the role that may read the recovery record, in an emergency."""


def recovery_secret(stack: Stack, settings: Settings, key_arn: str) -> secretsmanager.CfnSecret:
    """Empty until the bootstrap has initialised the cluster.

    AWS has no rotation for it: recovery keys change by ``vault operator rekey -target=recovery`` alone.
    """
    secret = secretsmanager.CfnSecret(
        stack,
        "Recovery",
        description=(
            f"ANFL {settings.environment}: recovery keys of Vault in {here(stack).region}; written by its bootstrap"
        ),
        kms_key_id=key_arn,
    )
    if settings.deployment.retain_data:
        secret.apply_removal_policy(RemovalPolicy.RETAIN)
    return secret


def emergency(stack: Stack, settings: Settings) -> str:
    """ARN of the role of the emergency."""
    return here(stack).arn("iam", f"role/{settings.name(BREAK_GLASS)}", region="")


_VALUES = (
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:ReplicateSecretToRegions",
    "secretsmanager:RotateSecret",
    "secretsmanager:UpdateSecretVersionStage",
)
"""What tells a secret's value, puts another one in its place, or copies it to where no policy keeps it. `UpdateSecret`,
which can put one as well, is left out: CloudFormation calls it for each change of a description, as who deploys."""


def only_for(secret: secretsmanager.CfnSecret, stack: Stack, id: str, *, roles: Sequence[str]) -> None:  # noqa: A002
    """Refuse a secret to everyone but ``roles``, whatever IAM allows them. :param id: of the policy."""
    secretsmanager.CfnResourcePolicy(
        stack,
        id,
        secret_id=secret.ref,
        block_public_policy=True,
        resource_policy=document(
            [
                Statement(
                    sid="TheseRolesOnly",
                    effect="Deny",
                    principal=ANYBODY,
                    actions=list(_VALUES),
                    resources=["*"],
                    conditions={"ArnNotEquals": {"aws:PrincipalArn": list(roles)}},
                )
            ]
        ),
    )


def of_nodes(
    stack: Stack, *, seal: kms.IKey, certificate_secret: str, snapshots: s3.IBucket, audit: logs.ILogGroup
) -> list[Statement]:
    """Open the seal, find fellows, fetch package and certificate, say that it has started, put snapshots and the audit
    log away; never read them.
    """
    return [
        Statement(sid="Seal", actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"], resources=[seal.key_arn]),
        # EC2 scopes it to nothing.
        Statement(sid="Fellows", actions=["ec2:DescribeInstances"], resources=["*"]),
        Statement(sid="Certificate", actions=["secretsmanager:GetSecretValue"], resources=[certificate_secret]),
        Statement(
            sid="Package",
            actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            resources=[here(stack).arn("ecr", f"repository/{VAULT_REPOSITORY}")],
        ),
        Statement(
            sid="Started",
            actions=["cloudformation:SignalResource"],
            resources=[here(stack).arn("cloudformation", f"stack/{stack.stack_name}/*")],
        ),
        Statement(sid="Snapshots", actions=["s3:PutObject"], resources=[snapshots.arn_for_objects("snapshots/*")]),
        Statement(
            sid="SnapshotsKey",
            actions=["kms:GenerateDataKey"],
            resources=[seal.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{here(stack).region}.amazonaws.com"}},
        ),
        Statement(
            sid="Audit",
            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[audit.log_group_arn],
        ),
    ]


def of_bootstrap(
    stack: Stack, *, settings: Settings, key: kms.IKey, seal: kms.IKey, secret_arn: str, document: str
) -> list[Statement]:
    """Publish keys, keep the recovery record, find the nodes, and wipe those of this cluster."""
    return [
        *grants.partitions(stack, settings.name(AUTH.name), {AuthPartition.KEYS: ["DeleteItem", "PutItem", "Query"]}),
        *grants.data_key(stack, key.key_arn, ["dynamodb"]),
        Statement(
            sid="Recovery",
            actions=["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"],
            resources=[secret_arn],
        ),
        Statement(
            sid="RecoveryKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[seal.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"secretsmanager.{here(stack).region}.amazonaws.com"}},
        ),
        # EC2 and Systems Manager scope these to nothing.
        Statement(sid="Look", actions=["ec2:DescribeInstances", "ssm:GetCommandInvocation"], resources=["*"]),
        Statement(
            sid="WipeByThisDocument",
            actions=["ssm:SendCommand"],
            resources=[
                here(stack).arn("ssm", f"document/{document}"),
            ],
        ),
        Statement(
            sid="WipeThisCluster",
            actions=["ssm:SendCommand"],
            resources=[here(stack).arn("ec2", "instance/*")],
            conditions={"StringEquals": {f"ssm:resourceTag/{VAULT_TAG}": settings.name()}},
        ),
    ]
