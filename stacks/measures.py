"""What a region's alarms look at: for each alert an expression over metrics, in the unit of the alert's threshold."""

from collections.abc import Mapping
from dataclasses import dataclass

from constructs.metrics import Metric

from anfl.resources import Service
from stacks.architecture import AlertName
from stacks.models import Settings
from stacks.scaling import utilization
from stacks.service import ServiceStack


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One alert's."""

    expression: str
    metrics: Mapping[str, Metric]
    comparison: str
    missing: str
    """How a period without data counts."""


def measures(service: ServiceStack) -> Mapping[AlertName, Measure]:
    """The measure of every alert, over what ``service`` deploys."""
    return {
        AlertName.SERVICE_DOWN: _fewest_healthy(service),
        AlertName.HIGH_ERROR_RATE: _error_rate(service),
        AlertName.HIGH_LATENCY: _latency(service),
        AlertName.RESOURCE_USAGE: _usage(service),
    }


def api_metric(service: ServiceStack, name: str, statistic: str) -> Metric:
    """A metric of the REST API's stage."""
    dimensions = {"ApiName": service.api.name, "Stage": service.api.stage}
    return Metric(namespace="AWS/ApiGateway", name=name, statistic=statistic, dimensions=dimensions)


def healthy_targets(service: ServiceStack, of: Service) -> Metric:
    """How many tasks of a service the balancer takes for healthy."""
    balancer = service.balancer
    dimensions = {
        "LoadBalancer": balancer.balancer.attr_load_balancer_full_name,
        "TargetGroup": balancer.target_groups[of].attr_target_group_full_name,
    }
    return Metric(namespace="AWS/ApplicationELB", name="HealthyHostCount", statistic="Minimum", dimensions=dimensions)


def usage(service: ServiceStack, of: Service, resource: str) -> Metric:
    """The share that a service uses of its ``CPU`` or ``Memory``, in percent."""
    return utilization(service.clusters[of].name, service.services[of].name, f"{resource}Utilization")


def dead_letters(settings: Settings, queue: str) -> Metric:
    """Messages that were given up, in the dead letters of ``queue``."""
    return Metric(
        namespace="AWS/SQS",
        name="ApproximateNumberOfMessagesVisible",
        statistic="Maximum",
        dimensions={"QueueName": f"{settings.name(queue)}-dead-letters"},
    )


def _fewest_healthy(service: ServiceStack) -> Measure:
    """The fewest healthy targets of any service."""
    metrics = {f"m{position}": healthy_targets(service, of) for position, of in enumerate(Service, start=1)}
    filled = ", ".join(f"FILL({name}, 0)" for name in metrics)
    return Measure(expression=f"MIN([{filled}])", metrics=metrics, comparison="LessThanThreshold", missing="breaching")


def _error_rate(service: ServiceStack) -> Measure:
    """Percent of the API's requests that ended in a 5xx."""
    return Measure(
        expression="100 * FILL(errors, 0) / requests",
        metrics={
            "errors": api_metric(service, "5XXError", "Sum"),
            "requests": api_metric(service, "Count", "Sum"),
        },
        comparison="GreaterThanThreshold",
        missing="notBreaching",
    )


def _latency(service: ServiceStack) -> Measure:
    """Seconds within which 95 of 100 requests were answered."""
    return Measure(
        expression="latency / 1000",
        metrics={"latency": api_metric(service, "Latency", "p95")},
        comparison="GreaterThanThreshold",
        missing="notBreaching",
    )


def _usage(service: ServiceStack) -> Measure:
    """The highest share of processor or memory that any service uses, in percent."""
    metrics = {
        f"{resource[0].lower()}{position}": usage(service, of, resource)
        for position, of in enumerate(Service, start=1)
        for resource in ("CPU", "Memory")
    }
    return Measure(
        expression=f"MAX([{', '.join(metrics)}])",
        metrics=metrics,
        comparison="GreaterThanThreshold",
        missing="notBreaching",
    )
