"""What a service measures of itself, in Prometheus's text format.

Several processes may serve one port: where ``PROMETHEUS_MULTIPROC_DIR`` names a folder, each keeps its figures in files
there, and whichever is asked answers for all. No label names a tenant or anything else that callers choose.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from anfl.resources import Variable
from anfl.telemetry.usage import Usage

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNKNOWN_ROUTE = "unknown"
"""Of requests for a path that the service does not have."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STORE_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
"""Upper limits, in seconds."""


class Metrics:
    """One service's; make it once, before processes are forked."""

    def __init__(self, *, collectors: Iterable[Collector] = ()) -> None:
        """:param collectors: asked anew whenever the figures are; they answer for the process that is asked."""
        self._collectors = (Usage(), *collectors)
        if (folder := _folder()) is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.registry = registry = CollectorRegistry()
        """Where figures of a service's own belong, made before processes are forked."""
        self._requests = Counter(
            "anfl_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "anfl_request_seconds",
            "From a request's first byte to its answer's last.",
            ("route", "method"),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """By route, method and class of status: to find them by their labels takes longer than to count."""
        self._running = Gauge(
            "anfl_requests_running", "Requests at work.", registry=registry, multiprocess_mode="livesum"
        )
        self._store_calls = Counter(
            "anfl_store_calls", "Calls of AWS's stores.", ("store", "operation", "outcome"), registry=registry
        )
        self._store_seconds = Histogram(
            "anfl_store_call_seconds",
            "Of calls of AWS's stores, their retries included.",
            ("store",),
            buckets=_STORE_BUCKETS,
            registry=registry,
        )
        self._forwards = Counter(
            "anfl_forwards", "Attempts to have another node answer a request.", ("outcome",), registry=registry
        )
        self._handovers = Counter(
            "anfl_handovers", "Writes handed over to the process that writes.", ("outcome",), registry=registry
        )
        self._fallbacks = Counter(
            "anfl_forward_fallbacks", "Requests that the first choice did not answer.", ("to",), registry=registry
        )
        self._throttled = Counter(
            "anfl_throttled", "Requests refused because their caller sent too many.", registry=registry
        )

    def began(self) -> None:
        """A request is at work."""
        self._running.inc()

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """A request that `began` is done. :param route: its template, never its path. :param status: of HTTP."""
        self._running.dec()
        key = (route, method if method in _METHODS else "other", status // 100)
        children = self._answered.get(key)
        if children is None:
            counter = self._requests.labels(route, key[1], f"{key[2]}xx")
            children = self._answered[key] = counter, self._request_seconds.labels(route, key[1])
        children[0].inc()
        children[1].observe(seconds)

    def called(self, *, store: str, operation: str, outcome: str, seconds: float) -> None:
        """A store has been called. :param outcome: see `anfl.telemetry.stores`."""
        self._store_calls.labels(store, operation, outcome).inc()
        self._store_seconds.labels(store).observe(seconds)

    def forwarded(self, outcome: str) -> None:
        """Another node has been asked to answer a request. :param outcome: see `anfl.nodes.forwarding.Figures`."""
        self._forwards.labels(outcome).inc()

    def handed_over(self, outcome: str) -> None:
        """The process that writes has been asked. :param outcome: see `anfl.nodes.sending.Attempt`."""
        self._handovers.labels(outcome).inc()

    def fell_back(self, to: str) -> None:
        """A request went elsewhere than it should. :param to: see `anfl.nodes.forwarding.Figures`."""
        self._fallbacks.labels(to).inc()

    def throttled(self) -> None:
        """A caller had spent what it may."""
        self._throttled.inc()

    def exposition(self) -> bytes:
        """Everything, of every process, as of now."""
        asked = CollectorRegistry()
        if _folder() is None:
            asked.register(self.registry)
        else:
            MultiProcessCollector(asked)  # type: ignore[no-untyped-call]  # registers itself
        for collector in self._collectors:
            asked.register(collector)
        return generate_latest(asked)


def forget() -> None:
    """Drop what processes of an earlier start left. Call it before `Metrics` is made, never beside a live process."""
    folder = _folder()
    if folder is not None:
        for file in folder.glob("*.db"):
            file.unlink(missing_ok=True)


def ended(process_id: int) -> None:
    """A process of the service is gone: what it counted stays, what it had at work does not."""
    if _folder() is not None:
        mark_process_dead(process_id)  # type: ignore[no-untyped-call]


def _folder() -> Path | None:
    """As the library reads it: when it is imported."""
    name = os.environ.get(Variable.METRICS_FOLDER)
    return Path(name) if name else None
