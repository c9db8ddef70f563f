"""An Amazon Managed Prometheus workspace with its rules and its Alertmanager."""

from aws_cdk import aws_aps as aps
from aws_cdk import aws_logs as logs
from constructs import Construct


class PrometheusWorkspace(Construct):
    """Workspace under the data key; what its Alertmanager and rules have to say for themselves goes to a log group."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        key_arn: str,
        rule_groups: str,
        alert_manager: str,
        log_group: logs.ILogGroup,
    ) -> None:
        """:param rule_groups: as YAML. :param alert_manager: Alertmanager's definition, as YAML."""
        super().__init__(scope, id)
        workspace = aps.CfnWorkspace(
            self,
            "Workspace",
            alias=name,
            kms_key_arn=key_arn,
            alert_manager_definition=alert_manager,
            logging_configuration=aps.CfnWorkspace.LoggingConfigurationProperty(log_group_arn=log_group.log_group_arn),
        )
        self.arn: str = workspace.attr_arn
        self.remote_write_url = f"{workspace.attr_prometheus_endpoint}api/v1/remote_write"
        self.rules = aps.CfnRuleGroupsNamespace(
            self, "Rules", name=name, workspace=workspace.attr_arn, data=rule_groups
        )
