"""What somebody may look at who may change nothing. By service; AWS scopes none of it usefully.

No data: no item, object or message, no value of a secret, nothing decrypted.
"""

from collections.abc import Mapping

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
