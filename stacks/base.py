"""What every stack has in common."""

from aws_cdk import Environment, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.encrypted_log_group import EncryptedLogGroup

from stacks.models import Settings
from stacks.units import Region


class AnflStack(Stack):
    """Named as its construct id, bound to a region and to no account, tagged with its environment."""

    def __init__(self, scope: Construct, name: str, *, settings: Settings, region: Region, description: str) -> None:
        """:param description: what the stack holds, for whoever reads the list of stacks."""
        super().__init__(
            scope,
            name,
            stack_name=name,
            env=Environment(region=region.value),
            description=f"ANFL {settings.environment}: {description}",
            analytics_reporting=False,
            termination_protection=settings.deployment.retain_data,
            tags=settings.tags,
        )
        self.settings = settings
        self.retain = settings.deployment.retain_data

    def log_group(self, id: str, key: kms.IKey) -> logs.ILogGroup:  # noqa: A002 - as every construct names it
        """One under ``key``, kept for as long as the environment keeps its logs."""
        days = self.settings.deployment.log_retention_days
        return EncryptedLogGroup(self, id, key=key, retention_days=days, retain=self.retain)
