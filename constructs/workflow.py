"""A Step Functions state machine under a role of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct
from constructs.location import here
from constructs.statements import Statement, attach


class Workflow(Construct):
    """Standard workflow that logs every transition, but not the data that goes through it, and is traced."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        definition: Mapping[str, Any],
        statements: Sequence[Statement],
        log_group: logs.ILogGroup,
        role_name: str | None = None,
    ) -> None:
        """:param definition: in Amazon States Language. :param statements: everything that its states may do."""
        super().__init__(scope, id)
        stack = Stack.of(self)
        principal = iam.ServicePrincipal(
            "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": here(self).account}}
        )
        role = iam.Role(self, "Role", assumed_by=principal, role_name=role_name)
        attach(role, (*_observability(), *statements))
        self.resource = stepfunctions.CfnStateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            state_machine_type="STANDARD",
            role_arn=role.role_arn,
            definition_string=stack.to_json_string(dict(definition)),
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=False,
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log_group.log_group_arn
                        )
                    )
                ],
            ),
            tracing_configuration=stepfunctions.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        )
        # Its logging and tracing are checked when it is made.
        self.resource.node.add_dependency(role)


def _observability() -> list[Statement]:
    """Log deliveries and traces, which AWS scopes to no resource."""
    return [
        Statement(
            sid="DeliverLogs",
            actions=[
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            resources=["*"],
        ),
        Statement(
            sid="Trace",
            actions=[
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            resources=["*"],
        ),
    ]
