"""What is called through each endpoint of a region's network: the ceilings of the endpoints' policies.

A ceiling grants nothing. Roles are granted what they need where they stand; the tests hold that whatever is granted to
something inside the network passes, and that nothing else does (`tests/infrastructure/test_ceilings.py`).
"""

from collections.abc import Mapping, Sequence

CEILINGS: Mapping[str, Sequence[str]] = {
    # Requests by links that clients were given come from outside; so do replicas, which S3 writes itself.
    "s3": (
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "s3:PutReplicationConfiguration",
    ),
    "dynamodb": (
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:SearchVectors",
        "dynamodb:UpdateItem",
    ),
    "aps-workspaces": ("aps:RemoteWrite",),
    "cloudformation": ("cloudformation:SignalResource",),
    # Network interfaces of functions are Lambda's to make, from outside.
    "ec2": ("ec2:DescribeInstances",),
    # An instance's agent logs in by the API, Vault's nodes fetch their package by it; Docker pulls by the other one.
    "ecr.api": ("ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer"),
    "ecr.dkr": ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    "ecs": (
        "ecs:DeregisterContainerInstance",
        "ecs:DescribeServices",
        "ecs:DiscoverPollEndpoint",
        "ecs:RegisterContainerInstance",
        "ecs:SubmitAttachmentStateChanges",
        "ecs:SubmitContainerStateChange",
        "ecs:SubmitTaskStateChange",
        "ecs:UpdateContainerInstancesState",
    ),
    # The agent's two connections. These endpoints take no policy.
    "ecs-agent": ("ecs:Poll",),
    "ecs-telemetry": ("ecs:StartTelemetrySession",),
    # Vault's seal, and the wrapping key. What other services do with a key for their callers, they do from outside.
    "kms": ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"),
    # Of tasks and of Vault; what functions print, Lambda writes from outside.
    "logs": ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    "monitoring": ("cloudwatch:PutMetricData",),
    "secretsmanager": ("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"),
    "sqs": (
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
    ),
    # The bootstrap sends commands to Vault's nodes, whose agent says that it is there.
    "ssm": ("ssm:GetCommandInvocation", "ssm:SendCommand", "ssm:UpdateInstanceInformation"),
    "ssmmessages": (
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ),
    # Whoever logs in to Vault by its role hands it this call, signed, and Vault makes it. It takes no permission.
    "sts": ("sts:GetCallerIdentity",),
    "xray": ("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
}
"""By the ends of the services' names (``ecr.api``). An endpoint without a ceiling is refused with the settings."""
