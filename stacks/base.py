"""What every stack has in common."""

from aws_cdk import Environment, Stack
from constructs import Construct

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
