"""The data key: one multi-region key, and its replicas."""

from aws_cdk import CrossStackReferences, Duration, ReferenceStrength, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.key_policy import key_policy

from stacks.base import AnflStack
from stacks.models import Settings
from stacks.units import Region

PENDING_WINDOW_DAYS = 30
"""How long a key that was deleted can still be brought back."""


class GlobalKeys(AnflStack):
    """The primary key."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        """Create the key in the primary region."""
        region = settings.primary_region
        name = settings.name("global", "keys")
        super().__init__(scope, name, settings=settings, region=region, description="multi-region data key")
        self.key = kms.Key(
            self,
            "DataKey",
            description=f"ANFL {settings.environment}: data at rest",
            alias=f"alias/{settings.name('data')}",
            multi_region=True,
            enable_key_rotation=True,
            rotation_period=Duration.days(settings.encryption.at_rest.key_rotation.days),
            pending_window=Duration.days(PENDING_WINDOW_DAYS),
            policy=key_policy(self),
            removal_policy=RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY,
        )
        CrossStackReferences.of(self.key).produce(ReferenceStrength.WEAK)


class GlobalReplicaKey(AnflStack):
    """The replica of the data key in one region. A replica inherits neither policy nor alias."""

    def __init__(self, scope: Construct, *, settings: Settings, region: Region, primary: kms.IKey) -> None:
        """Replicate ``primary`` into ``region``."""
        name = settings.name("global", "replica-keys", region)
        super().__init__(scope, name, settings=settings, region=region, description="replica of the data key")
        replica = kms.CfnReplicaKey(
            self,
            "DataKey",
            description=f"ANFL {settings.environment}: data at rest",
            primary_key_arn=primary.key_arn,
            key_policy=key_policy(self),
            pending_window_in_days=PENDING_WINDOW_DAYS,
        )
        replica.apply_removal_policy(RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY)
        alias = kms.CfnAlias(
            self, "DataKeyAlias", alias_name=f"alias/{settings.name('data')}", target_key_id=replica.ref
        )
        alias.apply_removal_policy(RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY)
        self.key_arn = replica.attr_arn
