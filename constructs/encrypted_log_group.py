"""A log group under the data key."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)
_RETENTION = dict(zip(_DAYS, logs.RetentionDays, strict=False))
"""The CDK names them in the order of their length; it has longer ones, for which nothing here asks."""


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
        """:param retention_days: one of the values that CloudWatch Logs knows.

        :raises KeyError: it is none.
        """
        super().__init__(
            scope,
            id,
            encryption_key=key,
            retention=_RETENTION[retention_days],
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )
