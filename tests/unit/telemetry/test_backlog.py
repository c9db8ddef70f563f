"""The figure by which the vector service scales."""

import logging
import threading
from typing import Any

import pytest

from anfl import environment
from anfl.telemetry.backlog import Backlog, Publisher, Settings

SETTINGS = environment.load(
    Settings, {"JOBS_QUEUE_URL": "https://q", "ECS_CLUSTER": "c", "ECS_SERVICE": "s", "JOBS_PER_TASK": "10"}
)


class Aws:
    """A queue, a service and CloudWatch."""

    def __init__(self, *, waiting: int = 0, running: int = 1) -> None:
        self.waiting = waiting
        self.running = running
        self.published: list[Any] = []
        self.broken = False
        self.told = threading.Event()

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[Any]) -> Any:  # noqa: N803
        """How many messages wait; numbers are text there."""
        assert (QueueUrl, AttributeNames) == ("https://q", ["ApproximateNumberOfMessages"])
        return {"Attributes": {"ApproximateNumberOfMessages": str(self.waiting)}}

    def describe_services(self, *, cluster: str, services: list[str]) -> Any:
        """How many tasks run."""
        assert (cluster, services) == ("c", ["s"])
        return {"services": [{"runningCount": self.running}]}

    def put_metric_data(self, *, Namespace: str, MetricData: list[Any]) -> Any:  # noqa: N803
        """Take a figure, unless broken."""
        if self.broken:
            self.broken = False
            raise ConnectionError("CloudWatch is away")
        self.published.append((Namespace, *MetricData))
        self.told.set()


def backlog(aws: Aws) -> Backlog:
    return Backlog(SETTINGS, queues=aws, tasks=aws, metrics=aws)


@pytest.mark.parametrize(
    ("waiting", "running", "percent"),
    [(0, 3, 0), (30, 3, 100), (15, 3, 50), (60, 3, 200), (10, 1, 100), (5, 0, 50)],
)
def test_it_is_the_share_of_a_full_backlog_for_the_running_tasks(waiting: int, running: int, percent: float) -> None:
    assert backlog(Aws(waiting=waiting, running=running)).percent() == percent


def test_it_is_published_under_the_services_name() -> None:
    aws = Aws(waiting=3)
    backlog(aws).publish()
    ((namespace, datum),) = aws.published
    assert namespace == "ANFL"
    assert datum == {
        "MetricName": "BacklogPercent",
        "Dimensions": [{"Name": "ServiceName", "Value": "s"}],
        "Value": 30,
        "Unit": "Percent",
    }


def test_a_failure_is_logged_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    aws = Aws(waiting=3)
    aws.broken = True
    publisher = Publisher(backlog(aws), period_seconds=0.01)
    with caplog.at_level(logging.ERROR):
        publisher.start()
        assert aws.told.wait(10)
        publisher.close()
    assert "could not be published" in caplog.text
