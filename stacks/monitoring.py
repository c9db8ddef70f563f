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
from constructs.metrics import PERIOD_SECONDS, Metric, result

from anfl.resources import Service
from stacks.base import AnflStack
from stacks.models import AlertName, Settings
from stacks.scaling import utilization
from stacks.service import ServiceStack
from stacks.units import Region


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """What an alarm looks at: an expression over metrics, in the unit of its alert's threshold."""

    expression: str
    metrics: Mapping[str, Metric]
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
        # It fires when every period of the duration is beyond the threshold.
        periods = int(alert.duration.total_seconds()) // PERIOD_SECONDS
        return cloudwatch.CfnAlarm(
            self,
            "".join(part.capitalize() for part in name.split("_")),
            alarm_name=self.settings.name(name),
            alarm_description=f"{severity}: {name} in {self.region}; docs/monitoring_architecture.md says what to do",
            metrics=[
                result(name, measure.expression),
                *(metric.query(key) for key, metric in measure.metrics.items()),
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
            f"m{position}": Metric(
                namespace="AWS/ApplicationELB",
                name="HealthyHostCount",
                statistic="Minimum",
                dimensions={
                    "LoadBalancer": balancer.balancer.attr_load_balancer_full_name,
                    "TargetGroup": balancer.target_groups[service].attr_target_group_full_name,
                },
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
                "errors": self._api_metric("5XXError", "Sum"),
                "requests": self._api_metric("Count", "Sum"),
            },
            comparison="GreaterThanThreshold",
            missing="notBreaching",
        )

    def _latency(self) -> _Measure:
        """Seconds within which 95 of 100 requests were answered."""
        return _Measure(
            expression="latency / 1000",
            metrics={"latency": self._api_metric("Latency", "p95")},
            comparison="GreaterThanThreshold",
            missing="notBreaching",
        )

    def _usage(self) -> _Measure:
        """The highest share of processor or memory that any service uses, in percent."""
        metrics = {
            f"{metric[0].lower()}{position}": utilization(
                self._service.clusters[service].name, self._service.services[service].name, metric
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

    def _api_metric(self, name: str, statistic: str) -> Metric:
        api = self._service.api
        dimensions = {"ApiName": api.name, "Stage": api.stage}
        return Metric(namespace="AWS/ApiGateway", name=name, statistic=statistic, dimensions=dimensions)
