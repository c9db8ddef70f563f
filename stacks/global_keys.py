"""The keys of the data, of Vault's seal and of the wrapping keys: each a multi-region key, and its replicas."""

from aws_cdk import CrossStackReferences, ReferenceStrength, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.durations import days
from constructs.key_policy import data_key_policy, seal_key_policy, wrapping_key_policy
from constructs.statements import Statement, document, policy

from stacks.base import AnflStack
from stacks.models import Settings
from stacks.units import Region

PENDING_WINDOW_DAYS = 30
"""How long a key that was deleted can still be brought back."""
_DATA = ("DataKey", "data", "data at rest")
_SEAL = ("SealKey", "vault-seal", "seal of Vault")
_WRAPPING = ("WrappingKey", "wrapping", "material of wrapping keys")
"""Construct id, end of the alias, end of the description."""


class GlobalKeys(AnflStack):
    """The primary keys."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        """Create the keys in the primary region."""
        region = settings.primary_region
        name = settings.name("global", "keys")
        super().__init__(scope, name, settings=settings, region=region, description="multi-region keys")
        self.key = self._key(*_DATA, data_key_policy(self))
        self.seal = self._key(*_SEAL, seal_key_policy(self)) if settings.deployment.vault.cluster else None
        """Opens Vault in every region, so that a snapshot of one can be restored in another."""
        self.wrapping = self._key(*_WRAPPING, wrapping_key_policy(self))
        """Whoever may use the data key, or be a node of Vault, does not come by a wrapping key."""

    def _key(self, id: str, alias: str, description: str, statements: list[Statement]) -> kms.Key:  # noqa: A002
        key = kms.Key(
            self,
            id,
            description=f"ANFL {self.settings.environment}: {description}",
            alias=f"alias/{self.settings.name(alias)}",
            multi_region=True,
            enable_key_rotation=True,
            rotation_period=days(self.settings.encryption.at_rest.key_rotation.days),
            pending_window=days(PENDING_WINDOW_DAYS),
            policy=policy(statements),
            removal_policy=RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY,
        )
        CrossStackReferences.of(key).produce(ReferenceStrength.WEAK)
        return key


class GlobalReplicaKey(AnflStack):
    """The replicas of the keys in one region. A replica inherits neither policy nor alias."""

    def __init__(self, scope: Construct, *, settings: Settings, region: Region, primary: GlobalKeys) -> None:
        """Replicate the keys of ``primary`` into ``region``."""
        name = settings.name("global", "replica-keys", region)
        super().__init__(scope, name, settings=settings, region=region, description="replicas of the keys")
        self.key_arn = self._replica(*_DATA, primary.key, data_key_policy(self))
        self.seal_arn = None if primary.seal is None else self._replica(*_SEAL, primary.seal, seal_key_policy(self))
        self.wrapping_arn = self._replica(*_WRAPPING, primary.wrapping, wrapping_key_policy(self))

    def _replica(self, id: str, alias: str, description: str, primary: kms.IKey, statements: list[Statement]) -> str:  # noqa: A002
        replica = kms.CfnReplicaKey(
            self,
            id,
            description=f"ANFL {self.settings.environment}: {description}",
            primary_key_arn=primary.key_arn,
            key_policy=document(statements),
            pending_window_in_days=PENDING_WINDOW_DAYS,
        )
        name = kms.CfnAlias(
            self, f"{id}Alias", alias_name=f"alias/{self.settings.name(alias)}", target_key_id=replica.ref
        )
        for resource in (replica, name):
            resource.apply_removal_policy(RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY)
        return replica.attr_arn
