"""An alarm on items of global tables that come late from a region to others."""

from collections.abc import Sequence
from itertools import batched

from constructs.location import here
from constructs.metrics import Metric, combined

from stacks.base import AnflStack
from stacks.caretaking import warning_alarm
from stacks.physical_names import global_tables
from stacks.units import Region

_LATE_MILLISECONDS = 10_000
"""Mostly it is a second, and what waits for other regions waits for five."""
_PERIODS = 5
"""Minutes in a row before an alarm."""
_METRICS_OF_AN_ALARM = 10
"""At most, says CloudWatch."""


def tables_late(stack: AnflStack, others: Sequence[Region]) -> None:
    """From the stack's region to the ``others``: DynamoDB publishes how long it takes where items come from."""
    leaving = [
        Metric(
            namespace="AWS/DynamoDB",
            name="ReplicationLatency",
            statistic="Average",
            dimensions={"TableName": table, "ReceivingRegion": other.value},
        )
        for table in global_tables(stack.settings).values()
        for other in others
    ]
    for number, metrics in enumerate(batched(leaving, _METRICS_OF_AN_ALARM, strict=False), start=1):
        warning_alarm(
            stack,
            f"TablesLate{number}",
            name="tables-late" if number == 1 else f"tables-late-{number}",
            description=f"items of tables arrive late in other regions from {here(stack).region}",
            metrics=combined("ms", "MAX", metrics),  # nothing is written: no value
            comparison="GreaterThanThreshold",
            threshold=_LATE_MILLISECONDS,
            periods=_PERIODS,
            missing="notBreaching",
        )
