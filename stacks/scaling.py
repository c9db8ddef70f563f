"""How the vector service scales: the architecture's measures, thresholds and cooldowns."""

from constructs import Construct
from constructs.container_service import ContainerService
from constructs.instance_cluster import InstanceCluster
from constructs.metrics import Metric
from constructs.step_scaling import Measure, Step, StepScaling

from anfl.resources import BACKLOG_METRIC, METRICS_NAMESPACE, SERVICE_DIMENSION
from stacks.architecture import VectorScaling


def utilization(cluster: str, service: str, metric: str = "CPUUtilization") -> Metric:
    """The share of what its tasks reserve that a service uses, in percent: of the processor, or the memory."""
    dimensions = {"ClusterName": cluster, "ServiceName": service}
    return Metric(namespace="AWS/ECS", name=metric, statistic="Average", dimensions=dimensions)


def backlog(service: str) -> Metric:
    """Waiting jobs in percent of a full backlog, as `anfl.telemetry.backlog` publishes it."""
    return Metric(
        namespace=METRICS_NAMESPACE,
        name=BACKLOG_METRIC,
        statistic="Average",
        dimensions={SERVICE_DIMENSION: service},
    )


def scale(
    scope: Construct, *, cluster: InstanceCluster, service: ContainerService, figures: VectorScaling
) -> StepScaling:
    """Scale ``service`` between the sizes of its cluster, whose instances follow by its capacity provider."""
    available = {
        "cpu_utilization": ("cpu", Measure(metric=utilization(cluster.name, service.name))),
        "queue_depth": ("backlog_pct", Measure(metric=backlog(service.name), idle_when_missing=True)),
    }
    thresholds, cooldown = figures.thresholds, figures.cooldown
    return StepScaling(
        scope,
        "VectorScaling",
        name=service.name,
        cluster_name=cluster.name,
        service=service.resource,
        service_name=service.name,
        min_tasks=cluster.settings.min_size,
        max_tasks=cluster.settings.max_size,
        measures=dict(available[metric] for metric in figures.metrics),
        up=Step(threshold=thresholds.scale_up, tasks=1, cooldown=cooldown.scale_up),
        down=Step(threshold=thresholds.scale_down, tasks=-1, cooldown=cooldown.scale_down),
    )
