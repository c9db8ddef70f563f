"""What the workflow that recovers a region may do: nothing in the region that is lost."""

from constructs import grants
from constructs.location import bucket_arn, here
from constructs.statements import Statement

from stacks.takeover import Takeover


def of_workflow(takeover: Takeover, key_arn: str) -> list[Statement]:
    """Everything that its steps may do. :param key_arn: the data key in the region."""
    stack, name, region = takeover.stack, takeover.settings.name, takeover.region
    arn, statement = here(stack).arn, Statement
    services = [f"{name(cluster.name)}/{name(service)}" for service, cluster in takeover.clusters()]
    parameter = takeover.drain_parameter.removeprefix("/")
    return [
        statement(
            sid="FindBackups",
            actions=["backup:ListRecoveryPointsByBackupVault"],
            resources=[arn("backup", f"backup-vault:{takeover.vault}", region=region)],
        ),
        statement(
            sid="GrowServices",
            actions=["ecs:DescribeServices", "ecs:UpdateService"],
            resources=[arn("ecs", f"service/{service}") for service in services],
        ),
        statement(
            sid="RaiseScaling",
            actions=["application-autoscaling:RegisterScalableTarget"],
            # The id of a scalable target is generated; what it scales is not.
            resources=[arn("application-autoscaling", "scalable-target/*")],
            conditions={"StringEquals": {"application-autoscaling:service-namespace": "ecs"}},
        ),
        statement(
            sid="ReadTables",
            actions=["dynamodb:DescribeTable", "dynamodb:Scan"],
            resources=[table for _, table in takeover.tables(region)],
        ),
        statement(
            sid="ReadBuckets",
            actions=["s3:ListBucket"],
            resources=[bucket_arn(bucket) for _, bucket in takeover.buckets(region)],
        ),
        statement(
            sid="SeeDrained",
            actions=["cloudwatch:DescribeAlarms"],
            resources=[arn("cloudwatch", f"alarm:{takeover.drained_alarm}", region=region)],
        ),
        statement(
            sid="Drain",
            actions=["ssm:PutParameter"],
            resources=[arn("ssm", f"parameter/{parameter}")],
        ),
        *(
            [statement(sid="TurnDial", actions=["lambda:InvokeFunction"], resources=[takeover.dial_arn])]
            if takeover.dial_arn
            else []
        ),
        *grants.data_key(stack, key_arn, ["dynamodb"]),
    ]
