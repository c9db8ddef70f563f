"""Looks at a region from outside: whether its API answers, and whether it is drained."""

import http.client
import json
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from anfl import aws
from anfl.resources import (
    ANSWERS_METRIC,
    DRAINED_METRIC,
    ENVIRONMENT_DIMENSION,
    METRICS_NAMESPACE,
    REGION_DIMENSION,
)

PATHS = ("/v1/openapi.json", "/v1/auth/jwks.json")
"""Of public routes: one through the balancer to a service, one through a function to a table."""
SECONDS = 5
"""For each address that a name has, for the handshake, and for each wait for bytes."""
DEADLINE_SECONDS = 20
"""For everything together: well within the minute in which it is to be said."""
_MAX_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The function's environment."""

    environment: str = msgspec.field(name="ANFL_ENVIRONMENT")
    region: str = msgspec.field(name="WATCHED_REGION")
    host: str = msgspec.field(name="WATCHED_HOST")
    parameter: str = msgspec.field(name="DRAINED_PARAMETER")


class Parameters(Protocol):
    """Of SSM."""

    def get_parameter(self, *, Name: str) -> Any: ...  # noqa: ANN401, N803


class Metrics(Protocol):
    """Of CloudWatch."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[Any]) -> Any: ...  # noqa: ANN401, N803


Fetch = Callable[[str, str], bytes]
"""Host and path to the body of the answer; raises `OSError` or `http.client.HTTPException` where there is none."""


class Watch:
    """Publishes what it sees. What it cannot find out it leaves out: Route 53 then goes by what it knew."""

    def __init__(
        self,
        settings: Settings,
        *,
        fetch: Fetch,
        parameters: Parameters,
        metrics: Metrics,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        """:param deadline: seconds within which every path must have answered."""
        self._deadline = deadline
        self._settings = settings
        self._fetch = fetch
        self._parameters = parameters
        self._metrics = metrics

    def publish(self) -> None:
        """Look at the region and send both figures to CloudWatch."""
        values = {ANSWERS_METRIC: self.answers(), DRAINED_METRIC: self.drained()}
        dimensions = [
            {"Name": ENVIRONMENT_DIMENSION, "Value": self._settings.environment},
            {"Name": REGION_DIMENSION, "Value": self._settings.region},
        ]
        self._metrics.put_metric_data(
            Namespace=METRICS_NAMESPACE,
            MetricData=[
                {"MetricName": name, "Dimensions": dimensions, "Value": float(value), "Unit": "Count"}
                for name, value in values.items()
                if value is not None
            ],
        )

    def answers(self) -> bool:
        """Whether every path of `PATHS` answers with a JSON object in time."""
        executor = ThreadPoolExecutor(len(PATHS))
        paths = {executor.submit(self._failure, path): path for path in PATHS}
        done, _ = wait(paths, timeout=self._deadline)
        # Not waited for: who hangs must not keep the others from being heard.
        executor.shutdown(wait=False, cancel_futures=True)
        failures = {path: future.result() if future in done else "too slow" for future, path in paths.items()}
        for path, reason in failures.items():
            if reason:
                _log.warning("no answer", extra={"host": self._settings.host, "path": path, "reason": reason})
        return not any(failures.values())

    def drained(self) -> bool | None:
        """Whether nobody is to be sent to the region; None where that cannot be found out."""
        try:
            answer = self._parameters.get_parameter(Name=self._settings.parameter)
        except Exception:
            _log.exception("cannot read whether the region is drained", extra={"region": self._settings.region})
            return None
        return bool(answer["Parameter"]["Value"] == "true")

    def _failure(self, path: str) -> str | None:
        try:
            found = isinstance(json.loads(self._fetch(self._settings.host, path)), dict)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return None if found else "the answer is no JSON object"


def fetch(host: str, path: str, *, context: ssl.SSLContext | None = None, port: int = 443) -> bytes:
    """GET over TLS 1.3 alone; a redirect is no answer.

    :param context: trusts what is not public. The least version is set on it.
    :raises OSError: no connection, no trust, or no answer in time.
    :raises http.client.HTTPException: another status than 200, no HTTP, or more than 4 MiB.
    """
    context = context or ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "anfl-watch"})
        response = connection.getresponse()
        body = response.read(_MAX_BYTES + 1)
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise http.client.HTTPException(f"status {response.status}")
    if len(body) > _MAX_BYTES:
        raise http.client.HTTPException(f"more than {_MAX_BYTES} bytes")
    return body


def build_watch(settings: Settings) -> Watch:
    """A watch that looks over the network."""
    session = aws.session()
    config = aws.config(read_timeout=5)
    return Watch(
        settings,
        fetch=fetch,
        parameters=session.client("ssm", config=config),
        metrics=session.client("cloudwatch", config=config),
    )
