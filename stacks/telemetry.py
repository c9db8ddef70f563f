"""Where measurements go and alerts come from: topics, Prometheus with its rules, Grafana."""

from aws_cdk import CfnOutput
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.alert_topic import AlertTopic
from constructs.grafana_workspace import GrafanaWorkspace
from constructs.key_policy import NOTIFIERS
from constructs.prometheus_workspace import PrometheusWorkspace
from constructs.role_alert import RoleAlert

from stacks.alert_rules import alert_manager, rule_groups
from stacks.architecture import Severity
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.units import Region
from stacks.vault_access import BREAK_GLASS


def topic_name(settings: Settings, severity: Severity) -> str:
    """Of the topic of a severity, in each region."""
    return settings.name("alerts", severity)


class TelemetryStack(AnflStack):
    """One region's. The services' collectors write to its Prometheus; every alarm rings one of its topics."""

    def __init__(self, scope: Construct, *, settings: Settings, region: Region, key_arn: str) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "telemetry")
        super().__init__(scope, name, settings=settings, region=region, description="alert topics, Prometheus, Grafana")
        key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self.topics = {severity: self._topic(severity, key) for severity in Severity}
        self.prometheus = PrometheusWorkspace(
            self,
            "Prometheus",
            name=settings.name("metrics"),
            key_arn=key_arn,
            rule_groups=rule_groups(settings.alerts),
            alert_manager=alert_manager(region, {severity: topic.topic_arn for severity, topic in self.topics.items()}),
            log_group=self.log_group("PrometheusLogs", key),
        )
        if region in settings.deployment.grafana_regions:
            self._grafana()
        if settings.deployment.people:
            RoleAlert(self, "BreakGlass", role_name=settings.name(BREAK_GLASS), topic=self.topics[Severity.CRITICAL])

    def _topic(self, severity: Severity, key: kms.IKey) -> AlertTopic:
        topic = AlertTopic(
            self,
            f"{severity.capitalize()}Alerts",
            name=topic_name(self.settings, severity),
            key=key,
            publishers=NOTIFIERS,
        )
        CfnOutput(
            self,
            f"{severity.capitalize()}AlertTopicArn",
            value=topic.topic_arn,
            description=f"Subscribe whoever must hear of {severity} alerts",
        )
        return topic

    def _grafana(self) -> None:
        settings = self.settings
        workspace = GrafanaWorkspace(
            self, "Grafana", name=settings.name("grafana"), regions=settings.regions, tags=settings.tags
        )
        CfnOutput(self, "GrafanaUrl", value=f"https://{workspace.resource.attr_endpoint}")
