"""CloudWatch metrics, each described once for the alarms that compute with it and the dashboards that show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aws_cdk import aws_cloudwatch as cloudwatch

PERIOD_SECONDS = 60
"""Of a metric that an alarm looks at, where it does not say otherwise: the finest that AWS services publish."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one resource, and how the values of a period become one."""

    namespace: str
    name: str
    statistic: str
    """``Average``, ``Sum``, ``p95`` …"""
    dimensions: Mapping[str, str] = field(default_factory=dict)

    def query(self, key: str, *, seconds: int = PERIOD_SECONDS) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
        """As an operand, named ``key``, of the expression of an alarm that looks at periods of ``seconds``."""
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
                period=seconds,
                stat=self.statistic,
            ),
        )

    def row(self, label: str | None = None, **options: str) -> list[object]:
        """As a row of a dashboard's widget."""
        names = [text for pair in self.dimensions.items() for text in pair]
        shown = {"stat": self.statistic, **({"label": label} if label else {}), **options}
        return [self.namespace, self.name, *names, shown]


def result(label: str, expression: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    """The expression whose value an alarm compares with its threshold."""
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(id="value", label=label, expression=expression, return_data=True)


def combined(label: str, function: str, metrics: Iterable[Metric]) -> list[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    """``MAX`` or ``SUM`` of metrics, as what an alarm compares with its threshold; one without a value counts as 0."""
    named = {f"m{position}": metric for position, metric in enumerate(metrics)}
    terms = ",".join(f"FILL({key},0)" for key in named)
    return [*(metric.query(key) for key, metric in named.items()), result(label, f"{function}([{terms}])")]
