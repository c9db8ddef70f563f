"""What functions measure: lines of their log from which CloudWatch makes metrics (the embedded metric format).

No call, no permission and no waiting: a function that is frozen after its answer could not send anything later.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus

from anfl.problems import Problem
from anfl.resources import (
    CALL_TIME_METRIC,
    CALLS_METRIC,
    ENVIRONMENT_DIMENSION,
    KEYS_BEHIND_METRIC,
    METRICS_NAMESPACE,
    Function,
)


class Outcome(StrEnum):
    """What came of a call."""

    OK = "ok"
    REFUSED = "refused"
    """The caller's doing: it asked for what it may not have, or in a way that makes no sense."""
    FAILED = "failed"
    """Ours."""


class Call:
    """One that is being measured; whoever finds out what was asked for says so."""

    def __init__(self) -> None:
        self.operation = "unknown"
        """One of a few names, never what a caller made up."""


@contextmanager
def call(function: Function) -> Iterator[Call]:
    """Count and time what is done inside; a `Problem` below 500 that leaves it is a refusal, any other error a failure.

    Dimensions are bounded and name no tenant.
    """
    started = time.perf_counter()
    measured = Call()
    outcome = Outcome.FAILED
    try:
        yield measured
        outcome = Outcome.OK
    except Problem as problem:
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            outcome = Outcome.REFUSED
        raise
    finally:
        _write(function, measured.operation, outcome, (time.perf_counter() - started) * 1000)


def figures(values: Mapping[str, float], *, environment: str) -> None:
    """Say how high something stands at the moment, by the metric's name."""
    _print(
        metrics=[{"Name": name, "Unit": "None"} for name in values],
        dimensions=[[ENVIRONMENT_DIMENSION]],
        values={ENVIRONMENT_DIMENSION: environment, **values},
    )


@contextmanager
def keys_behind(*, environment: str) -> Iterator[Callable[[int], None]]:
    """Whoever moves wrapped keys says how many are behind; where it cannot find out, one must be feared."""

    def say(number: int) -> None:
        figures({KEYS_BEHIND_METRIC: float(number)}, environment=environment)

    try:
        yield say
    except Problem:
        say(1)
        raise


def _write(function: Function, operation: str, outcome: Outcome, milliseconds: float) -> None:
    _print(
        metrics=[{"Name": CALLS_METRIC, "Unit": "Count"}, {"Name": CALL_TIME_METRIC, "Unit": "Milliseconds"}],
        dimensions=[["Function", "Outcome"], ["Function", "Operation", "Outcome"]],
        values={
            "Function": function.value,
            "Operation": operation,
            "Outcome": outcome.value,
            CALLS_METRIC: 1,
            CALL_TIME_METRIC: round(milliseconds, 3),
        },
    )


def _print(
    *, metrics: Sequence[Mapping[str, str]], dimensions: Sequence[Sequence[str]], values: Mapping[str, str | float]
) -> None:
    directive = {"Namespace": METRICS_NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}
    line = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}, **values}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
