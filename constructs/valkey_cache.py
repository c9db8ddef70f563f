"""A Valkey cache in several zones, entered by IAM identities alone."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from aws_cdk import CfnTag, RemovalPolicy
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement

from anfl.resources import CacheUse
from stacks.deployment import Cache

_FAMILY = "valkey8"
_VERSION = "8.0"
ACCESS: Mapping[CacheUse, str] = {
    CacheUse.DECISIONS: "on ~decision:* -@all +@connection -@dangerous +set +pttl",
    CacheUse.HINTS: "on ~hint:* -@all +@connection -@dangerous +get +set +mget",
    CacheUse.THROTTLE: "on ~throttle:* -@all +@connection -@dangerous +eval +get +set +time",
}
"""What each user may: a few commands on keys of its own, and nothing that looks at all keys, flushes, or configures."""
_SNAPSHOTS = "03:00-04:00"
_MAINTENANCE = "sun:05:00-sun:06:00"


class ValkeyCache(Construct):
    """Replication group: TLS, under the data key, daily snapshots; least recently used keys go.

    Of several nodes another one takes over by itself.

    A user for each `CacheUse`.

    ElastiCache offers no way to demand TLS 1.3: clients do (a named exception).
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        cache: Cache,
        port: int,
        subnet_ids: Sequence[str],
        security_group_id: str,
        key: kms.IKey,
        log_group: logs.ILogGroup,
        snapshot_retention: timedelta,
        retain: bool,
    ) -> None:
        """:param name: of what needs one; users are named after it and their use."""
        super().__init__(scope, id)
        self._name = name
        users_by_use = {use: self._user(use) for use in CacheUse}
        users = elasticache.CfnUserGroup(
            self,
            "Users",
            engine="valkey",
            user_group_id=name,
            user_ids=[user.ref for user in users_by_use.values()],
            tags=self._tags(),
        )
        subnets = elasticache.CfnSubnetGroup(
            self, "Subnets", description=f"{name}: private subnets", subnet_ids=list(subnet_ids), tags=self._tags()
        )
        parameters = elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=_FAMILY,
            description=f"{name}: a full cache forgets",
            properties={"maxmemory-policy": "allkeys-lru"},
            tags=self._tags(),
        )
        self.group = elasticache.CfnReplicationGroup(
            self,
            "Nodes",
            replication_group_description=name,
            engine="valkey",
            engine_version=_VERSION,
            cache_node_type=cache.node_type,
            cache_parameter_group_name=parameters.ref,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[security_group_id],
            port=port,
            num_node_groups=1,
            replicas_per_node_group=cache.nodes - 1,
            automatic_failover_enabled=cache.nodes > 1,
            multi_az_enabled=cache.nodes > 1,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=key.key_arn,
            user_group_ids=[users.ref],
            snapshot_retention_limit=snapshot_retention.days,
            snapshot_window=_SNAPSHOTS,
            preferred_maintenance_window=_MAINTENANCE,
            auto_minor_version_upgrade=True,
            log_delivery_configurations=[_slow_log(log_group)],
            tags=self._tags(),
        )
        # A last snapshot rather than the nodes themselves, which would keep subnets and users from being deleted.
        self.group.apply_removal_policy(RemovalPolicy.SNAPSHOT if retain else RemovalPolicy.DESTROY)

    def user_name(self, use: CacheUse) -> str:
        """As whom to connect."""
        return f"{self._name}-{use}"

    def connect(self, *uses: CacheUse) -> list[Statement]:
        """Connecting as the users for ``uses``."""
        return [
            Statement(
                sid="CacheConnect",
                actions=["elasticache:Connect"],
                resources=[
                    here(self).arn("elasticache", resource)
                    for resource in (
                        f"replicationgroup:{self.group.ref}",
                        *(f"user:{self.user_name(use)}" for use in uses),
                    )
                ],
            )
        ]

    def _user(self, use: CacheUse) -> elasticache.CfnUser:
        name = self.user_name(use)
        return elasticache.CfnUser(
            self,
            f"{use.capitalize()}User",
            engine="valkey",
            # Equal, as IAM's way of connecting demands.
            user_id=name,
            user_name=name,
            authentication_mode={"Type": "iam"},
            access_string=ACCESS[use],
            tags=self._tags(),
        )

    def _tags(self) -> list[CfnTag]:
        return [CfnTag(key="Name", value=self._name)]


def _slow_log(log_group: logs.ILogGroup) -> elasticache.CfnReplicationGroup.LogDeliveryConfigurationRequestProperty:
    group = elasticache.CfnReplicationGroup
    return group.LogDeliveryConfigurationRequestProperty(
        destination_type="cloudwatch-logs",
        destination_details=group.DestinationDetailsProperty(
            cloud_watch_logs_details=group.CloudWatchLogsDestinationDetailsProperty(log_group=log_group.log_group_name)
        ),
        log_format="json",
        log_type="slow-log",
    )
