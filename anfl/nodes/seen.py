"""How many nodes a node sees, as a figure."""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from anfl.nodes.shared import Members


class NodesSeen(Collector):
    """0 where nothing is known of others: the node answers everything itself."""

    def __init__(self, members: Callable[[], Members]) -> None:
        self._members = members

    def collect(self) -> Iterable[Metric]:
        """As of now."""
        seen = len(self._members().present)
        yield GaugeMetricFamily("anfl_nodes", "Nodes of the service that are seen, this one included.", seen)
