"""CloudWatch metrics, each described once for the alarms that compute with it and the dashboards that show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aws_cdk import aws_cloudwatch as cloudwatch

PERIOD_SECONDS = 60
"""Of every metric that an alarm looks at: the finest that AWS services publish."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one resource, and how the values of a period become one."""

    namespace: str
    name: str
    statistic: str
    """``Average``, ``Sum``, ``p95`` …"""
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def query(self, key: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
        """As an operand, named ``key``, of an alarm's expression."""
        alarm = cloudwatch.CfnAlarm
        return alarm.MetricDataQueryProperty(
            id=key,
            return_data=False,
            metric_stat=alarm.MetricStatProperty(
                metric=alarm.MetricProperty(
                    namespace=self.namespace,
                    metric_name=self.name,
                    dimensions=[alarm.DimensionProperty(name=k, value=v) for k, v in self.dimensions.items()],
                ),
                period=PERIOD_SECONDS,
                stat=self.statistic,
            ),
        )


def result(label: str, expression: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    """The expression whose value an alarm compares with its threshold."""
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(id="value", label=label, expression=expression, return_data=True)
