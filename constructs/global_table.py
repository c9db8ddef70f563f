"""A DynamoDB global table as this project keeps state."""

from collections.abc import Mapping
from datetime import timedelta

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from constructs import Construct

from anfl import resources


class GlobalTable(dynamodb.TableV2):
    """On demand, under the data key, with point-in-time recovery in every region."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        key: kms.IKey,
        replica_keys: Mapping[str, str],
        recoverable: timedelta,
        retain: bool,
        indexed: bool = False,
        ttl_attribute: str | None = None,
        warm_throughput: dynamodb.WarmThroughput | None = None,
    ) -> None:
        """:param replica_keys: other regions and the ARN of the data key there; ``key`` stands in another stack.

        :param recoverable: how far back any moment can be restored; whole days.
        :param indexed: with the index over a second pair of keys.
        :param warm_throughput: of each replica; None: what AWS gives a new table.
        """
        super().__init__(
            scope,
            id,
            table_name=name,
            partition_key=_text(resources.PARTITION_KEY),
            sort_key=_text(resources.SORT_KEY),
            global_secondary_indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=resources.INDEX,
                    partition_key=_text(resources.INDEX_PARTITION_KEY),
                    sort_key=_text(resources.INDEX_SORT_KEY),
                )
            ]
            if indexed
            else None,
            time_to_live_attribute=ttl_attribute,
            warm_throughput=warm_throughput,
            billing=dynamodb.Billing.on_demand(),
            encryption=dynamodb.TableEncryptionV2.customer_managed_key(key, dict(replica_keys)),
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True, recovery_period_in_days=recoverable.days
            ),
            deletion_protection=retain,
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
            replicas=[dynamodb.ReplicaTableProps(region=region) for region in replica_keys],
        )


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
