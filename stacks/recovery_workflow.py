"""How a region's guardian takes its place: the architecture's four steps, with calls to AWS in the guardian alone.

Nothing is asked of the lost region, and no stack is updated. What the steps change (numbers of tasks, a parameter) is
what the next deployment, or an operator, sets back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import grants
from constructs.states import State, call, require, sequence, together, until

from anfl.resources import TABLES, Service
from stacks.global_watch import drain_parameter
from stacks.models import Cluster, RecoveryStep, Settings
from stacks.service import CLUSTERS
from stacks.storage import REPLICATED
from stacks.units import Region

NOT_BEFORE = "$.not_before"
"""The one input: backups that are older than this moment (ISO 8601, UTC) do not count."""
_POLL_SECONDS = 30
_BACKUPS = 50
"""At most listed of one resource: an answer above 256 KB would end the workflow."""


class RecoveryWorkflow:
    """Definition and permissions of the workflow that stands in ``region`` and recovers its ward."""

    def __init__(self, stack: Stack, *, settings: Settings, region: Region, ward: Region, vault_name: str) -> None:
        """:param ward: the region that is lost. :param vault_name: where ``region`` keeps the copies of its backups."""
        self._stack = stack
        self._settings = settings
        self._region = region
        self._ward = ward
        self._vault = vault_name
        self._drained_alarm = settings.name("drained", ward)
        """Of the watch over the ward, which stands in ``region``."""

    def definition(self) -> Mapping[str, Any]:
        """In Amazon States Language: exactly one state a step, in the architecture's order."""
        branches: Mapping[RecoveryStep, Callable[[], Iterator[State]]] = {
            RecoveryStep.VALIDATE_BACKUP: self._validate_backup,
            RecoveryStep.RESTORE_INFRASTRUCTURE: self._restore_infrastructure,
            RecoveryStep.VERIFY_DATA: self._verify_data,
            RecoveryStep.UPDATE_DNS: self._update_dns,
        }
        recovery = self._settings.recovery
        steps = {step.value: together(list(branches[step]()), keep=f"$.{step}") for step in recovery.steps}
        return {
            "Comment": f"{self._region} takes the place of {self._ward}",
            "TimeoutSeconds": int(recovery.rto.total_seconds()),
            **sequence(steps),
        }

    def _validate_backup(self) -> Iterator[State]:
        """A recent copy of each of the ward's tables and buckets is in the vault, complete."""
        for label, arn in (*self._tables(self._ward), *self._buckets(self._ward)):
            yield sequence(
                {
                    f"list backups of {label}": call(
                        "backup",
                        "listRecoveryPointsByBackupVault",
                        {
                            "BackupVaultName": self._vault,
                            "ByResourceArn": arn,
                            "ByCreatedAfter.$": NOT_BEFORE,
                            "MaxResults": _BACKUPS,
                        },
                        select={"complete.$": "States.ArrayContains($.RecoveryPoints[*].Status, 'COMPLETED')"},
                    ),
                    **require(
                        {"Variable": "$.complete", "BooleanEquals": True},
                        then=f"{label} backed up",
                        error="BackupMissing",
                        cause=f"the vault {self._vault} in {self._region} has no recent, complete backup of {label}",
                    ),
                }
            )

    def _restore_infrastructure(self) -> Iterator[State]:
        """The services run as many tasks as both regions had, their instances following."""
        for service, cluster in self._clusters():
            names = {"Cluster": self._settings.name(cluster.name), "Service": self._settings.name(service)}
            tasks = _tasks_for_both(cluster)
            yield sequence(
                {
                    f"grow {service}": self._grow(service, names, tasks),
                    **until(
                        {"Variable": "$.service.RunningCount", "NumericGreaterThanEquals": tasks},
                        call(
                            "ecs",
                            "describeServices",
                            {"Cluster": names["Cluster"], "Services": [names["Service"]]},
                            select={"service.$": "States.ArrayGetItem($.Services, 0)"},
                        ),
                        then=f"{service} grown",
                        seconds=_POLL_SECONDS,
                    ),
                }
            )

    def _grow(self, service: Service, names: Mapping[str, str], tasks: int) -> State:
        """More tasks, which no scaling takes away again."""
        if service is not Service.VECTOR_STORE:
            return call("ecs", "updateService", {**names, "DesiredCount": tasks})
        return call(
            "applicationautoscaling",
            "registerScalableTarget",
            {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                "ResourceId": f"service/{names['Cluster']}/{names['Service']}",
                "MinCapacity": tasks,
            },
        )

    def _verify_data(self) -> Iterator[State]:
        """The region's own replicas can be read."""
        for table in TABLES:
            name = self._settings.name(table.name)
            yield sequence(
                {
                    f"describe {table.name}": call(
                        "dynamodb", "describeTable", {"TableName": name}, select={"status.$": "$.Table.TableStatus"}
                    ),
                    **require(
                        {"Variable": "$.status", "StringEquals": "ACTIVE"},
                        then=f"read {table.name}",
                        error="ReplicaMissing",
                        cause=f"the replica of {name} in {self._region} does not serve",
                        state=call(
                            "dynamodb",
                            "scan",
                            {"TableName": name, "Limit": 1, "Select": "COUNT"},
                            select={"read.$": "$.ScannedCount"},
                        ),
                    ),
                }
            )
        for label in REPLICATED:
            parameters = {"Bucket": self._bucket_name(label, self._region), "MaxKeys": 1}
            yield sequence({f"read {label}": call("s3", "listObjectsV2", parameters, select={"read.$": "$.KeyCount"})})

    def _update_dns(self) -> Iterator[State]:
        """The ward is marked as drained; the watch over it rings an alarm, which its health check in DNS follows."""
        name = drain_parameter(self._settings, self._ward)
        mark = {"Name": name, "Value": "true", "Type": "String", "Overwrite": True}
        states = {f"drain {self._ward}": call("ssm", "putParameter", mark)}
        if self._settings.deployment.domain:
            states |= until(
                {"Variable": "$.alarm.StateValue", "StringEquals": "ALARM"},
                call(
                    "cloudwatch",
                    "describeAlarms",
                    {"AlarmNames": [self._drained_alarm]},
                    select={"alarm.$": "States.ArrayGetItem($.MetricAlarms, 0)"},
                ),
                then=f"{self._ward} drained",
                seconds=_POLL_SECONDS,
            )
        yield sequence(states)

    def statements(self, key: kms.IKey) -> list[iam.PolicyStatement]:
        """Everything that the steps may do. :param key: the data key in the region."""
        arn, name, state = self._stack.format_arn, self._settings.name, iam.PolicyStatement
        services = [f"{name(cluster.name)}/{name(service)}" for service, cluster in self._clusters()]
        alarm = f"alarm:{self._drained_alarm}"
        parameter = drain_parameter(self._settings, self._ward).removeprefix("/")
        return [
            state(
                sid="FindBackups",
                actions=["backup:ListRecoveryPointsByBackupVault"],
                resources=[f"arn:aws:backup:{self._region}:{self._stack.account}:backup-vault:{self._vault}"],
            ),
            state(
                sid="GrowServices",
                actions=["ecs:DescribeServices", "ecs:UpdateService"],
                resources=[arn(service="ecs", resource="service", resource_name=service) for service in services],
            ),
            state(
                sid="RaiseScaling",
                actions=["application-autoscaling:RegisterScalableTarget"],
                # The id of a scalable target is generated; what it scales is not.
                resources=[arn(service="application-autoscaling", resource="scalable-target", resource_name="*")],
                conditions={"StringEquals": {"application-autoscaling:service-namespace": "ecs"}},
            ),
            state(
                sid="ReadTables",
                actions=["dynamodb:DescribeTable", "dynamodb:Scan"],
                resources=[table for _, table in self._tables(self._region)],
            ),
            state(
                sid="ReadBuckets",
                actions=["s3:ListBucket"],
                resources=[bucket for _, bucket in self._buckets(self._region)],
            ),
            state(
                sid="SeeDrained",
                actions=["cloudwatch:DescribeAlarms"],
                resources=[f"arn:aws:cloudwatch:{self._region}:{self._stack.account}:{alarm}"],
            ),
            state(
                sid="Drain",
                actions=["ssm:PutParameter"],
                resources=[arn(service="ssm", resource="parameter", resource_name=parameter)],
            ),
            *grants.data_key(self._stack, key, ["dynamodb"]),
        ]

    def _clusters(self) -> Iterator[tuple[Service, Cluster]]:
        for service, cluster in CLUSTERS.items():
            yield service, self._settings.compute.ecs.cluster(cluster)

    def _tables(self, region: Region) -> Iterator[tuple[str, str]]:
        for table in TABLES:
            name = self._settings.name(table.name)
            yield (
                table.name,
                self._stack.format_arn(service="dynamodb", region=region, resource="table", resource_name=name),
            )

    def _buckets(self, region: Region) -> Iterator[tuple[str, str]]:
        for label in REPLICATED:
            yield label, f"arn:aws:s3:::{self._bucket_name(label, region)}"

    def _bucket_name(self, label: str, region: Region) -> str:
        return self._settings.name(label, self._stack.account, region)


def _tasks_for_both(cluster: Cluster) -> int:
    """Latency may lead everybody who was in the lost region to this one."""
    return min(cluster.max_size, 2 * cluster.min_size)
