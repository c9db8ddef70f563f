"""Whoever watches over a region: alarms, topics, Prometheus with its rules, Grafana, a dashboard."""

from aws_cdk import CfnOutput
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.alert_topic import AlertTopic
from constructs.grafana_workspace import GrafanaWorkspace
from constructs.key_policy import NOTIFIERS
from constructs.metrics import PERIOD_SECONDS, Metric, result
from constructs.prometheus_workspace import PrometheusWorkspace

from anfl.resources import METRICS_NAMESPACE
from stacks.alert_rules import alert_manager, rule_groups
from stacks.architecture import AlertName, Severity
from stacks.base import AnflStack
from stacks.dashboard import dashboard
from stacks.measures import Measure, measures
from stacks.models import Settings
from stacks.service import ServiceStack
from stacks.units import Region

_AUTH_UNAVAILABLE = "AuthUnavailable"
_UNCHECKED = '{ ($.error = "AUTHORIZER_FAILURE") || ($.error = "AUTHORIZER_CONFIGURATION_ERROR") }'
"""In the access log: requests that were refused because nobody could check their token."""


class MonitoringStack(AnflStack):
    """One region's. The four alerts exist twice from one source: as alarms here, as rules in Prometheus."""

    def __init__(
        self, scope: Construct, *, settings: Settings, region: Region, service: ServiceStack, key_arn: str
    ) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "monitoring")
        super().__init__(scope, name, settings=settings, region=region, description="alarms, Prometheus, dashboards")
        self._service = service
        self._key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self.topics = {severity: self._topic(severity) for severity in Severity}
        self.alarms = {alert: self._alert(alert, measure) for alert, measure in measures(service).items()}
        self.auth_alarm = self._auth_unavailable()
        self.prometheus = self._prometheus(region, key_arn)
        if region in settings.deployment.grafana_regions:
            self._grafana()
        self._dashboard(region)

    def _topic(self, severity: Severity) -> AlertTopic:
        topic = AlertTopic(
            self,
            f"{severity.capitalize()}Alerts",
            name=self.settings.name("alerts", severity),
            key=self._key,
            publishers=NOTIFIERS,
        )
        CfnOutput(
            self,
            f"{severity.capitalize()}AlertTopicArn",
            value=topic.topic_arn,
            description=f"Subscribe whoever must hear of {severity} alerts",
        )
        return topic

    def _alert(self, name: AlertName, measure: Measure) -> cloudwatch.CfnAlarm:
        alerts = self.settings.alerts
        alert, severity = alerts.alert(name), alerts.severity(name)
        # It fires when every period of the duration is beyond the threshold.
        periods = int(alert.duration.total_seconds()) // PERIOD_SECONDS
        topic = self.topics[severity].topic_arn
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
            alarm_actions=[topic],
            ok_actions=[topic],
        )

    def _auth_unavailable(self) -> cloudwatch.CfnAlarm:
        """Tokens cannot be checked: the API fails closed, which the four alerts would show late or not at all."""
        logs.CfnMetricFilter(
            self,
            "UncheckedTokens",
            log_group_name=self._service.access_log.log_group_name,
            filter_pattern=_UNCHECKED,
            metric_transformations=[
                logs.CfnMetricFilter.MetricTransformationProperty(
                    metric_namespace=METRICS_NAMESPACE,
                    metric_name=_AUTH_UNAVAILABLE,
                    metric_value="1",
                    default_value=0,
                    unit="Count",
                )
            ],
        )
        topic = self.topics[Severity.CRITICAL].topic_arn
        return cloudwatch.CfnAlarm(
            self,
            "AuthUnavailable",
            alarm_name=self.settings.name("auth_unavailable"),
            alarm_description=f"critical: tokens cannot be checked in {self.region}; the API answers 503",
            metrics=[
                result("refused", "unchecked"),
                Metric(namespace=METRICS_NAMESPACE, name=_AUTH_UNAVAILABLE, statistic="Sum").query("unchecked"),
            ],
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            evaluation_periods=5,
            datapoints_to_alarm=3,
            treat_missing_data="notBreaching",
            alarm_actions=[topic],
            ok_actions=[topic],
        )

    def _prometheus(self, region: Region, key_arn: str) -> PrometheusWorkspace:
        log_group = self.log_group("PrometheusLogs", self._key)
        topics = {severity: topic.topic_arn for severity, topic in self.topics.items()}
        return PrometheusWorkspace(
            self,
            "Prometheus",
            name=self.settings.name("metrics"),
            key_arn=key_arn,
            rule_groups=rule_groups(self.settings.alerts),
            alert_manager=alert_manager(region, topics),
            log_group=log_group,
        )

    def _grafana(self) -> None:
        workspace = GrafanaWorkspace(
            self, "Grafana", name=self.settings.name("grafana"), regions=self.settings.regions, tags=self.settings.tags
        )
        CfnOutput(self, "GrafanaUrl", value=f"https://{workspace.resource.attr_endpoint}")

    def _dashboard(self, region: Region) -> None:
        arns = [alarm.attr_arn for alarm in (*self.alarms.values(), self.auth_alarm)]
        body = dashboard(self._service, self.settings, region, alarm_arns=arns)
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            # An account has one dashboard of a name, whichever region it is made in.
            dashboard_name=self.settings.name(region),
            dashboard_body=self.to_json_string(body),
        )
