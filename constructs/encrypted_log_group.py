"""A log group under the data key."""

from typing import cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


class EncryptedLogGroup(logs.LogGroup):
    """Encrypted, kept for a stated time. Its name is generated, so a retained one never blocks a new deployment."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        key: kms.IKey,
        retention_days: int,
        retain: bool,
    ) -> None:
        """:param retention_days: one of the values that CloudWatch Logs knows."""
        super().__init__(
            scope,
            id,
            encryption_key=key,
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
        resource = cast(logs.CfnLogGroup, self.node.default_child)
        resource.retention_in_days = retention_days
