"""What a vector store tells its operators, as figures of its service.

Workers of a node hold the same collections, more or less: a gauge shows the worker that has most.
"""

from prometheus_client import Counter, Gauge

from anfl.telemetry.metrics import Metrics
from anfl.vectors.events import Holdings, Turn


class VectorMetrics:
    """`anfl.vectors.events.Events`. Make it once, with `Metrics`, before processes are forked."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry, multiprocess_mode="livemax")

        self._turns = Counter("anfl_builder_turns", "Collections looked after.", ("outcome",), registry=registry)
        self._damages = Counter(
            "anfl_damaged_objects", "Objects that were not what was written.", ("outcome",), registry=registry
        )
        self._collections = gauge("anfl_collections", "Collections in memory.")
        self._rows = gauge("anfl_rows", "Rows in memory.")
        self._segments = gauge("anfl_segments", "Segments in memory.")
        self._unmerged = gauge("anfl_unmerged_rows", "Rows outside graphs.")
        self._most_unmerged = gauge("anfl_most_unmerged_rows", "Rows outside graphs, of the worst collection.")
        self._memory = gauge("anfl_vectors_memory_bytes", "Memory of collections.")
        self._memory_limit = gauge("anfl_vectors_memory_limit_bytes", "Above it, the collections used least leave.")
        self._stuck = gauge("anfl_stuck_logs", "Collections whose log is damaged or has a gap.")
        for turn in Turn:  # a series that begins with its first failure shows no increase
            self._turns.labels(turn.value)
        for outcome in ("repaired", "lost"):
            self._damages.labels(outcome)

    def turned(self, turn: Turn) -> None:
        """See `Events.turned`."""
        self._turns.labels(turn.value).inc()

    def damaged(self, *, repaired: bool) -> None:
        """See `Events.damaged`."""
        self._damages.labels("repaired" if repaired else "lost").inc()

    def holds(self, holdings: Holdings) -> None:
        """See `Events.holds`."""
        self._collections.set(holdings.collections)
        self._rows.set(holdings.rows)
        self._segments.set(holdings.segments)
        self._unmerged.set(holdings.unmerged_rows)
        self._most_unmerged.set(holdings.most_unmerged_rows)
        self._memory.set(holdings.memory_bytes)
        self._memory_limit.set(holdings.memory_limit_bytes)
        self._stuck.set(holdings.stuck_logs)
