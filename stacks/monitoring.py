"""Whoever watches over a region: alarms over what it deploys, and a dashboard."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.camel import camel
from constructs.metrics import PERIOD_SECONDS, Metric, result
from constructs.topic_alarm import topic_alarm

from anfl.resources import ENVIRONMENT_DIMENSION, KEYS_BEHIND_METRIC, METRICS_NAMESPACE
from stacks.architecture import AlertName, Severity
from stacks.base import AnflStack
from stacks.dashboard import dashboard
from stacks.measures import Measure, dead_letters, measures
from stacks.models import Settings
from stacks.physical_names import queues
from stacks.service import ServiceStack
from stacks.telemetry import TelemetryStack
from stacks.units import Region

_AUTH_UNAVAILABLE = "AuthUnavailable"
_BEHIND_SECONDS, _BEHIND_PERIODS = 3600, 24
_UNCHECKED = '{ ($.error = "AUTHORIZER_FAILURE") || ($.error = "AUTHORIZER_CONFIGURATION_ERROR") }'
"""In the access log: requests that were refused because nobody could check their token."""


class MonitoringStack(AnflStack):
    """One region's. The four alerts exist twice from one source: as alarms here, as rules in Prometheus."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        telemetry: TelemetryStack,
        service: ServiceStack,
    ) -> None:
        """:param telemetry: whose topics the alarms ring. :param service: what they look at."""
        name = settings.name(region, "monitoring")
        super().__init__(scope, name, settings=settings, region=region, description="alarms, dashboard")
        self._service = service
        self._region = region
        self.topics = telemetry.topics
        self.alarms = {alert: self._alert(alert, measure) for alert, measure in measures(service).items()}
        self.auth_alarm = self._auth_unavailable()
        self.dead_letters_alarm = self._dead_letters()
        self.keys_behind_alarm = self._keys_behind()
        self._dashboard(region)

    def _alert(self, name: AlertName, measure: Measure) -> cloudwatch.CfnAlarm:
        alerts = self.settings.alerts
        alert, severity = alerts.alert(name), alerts.severity(name)
        # It fires when every period of the duration is beyond the threshold.
        periods = int(alert.duration.total_seconds()) // PERIOD_SECONDS
        return topic_alarm(
            self,
            camel(name),
            name=self.settings.name(name),
            description=f"{severity}: {name} in {self._region}; docs/monitoring_architecture.md says what to do",
            topic=self.topics[severity].topic_arn,
            metrics=[
                result(name, measure.expression),
                *(metric.query(key) for key, metric in measure.metrics.items()),
            ],
            comparison=measure.comparison,
            threshold=alert.threshold.value,
            periods=periods,
            missing=measure.missing,
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
        return topic_alarm(
            self,
            "AuthUnavailable",
            name=self.settings.name("auth_unavailable"),
            description=f"critical: tokens cannot be checked in {self._region}; the API answers 503",
            topic=self.topics[Severity.CRITICAL].topic_arn,
            metrics=[
                result("refused", "unchecked"),
                Metric(namespace=METRICS_NAMESPACE, name=_AUTH_UNAVAILABLE, statistic="Sum").query("unchecked"),
            ],
            comparison="GreaterThanThreshold",
            threshold=0,
            periods=5,
            datapoints=3,
        )

    def _dead_letters(self) -> cloudwatch.CfnAlarm:
        """A message that nobody could work off: an import stands still, or a model has no verdict."""
        waiting = {
            f"m{position}": dead_letters(self.settings, queue) for position, queue in enumerate(queues(self.settings))
        }
        return topic_alarm(
            self,
            "DeadLetters",
            name=self.settings.name("dead_letters"),
            description=f"warning: messages were given up in {self._region}; see docs/monitoring_architecture.md",
            topic=self.topics[Severity.WARNING].topic_arn,
            metrics=[
                result("dead_letters", f"SUM([{', '.join(f'FILL({key}, 0)' for key in waiting)}])"),
                *(metric.query(key) for key, metric in waiting.items()),
            ],
            comparison="GreaterThanThreshold",
            threshold=0,
            periods=1,
        )

    def _keys_behind(self) -> cloudwatch.CfnAlarm:
        """Wrapped keys stay under an earlier version: it cannot be retired. A rotation takes a few hours at most."""
        behind = Metric(
            namespace=METRICS_NAMESPACE,
            name=KEYS_BEHIND_METRIC,
            statistic="Maximum",
            dimensions={ENVIRONMENT_DIMENSION: self.settings.environment},
        )
        return topic_alarm(
            self,
            "KeysBehind",
            name=self.settings.name("wrapped_keys_behind"),
            description=f"warning: data keys in {self._region} have stayed under an earlier version of the"
            " wrapping key for a day; docs/monitoring_architecture.md says what to do",
            topic=self.topics[Severity.WARNING].topic_arn,
            metrics=[result("keys", "behind"), behind.query("behind", seconds=_BEHIND_SECONDS)],
            comparison="GreaterThanThreshold",
            threshold=0,
            periods=_BEHIND_PERIODS,
        )

    def _dashboard(self, region: Region) -> None:
        others = (self.auth_alarm, self.dead_letters_alarm, self.keys_behind_alarm)
        arns = [alarm.attr_arn for alarm in (*self.alarms.values(), *others)]
        body = dashboard(self._service, self.settings, region, alarm_arns=arns)
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            # An account has one dashboard of a name, whichever region it is made in.
            dashboard_name=self.settings.name(region),
            dashboard_body=self.to_json_string(body),
        )
