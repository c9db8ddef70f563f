"""A region's CloudWatch dashboard, generated from the metrics that the alarms and the scaling look at."""

from collections.abc import Iterator, Sequence
from typing import Any

from constructs.metrics import PERIOD_SECONDS, Metric

from anfl.resources import CALLS_METRIC, METRICS_NAMESPACE, Function, Service
from anfl.telemetry.embedded import Outcome
from stacks.architecture import AlertName
from stacks.measures import api_metric, healthy_targets, usage
from stacks.models import Settings
from stacks.physical_names import global_tables, queues
from stacks.scaling import backlog
from stacks.service import ServiceStack
from stacks.units import Region

_WIDTH, _HEIGHT, _COLUMNS = 8, 6, 24
"""Of a graph, and of the grid, in CloudWatch's units."""
Widget = dict[str, Any]
Line = tuple[Metric, str]
"""A metric and its label."""


def dashboard(service: ServiceStack, settings: Settings, region: Region, *, alarm_arns: Sequence[str]) -> Widget:
    """The dashboard's body: the state of the alarms, then a graph for whatever explains one."""
    alarms = {"type": "alarm", "width": _COLUMNS, "height": 2, "properties": {"title": "Alarms", "alarms": alarm_arns}}
    graphs = [
        _graph(region, title, lines, limits)
        for title, lines, limits in (*_requests(service, settings), *_work(service, settings))
    ]
    return {"widgets": [alarms, *graphs]}


def _graph(region: Region, title: str, lines: Sequence[Line], limits: dict[str, float]) -> Widget:
    properties: dict[str, Any] = {
        "title": title,
        "region": region.value,
        "view": "timeSeries",
        "period": PERIOD_SECONDS,
        "metrics": [metric.row(label) for metric, label in lines],
        "yAxis": {"left": {"min": 0}},
    }
    if limits:
        properties["annotations"] = {
            "horizontal": [{"label": label, "value": value} for label, value in limits.items()]
        }
    return {"type": "metric", "width": _WIDTH, "height": _HEIGHT, "properties": properties}


def _requests(service: ServiceStack, settings: Settings) -> Iterator[tuple[str, list[Line], dict[str, float]]]:
    latency = settings.alerts.alert(AlertName.HIGH_LATENCY).threshold.value * 1000
    down = settings.alerts.alert(AlertName.SERVICE_DOWN).threshold.value
    counts = {"Count": "requests", "4XXError": "refused (4xx)", "5XXError": "failed (5xx)"}
    yield "Requests a minute", [(api_metric(service, name, "Sum"), label) for name, label in counts.items()], {}
    yield (
        "Latency (ms)",
        [(api_metric(service, "Latency", statistic), statistic) for statistic in ("p50", "p95", "p99")],
        {AlertName.HIGH_LATENCY: latency},
    )
    yield "Healthy tasks", [(healthy_targets(service, of), of) for of in Service], {AlertName.SERVICE_DOWN: down}


def _work(service: ServiceStack, settings: Settings) -> Iterator[tuple[str, list[Line], dict[str, float]]]:
    limit = settings.alerts.alert(AlertName.RESOURCE_USAGE).threshold.value
    thresholds = settings.scaling.vector_processing.thresholds
    yield (
        "Processor and memory (%)",
        [(usage(service, of, resource), f"{of} {resource}") for of in Service for resource in ("CPU", "Memory")],
        {AlertName.RESOURCE_USAGE: limit},
    )
    vectors = service.services[Service.VECTOR_STORE].name
    yield (
        "What scales the vector store (%)",
        [(usage(service, Service.VECTOR_STORE, "CPU"), "processor"), (backlog(vectors), "backlog of jobs")],
        {"a task more": thresholds.scale_up, "a task less": thresholds.scale_down},
    )
    for title, name, statistic, suffix in (
        ("Messages waiting", "ApproximateNumberOfMessagesVisible", "Maximum", ""),
        ("Oldest message (s)", "ApproximateAgeOfOldestMessage", "Maximum", ""),
        ("Dead letters", "ApproximateNumberOfMessagesVisible", "Maximum", "-dead-letters"),
    ):
        lines = [
            (_of("AWS/SQS", name, statistic, QueueName=f"{settings.name(queue)}{suffix}"), queue)
            for queue in queues(settings)
        ]
        yield title, lines, {}
    for title, name, statistic in (
        ("Failed invocations", "Errors", "Sum"),
        ("Invocations (ms, p95)", "Duration", "p95"),
    ):
        functions = [_of("AWS/Lambda", name, statistic, FunctionName=settings.name(function)) for function in Function]
        yield title, list(zip(functions, Function, strict=True)), {}
    calls = [
        (_of(METRICS_NAMESPACE, CALLS_METRIC, "Sum", Function=function, Outcome=outcome), f"{function} {outcome}")
        for function in Function
        for outcome in (Outcome.REFUSED, Outcome.FAILED)
    ]
    yield "Calls of functions without success", calls, {}
    throttled = [
        (_of("AWS/DynamoDB", f"{way}ThrottleEvents", "Sum", TableName=name), f"{label} {way}")
        for label, name in global_tables(settings).items()
        for way in ("Read", "Write")
    ]
    yield "Throttled accesses of tables", throttled, {}


def _of(namespace: str, name: str, statistic: str, **dimensions: str) -> Metric:
    return Metric(namespace=namespace, name=name, statistic=statistic, dimensions=dimensions)
