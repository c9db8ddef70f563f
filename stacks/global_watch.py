"""A region seen from another one: does it answer, and is it drained? An alarm inside it would die with it."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct, grants
from constructs.location import here
from constructs.python_function import PythonFunction
from constructs.schedule import call_every
from constructs.statements import Statement

from anfl.resources import (
    ANSWERS_METRIC,
    DRAINED_METRIC,
    ENVIRONMENT_DIMENSION,
    METRICS_NAMESPACE,
    REGION_DIMENSION,
    Caretaker,
    Variable,
)
from stacks.architecture import Severity
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.physical_names import drain_parameter
from stacks.telemetry import topic_name
from stacks.units import Region

_PERIOD_SECONDS = 60


class GlobalWatch(AnflStack):
    """Stands in the guardian of the region that it watches, and before that region: its alarms must exist for Route 53.

    Who drains the region sets the parameter; the watch says so each minute, for as long as it stands there.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, watched: Region, guardian: Region, host: str, key_arn: str
    ) -> None:
        """:param host: under which the watched region's API answers. :param key_arn: the data key in ``guardian``."""
        name = settings.name("global", "watch", watched)
        super().__init__(scope, name, settings=settings, region=guardian, description=f"watch over {watched}")
        self._watched = watched
        parameter = ssm.CfnParameter(
            self,
            "DrainedFlag",
            name=drain_parameter(settings, watched),
            type="String",
            value="false",
            allowed_pattern="^(true|false)$",
            description=f"true: nobody is sent to {watched}",
        )
        # A look that is late is worth nothing: the next one follows.
        call_every(
            self,
            "EveryMinute",
            self._function(host, parameter.ref, kms.Key.from_key_arn(self, "DataKey", key_arn)),
            minutes=1,
            target="watch",
            description=f"Looks at {watched}",
        )
        failures = settings.deployment.edge.failures
        self.answers_alarm = self._alarm(
            "answers",
            ANSWERS_METRIC,
            severity=Severity.CRITICAL,
            statistic="Minimum",
            comparison="LessThanThreshold",
            periods=failures,
        )
        self.drained_alarm = self._alarm(
            "drained",
            DRAINED_METRIC,
            severity=Severity.WARNING,
            statistic="Maximum",
            comparison="GreaterThanOrEqualToThreshold",
            periods=1,
        )

    def _function(self, host: str, parameter: str, key: kms.IKey) -> lambda_.Function:
        deployment = self.settings.deployment
        return PythonFunction(
            self,
            "Watch",
            function=Caretaker.WATCH,
            name=self.settings.name(Caretaker.WATCH),
            size=deployment.functions.watch,
            environment={
                Variable.ENVIRONMENT: self.settings.environment,
                Variable.WATCHED_REGION: self._watched,
                Variable.WATCHED_HOST: host,
                Variable.DRAINED_PARAMETER: parameter,
            },
            statements=[self._read(), *grants.publish_metrics(METRICS_NAMESPACE)],
            log_group=self.log_group("WatchLogs", key),
        )

    def _read(self) -> Statement:
        name = drain_parameter(self.settings, self._watched).removeprefix("/")
        arn = here(self).arn("ssm", f"parameter/{name}")
        return Statement(sid="Drained", actions=["ssm:GetParameter"], resources=[arn])

    def _alarm(
        self, label: str, metric: str, *, severity: Severity, statistic: str, comparison: str, periods: int
    ) -> str:
        """Name of an alarm that Route 53 can follow."""
        # By name: the watch stands before the region whose topic it rings.
        topic = here(self).arn("sns", topic_name(self.settings, severity))
        alarm = cloudwatch.CfnAlarm(
            self,
            f"{label.capitalize()}Alarm",
            alarm_name=self.settings.name(label, self._watched),
            alarm_description=f"{severity}: Route 53 sends nobody to {self._watched} while this is in alarm",
            namespace=METRICS_NAMESPACE,
            metric_name=metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=ENVIRONMENT_DIMENSION, value=self.settings.environment),
                cloudwatch.CfnAlarm.DimensionProperty(name=REGION_DIMENSION, value=self._watched),
            ],
            statistic=statistic,
            period=_PERIOD_SECONDS,
            threshold=1,
            comparison_operator=comparison,
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            treat_missing_data="missing",
            alarm_actions=[topic],
            ok_actions=[topic],
            insufficient_data_actions=[topic],
        )
        return str(alarm.alarm_name)
