"""An alarm that tells a topic when it begins and when it is over."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct


def topic_alarm(
    scope: Construct,
    id: str,  # noqa: A002 - as every construct names it
    *,
    name: str,
    description: str,
    topic: str,
    metrics: Sequence[cloudwatch.CfnAlarm.MetricDataQueryProperty],
    comparison: str,
    threshold: float,
    periods: int,
    datapoints: int | None = None,
    missing: str = "notBreaching",
) -> cloudwatch.CfnAlarm:
    """Over what the queries of ``metrics`` come to.

    :param topic: its ARN. :param datapoints: how many of the ``periods`` must be beyond the threshold; None: all.
    """
    return cloudwatch.CfnAlarm(
        scope,
        id,
        alarm_name=name,
        alarm_description=description,
        metrics=list(metrics),
        comparison_operator=comparison,
        threshold=threshold,
        evaluation_periods=periods,
        datapoints_to_alarm=periods if datapoints is None else datapoints,
        treat_missing_data=missing,
        alarm_actions=[topic],
        ok_actions=[topic],
    )
