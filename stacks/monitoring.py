"""The four alerts as CloudWatch alarms, and the topic they ring."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import CfnOutput
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct
from constructs.key_policy import NOTIFIERS

from anfl.resources import Service
from stacks.base import AnflStack
from stacks.models import AlertName, Settings
from stacks.service import ServiceStack
from stacks.units import Region

_PERIOD = 60
"""Seconds; an alarm fires when every period of its alert's duration is over the threshold."""


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """What an alarm looks at: an expression over metrics, in the unit of its alert's threshold."""

    expression: str
    metrics: Mapping[str, cloudwatch.CfnAlarm.MetricDataQueryProperty]
    comparison: str
    missing: str
    """How a period without data counts."""


class MonitoringStack(AnflStack):
    """One alarm for each alert of the architecture."""

    def __init__(
        self, scope: Construct, *, settings: Settings, region: Region, service: ServiceStack, key_arn: str
    ) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "monitoring")
        super().__init__(scope, name, settings=settings, region=region, description="alarms")
        self._service = service
        self.topic = self._topic(key_arn)
        measures = {
            AlertName.SERVICE_DOWN: self._healthy_targets(),
            AlertName.HIGH_ERROR_RATE: self._error_rate(),
            AlertName.HIGH_LATENCY: self._latency(),
            AlertName.RESOURCE_USAGE: self._usage(),
        }
        self.alarms = {alert: self._alarm(alert, measure) for alert, measure in measures.items()}
        CfnOutput(self, "AlertTopicArn", value=self.topic.topic_arn, description="Subscribe whoever is on call")

    def _topic(self, key_arn: str) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Alerts",
            topic_name=self.settings.name("alerts"),
            master_key=kms.Key.from_key_arn(self, "DataKey", key_arn),
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="NotifiersOfThisAccount",
                principals=[iam.ServicePrincipal(service) for service in NOTIFIERS],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return topic

    def _alarm(self, name: AlertName, measure: _Measure) -> cloudwatch.CfnAlarm:
        alert = self.settings.alerts.alert(name)
        severity = "critical" if alert in self.settings.alerts.critical else "warning"
        periods = int(alert.duration.total_seconds()) // _PERIOD
        return cloudwatch.CfnAlarm(
            self,
            "".join(part.capitalize() for part in name.split("_")),
            alarm_name=self.settings.name(name),
            alarm_description=f"{severity}: {name} in {self.region}; docs/monitoring_architecture.md says what to do",
            metrics=[
                cloudwatch.CfnAlarm.MetricDataQueryProperty(
                    id="value", label=name, expression=measure.expression, return_data=True
                ),
                *measure.metrics.values(),
            ],
            comparison_operator=measure.comparison,
            threshold=alert.threshold.value,
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            treat_missing_data=measure.missing,
            alarm_actions=[self.topic.topic_arn],
            ok_actions=[self.topic.topic_arn],
            insufficient_data_actions=[],
        )

    def _healthy_targets(self) -> _Measure:
        """The fewest healthy targets of any service."""
        balancer = self._service.balancer
        metrics = {
            f"m{position}": _metric(
                f"m{position}",
                "AWS/ApplicationELB",
                "HealthyHostCount",
                "Minimum",
                LoadBalancer=balancer.balancer.attr_load_balancer_full_name,
                TargetGroup=balancer.target_groups[service].attr_target_group_full_name,
            )
            for position, service in enumerate(Service, start=1)
        }
        filled = ", ".join(f"FILL({name}, 0)" for name in metrics)
        return _Measure(
            expression=f"MIN([{filled}])", metrics=metrics, comparison="LessThanThreshold", missing="breaching"
        )

    def _error_rate(self) -> _Measure:
        """Percent of the API's requests that ended in a 5xx."""
        return _Measure(
            expression="100 * FILL(errors, 0) / requests",
            metrics={
                "errors": self._api_metric("errors", "5XXError", "Sum"),
                "requests": self._api_metric("requests", "Count", "Sum"),
            },
            comparison="GreaterThanThreshold",
            missing="notBreaching",
        )

    def _latency(self) -> _Measure:
        """Seconds within which 95 of 100 requests were answered."""
        return _Measure(
            expression="latency / 1000",
            metrics={"latency": self._api_metric("latency", "Latency", "p95")},
            comparison="GreaterThanThreshold",
            missing="notBreaching",
        )

    def _usage(self) -> _Measure:
        """The highest share of processor or memory that any service uses, in percent."""
        metrics = {
            (key := f"{metric[0].lower()}{position}"): _metric(
                key,
                "AWS/ECS",
                metric,
                "Average",
                ClusterName=self._service.clusters[service].name,
                ServiceName=self._service.services[service].name,
            )
            for position, service in enumerate(Service, start=1)
            for metric in ("CPUUtilization", "MemoryUtilization")
        }
        return _Measure(
            expression=f"MAX([{', '.join(metrics)}])",
            metrics=metrics,
            comparison="GreaterThanThreshold",
            missing="notBreaching",
        )

    def _api_metric(self, key: str, metric: str, statistic: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
        api = self._service.api
        return _metric(key, "AWS/ApiGateway", metric, statistic, ApiName=api.name, Stage=api.stage)


def _metric(
    key: str, namespace: str, name: str, statistic: str, **dimensions: str
) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    alarm = cloudwatch.CfnAlarm
    return alarm.MetricDataQueryProperty(
        id=key,
        return_data=False,
        metric_stat=alarm.MetricStatProperty(
            metric=alarm.MetricProperty(
                namespace=namespace,
                metric_name=name,
                dimensions=[alarm.DimensionProperty(name=k, value=v) for k, v in dimensions.items()],
            ),
            period=_PERIOD,
            stat=statistic,
        ),
    )
