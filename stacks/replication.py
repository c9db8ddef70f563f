"""Replication of a region's buckets to every other region, once all of them exist."""

from collections.abc import Iterator, Mapping

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.bucket_replication import BucketReplication, Place
from constructs.location import bucket_arn, here
from constructs.metrics import Metric, combined
from constructs.python_function import PythonFunction
from constructs.region_network import RegionNetwork
from constructs.statements import Statement
from constructs.topic_alarm import topic_alarm
from constructs.work_queue import WorkQueue

from anfl.resources import Caretaker, replication_rule
from stacks.architecture import Severity
from stacks.base import AnflStack
from stacks.late_tables import tables_late
from stacks.models import Settings
from stacks.object_copies import object_copier
from stacks.physical_names import REPLICATED, bucket_name
from stacks.security import SecurityStack
from stacks.telemetry import topic_name
from stacks.units import Region

RESOURCE = "Custom::BucketReplication"
_NAMESPACE = "AWS/S3"
_PERIODS = 5
"""Minutes in a row before an alarm."""
_ANSWER_MINUTES = 10
"""Of the custom resource, at most: a multiple of its function's time-out, as Lambda calls a failed one again."""


class ReplicationStack(AnflStack):
    """Role, rules, the function that sets them, and alarms on what arrives *here*, and on what leaves tables here; and
    the function that brings copies of what is damaged here.

    S3 publishes the metrics of a rule in the region of its destination, where they outlive the source.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        security: SecurityStack,
        queue: WorkQueue,
        key_arn: str,
        key_id: str,
    ) -> None:
        """:param queue: by which copies are asked for. :param key_arn: the data key in ``region``.

        :param key_id: of the data key, the same in every region.
        """
        name = settings.name("replication", region)
        super().__init__(scope, name, settings=settings, region=region, description="replication of buckets")
        others = [other for other in settings.regions if other is not region]
        source = self._place(region, key_arn)
        places = [self._place(other, here(self).arn("kms", f"key/{key_id}", region=other)) for other in others]
        replication = BucketReplication(
            self,
            "Replication",
            role_name=name,
            source=source,
            destinations=places,
        )
        key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        function = self._function(source, replication.role, network, security, key)
        object_copier(self, here=source, others=places, queue=queue, log_group=self.log_group("CopierLogs", key))
        rules = CustomResource(
            self,
            "Rules",
            resource_type=RESOURCE,
            service_token=function.function_arn,
            service_timeout=Duration.minutes(_ANSWER_MINUTES),
            properties={"Role": replication.role.role_arn, "Buckets": replication.configurations},
        )
        rules.node.add_dependency(replication.permissions)  # S3 begins at once
        rpo = settings.recovery.rpo.total_seconds()
        self._alarm(
            "Late", "ReplicationLatency", "Maximum", "MAX", rpo, "replicas are older than the recovery point allows"
        )
        self._alarm("Failed", "OperationsFailedReplication", "Sum", "SUM", 1, "objects did not arrive")
        tables_late(self, others)

    def _place(self, region: Region, key_arn: str) -> Place:
        return Place(
            region=region,
            key_arn=key_arn,
            buckets={kind: bucket_name(self.settings, kind, here(self).account, region) for kind in REPLICATED},
        )

    def _function(
        self, source: Place, role: iam.Role, network: RegionNetwork, security: SecurityStack, key: kms.IKey
    ) -> PythonFunction:
        deployment = self.settings.deployment
        return PythonFunction(
            self,
            "Function",
            function=Caretaker.BUCKET_REPLICATION,
            name=self.settings.name(Caretaker.BUCKET_REPLICATION),
            size=deployment.functions.bucket_replication,
            environment={},
            statements=[
                Statement(
                    sid="SetRules",
                    actions=["s3:PutReplicationConfiguration"],  # taking them off is the same action
                    resources=[bucket_arn(name) for name in source.buckets.values()],
                ),
                Statement(
                    sid="HandRoleToS3",
                    actions=["iam:PassRole"],
                    resources=[role.role_arn],
                    conditions={"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}},
                ),
            ],
            vpc=network.vpc_in(self),
            security_group=security.functions,
            log_group=self.log_group("FunctionLogs", key),
        )

    def _alarm(self, name: str, metric: str, statistic: str, function: str, threshold: float, meaning: str) -> None:
        topic_alarm(
            self,
            f"Replication{name}",
            name=self.settings.name("replication", name.lower()),
            description=f"{Severity.CRITICAL}: {meaning}, in {here(self).region} from another region",
            topic=here(self).arn("sns", topic_name(self.settings, Severity.CRITICAL)),
            metrics=combined(name, function, self._arriving(metric, statistic)),  # nothing to replicate: no value
            comparison="GreaterThanOrEqualToThreshold",
            threshold=threshold,
            periods=_PERIODS,
            datapoints=_PERIODS if function == "MAX" else 1,
            missing="ignore",
        )

    def _arriving(self, name: str, statistic: str) -> Iterator[Metric]:
        arriving = Region(here(self).region)
        for other in self.settings.regions:
            for kind in REPLICATED:
                if other is not arriving:
                    yield Metric(
                        namespace=_NAMESPACE,
                        name=name,
                        statistic=statistic,
                        dimensions=self._rule(kind, other, arriving),
                    )

    def _rule(self, kind: str, source: Region, destination: Region) -> Mapping[str, str]:
        return {
            "SourceBucket": bucket_name(self.settings, kind, here(self).account, source),
            "DestinationBucket": bucket_name(self.settings, kind, here(self).account, destination),
            "RuleId": replication_rule(destination),
        }
