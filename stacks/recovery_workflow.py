"""How a region's guardian takes its place: the architecture's four steps, with calls to AWS in the guardian alone.

Nothing is asked of the lost region, and no stack is updated. What the steps change (numbers of tasks, a parameter) is
what the next deployment, or an operator, sets back.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from constructs.location import bucket_arn
from constructs.states import State, call, invoke, require, sequence, together, until

from anfl.resources import Service
from stacks.architecture import Cluster, RecoveryStep
from stacks.physical_names import global_tables
from stacks.takeover import Takeover

NOT_BEFORE = "$.not_before"
"""The one input: backups that are older than this moment (ISO 8601, UTC) do not count."""
_POLL_SECONDS = 30
_BACKUPS = 50
"""At most listed of one resource: an answer above 256 KB would end the workflow."""


class RecoveryWorkflow:
    """Definition of the workflow; `stacks.recovery_access` has its permissions."""

    def __init__(self, takeover: Takeover) -> None:
        """:param takeover: who recovers whom."""
        self._takeover = takeover
        self._settings = takeover.settings

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
            "Comment": f"{self._takeover.region} takes the place of {self._takeover.ward}",
            "TimeoutSeconds": int(recovery.rto.total_seconds()),
            **sequence(steps),
        }

    def _validate_backup(self) -> Iterator[State]:
        """A recent copy of each of the ward's tables and buckets is in the vault, complete."""
        takeover = self._takeover
        vault = f"the vault {takeover.vault} in {takeover.region}"
        buckets = ((label, bucket_arn(name)) for label, name in takeover.buckets(takeover.ward))
        for label, arn in (*takeover.tables(takeover.ward), *buckets):
            yield sequence(
                {
                    f"list backups of {label}": call(
                        "backup",
                        "listRecoveryPointsByBackupVault",
                        {
                            "BackupVaultName": takeover.vault,
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
                        cause=f"{vault} has no recent, complete backup of {label}",
                    ),
                }
            )

    def _restore_infrastructure(self) -> Iterator[State]:
        """The services run as many tasks as both regions had, their instances following."""
        for service, cluster in self._takeover.clusters():
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
        for label, name in global_tables(self._settings).items():
            yield sequence(
                {
                    f"describe {label}": call(
                        "dynamodb", "describeTable", {"TableName": name}, select={"status.$": "$.Table.TableStatus"}
                    ),
                    **require(
                        {"Variable": "$.status", "StringEquals": "ACTIVE"},
                        then=f"read {label}",
                        error="ReplicaMissing",
                        cause=f"the replica of {name} in {self._takeover.region} does not serve",
                        state=call(
                            "dynamodb",
                            "scan",
                            {"TableName": name, "Limit": 1, "Select": "COUNT"},
                            select={"read.$": "$.ScannedCount"},
                        ),
                    ),
                }
            )
        for label, name in self._takeover.buckets(self._takeover.region):
            parameters = {"Bucket": name, "MaxKeys": 1}
            yield sequence({f"read {label}": call("s3", "listObjectsV2", parameters, select={"read.$": "$.KeyCount"})})

    def _update_dns(self) -> Iterator[State]:
        """The ward is marked as drained; the watch over it rings an alarm, which its health check in DNS follows.

        Beside that the accelerator's dial for it goes to zero. Its API is in us-west-2, where no region of ours is; the
        function turns the dial once, and then says whether all edges know.
        """
        mark = {"Name": self._takeover.drain_parameter, "Value": "true", "Type": "String", "Overwrite": True}
        states = {f"drain {self._takeover.ward}": call("ssm", "putParameter", mark)}
        if self._settings.domain:
            states |= until(
                {"Variable": "$.alarm.StateValue", "StringEquals": "ALARM"},
                call(
                    "cloudwatch",
                    "describeAlarms",
                    {"AlarmNames": [self._takeover.drained_alarm]},
                    select={"alarm.$": "States.ArrayGetItem($.MetricAlarms, 0)"},
                ),
                then=f"{self._takeover.ward} drained",
                seconds=_POLL_SECONDS,
            )
        yield sequence(states)
        if self._takeover.dial_arn:
            yield sequence(
                until(
                    {"Variable": "$.dial.answer.deployed", "BooleanEquals": True},
                    invoke(self._takeover.dial, {"percentage": 0}, keep="$.dial"),
                    then=f"accelerator without {self._takeover.ward}",
                    seconds=_POLL_SECONDS,
                )
            )


def _tasks_for_both(cluster: Cluster) -> int:
    """Latency may lead everybody who was in the lost region to this one."""
    return min(cluster.max_size, 2 * cluster.min_size)
