"""What people may do: look, operate, and in an emergency open Vault."""

from collections.abc import Mapping

from aws_cdk import Stack
from constructs.location import bucket_arn, here
from constructs.statements import Statement

from anfl.resources import VAULT_TAG, Caretaker, Function
from stacks.models import Settings

INVOKED = (*Function, Caretaker.ACCELERATOR_DIAL, Caretaker.KEY_LEADER, Caretaker.KEY_AGENT)
"""Functions that operators call by themselves."""
LOOK: Mapping[str, tuple[str, ...]] = {
    "AutoScaling": ("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
    "Backup": (
        "backup:DescribeBackupVault",
        "backup:ListBackupJobs",
        "backup:ListBackupPlans",
        "backup:ListBackupVaults",
        "backup:ListCopyJobs",
        "backup:ListRecoveryPointsByBackupVault",
        "backup:ListRestoreJobs",
    ),
    "CloudFormation": (
        "cloudformation:DescribeStackEvents",
        "cloudformation:DescribeStackResources",
        "cloudformation:DescribeStacks",
        "cloudformation:ListStacks",
    ),
    "CloudWatch": (
        "cloudwatch:DescribeAlarmHistory",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetDashboard",
        "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:ListDashboards",
        "cloudwatch:ListMetrics",
    ),
    "DynamoDb": ("dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:ListTables"),
    "Ec2": (
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeNatGateways",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
    ),
    "Ecs": (
        "ecs:DescribeClusters",
        "ecs:DescribeContainerInstances",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListClusters",
        "ecs:ListContainerInstances",
        "ecs:ListServices",
        "ecs:ListTasks",
    ),
    "Balancers": (
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
    ),
    "Keys": ("kms:DescribeKey", "kms:GetKeyRotationStatus", "kms:ListAliases"),
    "Lambda": (
        "lambda:GetFunctionConfiguration",
        "lambda:ListEventSourceMappings",
        "lambda:ListFunctions",
    ),
    "Logs": (
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
        "logs:GetQueryResults",
        "logs:StartQuery",
        "logs:StopQuery",
    ),
    "Buckets": (
        "s3:GetBucketLocation",
        "s3:GetBucketVersioning",
        "s3:GetReplicationConfiguration",
        "s3:ListAllMyBuckets",
    ),
    "Queues": ("sqs:GetQueueAttributes", "sqs:ListMessageMoveTasks", "sqs:ListQueues"),
    "Recovery": (
        "states:DescribeExecution",
        "states:GetExecutionHistory",
        "states:ListExecutions",
        "states:ListStateMachines",
    ),
    "Nodes": ("ssm:DescribeInstanceInformation",),
    "Firewall": ("wafv2:GetSampledRequests", "wafv2:GetWebACL", "wafv2:ListWebACLs"),
    "Traces": ("xray:BatchGetTraces", "xray:GetServiceGraph", "xray:GetTraceSummaries"),
}
"""By service; AWS scopes none of it usefully.

No data: no item, object or message, no value of a secret, nothing decrypted.
"""


def may_look() -> list[Statement]:
    """Lists and descriptions, metrics, traces and logs, of everything."""
    return [
        Statement(sid=f"Look{service}", actions=list(actions), resources=["*"]) for service, actions in LOOK.items()
    ]


def may_operate(stack: Stack, settings: Settings) -> list[Statement]:
    """Restart, redrive, invoke, recover and silence what bears the environment's name, in any region."""
    own = settings.name()
    functions = [_everywhere(stack, "lambda", "function", settings.name(name), colon=True) for name in INVOKED]
    queues = here(stack).arn("sqs", f"{own}-*", region="*")
    return [
        Statement(
            sid="Restart",
            actions=["ecs:StopTask", "ecs:UpdateService"],
            resources=[
                _everywhere(stack, "ecs", "service", f"{own}-*/*"),
                _everywhere(stack, "ecs", "task", f"{own}-*/*"),
            ],
        ),
        Statement(
            sid="Redrive",
            actions=[
                "sqs:CancelMessageMoveTask",
                "sqs:DeleteMessage",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
                "sqs:StartMessageMoveTask",
            ],
            resources=[queues],
        ),
        Statement(
            sid="RedriveKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[_everywhere(stack, "kms", "key", "*")],
            conditions={
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{settings.name('data')}"},
                "StringLike": {"kms:ViaService": "sqs.*.amazonaws.com"},
            },
        ),
        Statement(sid="Invoke", actions=["lambda:InvokeFunction"], resources=functions),
        Statement(
            sid="Recover",
            actions=["states:StartExecution", "states:StopExecution"],
            resources=[
                _everywhere(stack, "states", kind, f"{own}-*", colon=True) for kind in ("stateMachine", "execution")
            ],
        ),
        Statement(
            sid="Drain",
            actions=["ssm:GetParameter", "ssm:PutParameter"],
            resources=[_everywhere(stack, "ssm", "parameter", f"anfl/{settings.environment}/drained/*")],
        ),
        Statement(
            sid="Silence",
            actions=["cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions"],
            resources=[_everywhere(stack, "cloudwatch", "alarm", f"{own}-*", colon=True)],
        ),
    ]


def may_open(stack: Stack, settings: Settings) -> list[Statement]:
    """Read Vault's recovery record and snapshots, and visit its nodes."""
    tags = {f"aws:ResourceTag/{name}": value for name, value in settings.tags.items()}
    seal = {"kms:ResourceAliases": f"alias/{settings.name('vault-seal')}"}
    snapshots = bucket_arn(f"{settings.name('vault-snapshots')}-{here(stack).account}-*")
    return [
        Statement(
            sid="RecoveryRecord",
            actions=["secretsmanager:GetSecretValue"],
            resources=[_everywhere(stack, "secretsmanager", "secret", "Recovery*", colon=True)],
            conditions={"StringEquals": tags},
        ),
        Statement(
            sid="RecoveryKey",
            actions=["kms:Decrypt"],
            resources=[_everywhere(stack, "kms", "key", "*")],
            conditions={
                "ForAnyValue:StringEquals": seal,
                "StringLike": {"kms:ViaService": ["secretsmanager.*.amazonaws.com", "s3.*.amazonaws.com"]},
            },
        ),
        Statement(sid="Snapshots", actions=["s3:GetObject"], resources=[f"{snapshots}/snapshots/*"]),
        Statement(
            sid="VisitNodes",
            actions=["ssm:StartSession"],
            resources=[_everywhere(stack, "ec2", "instance", "*")],
            conditions={"StringEquals": {f"ssm:resourceTag/{VAULT_TAG}": settings.name()}},
        ),
        Statement(
            sid="VisitByShell",
            actions=["ssm:StartSession"],
            resources=[_everywhere(stack, "ssm", "document", "SSM-SessionManagerRunShell")],
        ),
        Statement(
            sid="OwnSessions",
            actions=["ssm:ResumeSession", "ssm:TerminateSession"],
            resources=[_everywhere(stack, "ssm", "session", "${aws:userid}-*")],
        ),
    ]


def _everywhere(stack: Stack, service: str, resource: str, name: str, *, colon: bool = False) -> str:
    """An ARN in any region of this account."""
    separator = ":" if colon else "/"
    return here(stack).arn(service, f"{resource}{separator}{name}", region="*")
