"""How far behind the jobs are, as the figure by which the vector service scales."""

import logging
import threading
from typing import Any, Protocol

import boto3
import msgspec

from anfl import aws
from anfl.resources import BACKLOG_METRIC, METRICS_NAMESPACE, SERVICE_DIMENSION

PERIOD_SECONDS = 60
"""Between two publications; the alarms look once a minute."""
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's environment, as far as its scaling goes."""

    queue_url: str = msgspec.field(name="JOBS_QUEUE_URL")
    cluster: str = msgspec.field(name="ECS_CLUSTER")
    service: str = msgspec.field(name="ECS_SERVICE")
    jobs_per_task: int = msgspec.field(name="JOBS_PER_TASK")


class Queues(Protocol):
    """Of SQS."""

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[Any]) -> Any: ...  # noqa: ANN401, N803


class Tasks(Protocol):
    """Of ECS."""

    def describe_services(self, *, cluster: str, services: list[str]) -> Any: ...  # noqa: ANN401


class Metrics(Protocol):
    """Of CloudWatch."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[Any]) -> Any: ...  # noqa: ANN401, N803


class Backlog:
    """Waiting jobs in percent of what the running tasks are meant to have before them.

    Every task publishes the same figure, so that it is there as long as one of them runs; the alarms average.
    """

    def __init__(self, settings: Settings, *, queues: Queues, tasks: Tasks, metrics: Metrics) -> None:
        self._settings = settings
        self._queues = queues
        self._tasks = tasks
        self._metrics = metrics

    def percent(self) -> float:
        """``100 × waiting / (jobs per task × running tasks)``; a service that is starting counts as one task."""
        settings = self._settings
        name = "ApproximateNumberOfMessages"
        answer = self._queues.get_queue_attributes(QueueUrl=settings.queue_url, AttributeNames=[name])
        waiting = int(answer["Attributes"][name])
        (service,) = self._tasks.describe_services(cluster=settings.cluster, services=[settings.service])["services"]
        return 100 * waiting / (settings.jobs_per_task * max(1, int(service["runningCount"])))

    def publish(self) -> None:
        """Send the present figure to CloudWatch."""
        dimension = {"Name": SERVICE_DIMENSION, "Value": self._settings.service}
        datum = {"MetricName": BACKLOG_METRIC, "Dimensions": [dimension], "Value": self.percent(), "Unit": "Percent"}
        self._metrics.put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=[datum])


class Publisher:
    """Publishes in a thread of its own until it is closed; a failure is logged, and the next minute tried again."""

    def __init__(self, backlog: Backlog, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._backlog = backlog
        self._period = period_seconds
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self.run, name="backlog", daemon=True)

    def start(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop at once; a call under way is not waited for (its time-outs bound it)."""
        self._closed.set()

    def run(self) -> None:
        """Publish in this thread until `close`."""
        while not self._closed.is_set():
            try:
                self._backlog.publish()
            except Exception:
                _log.exception("the backlog could not be published")
            self._closed.wait(self._period)


def build_publisher(settings: Settings, session: boto3.session.Session) -> Publisher:
    """A publisher over the queue and service of ``settings``."""
    return Publisher(
        Backlog(
            settings,
            queues=session.client("sqs", config=aws.config()),
            tasks=session.client("ecs", config=aws.config()),
            metrics=session.client("cloudwatch", config=aws.config()),
        )
    )
