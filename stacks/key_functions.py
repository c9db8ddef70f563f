"""What the functions that distribute wrapping keys have in common: table and key, schedule, alarms."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import grants
from constructs.metrics import Metric, result
from constructs.python_function import PythonFunction
from constructs.schedule import call_every
from constructs.statements import Statement

from anfl.crypto.material import PURPOSE, PURPOSE_VALUE
from anfl.resources import AUTH, ENVIRONMENT_DIMENSION, METRICS_NAMESPACE, PENDING_METRIC, Caretaker, Variable
from stacks.architecture import FunctionSize
from stacks.base import AnflStack
from stacks.caretaking import failing_alarm, warning_alarm

RESOURCE = "Custom::WrappingKey"
MINUTES = 5
"""Between two runs."""
_PENDING_HOURS = 24
"""A version that has been under way for so long waits for a region that needs somebody."""
_FAILING_SECONDS = 600


def key_function(
    stack: AnflStack,
    *,
    function: Caretaker,
    size: FunctionSize,
    environment: Mapping[Variable, str],
    key_action: str,
    partitions: Mapping[str, Sequence[str]],
    wrapping_arn: str,
    key_arn: str,
    vpc: ec2.IVpc | None = None,
    group: ec2.ISecurityGroup | None = None,
) -> PythonFunction:
    """``function``, which a schedule calls.

    :param key_action: what it does with the wrapping key (``wrapping_arn``). :param key_arn: the data key.
    :param partitions: of the auth table, with the actions on their items.
    """
    settings = stack.settings
    made = PythonFunction(
        stack,
        "Function",
        function=function,
        name=settings.name(function),
        size=size,
        environment={
            Variable.ENVIRONMENT: settings.environment,
            Variable.AUTH_TABLE: settings.name(AUTH.name),
            Variable.WRAPPING_KEY_ARN: wrapping_arn,
            **environment,
        },
        statements=[
            Statement(
                sid="WrappingKey",
                actions=[key_action],
                resources=[wrapping_arn],
                conditions={"StringEquals": {f"kms:EncryptionContext:{PURPOSE}": PURPOSE_VALUE}},
            ),
            *grants.partitions(stack, settings.name(AUTH.name), partitions),
            *grants.data_key(stack, key_arn, ["dynamodb"]),
        ],
        log_group=stack.log_group("FunctionLogs", kms.Key.from_key_arn(stack, "DataKey", key_arn)),
        vpc=vpc,
        security_group=group,
    )
    call_every(
        stack,
        "EveryFewMinutes",
        made,
        minutes=MINUTES,
        target=function,
        description="Distribution of wrapping keys",
        event={"operation": "run"},
    )
    return made


def failing(stack: AnflStack, function_name: Caretaker) -> cloudwatch.CfnAlarm:
    """No run of the distribution came to a good end for half an hour."""
    return failing_alarm(
        stack,
        function_name,
        description="no run of the distribution of wrapping keys succeeds here",
        seconds=_FAILING_SECONDS,
    )


def pending_alarm(stack: AnflStack) -> cloudwatch.CfnAlarm:
    """A version does not become active: some region has not acknowledged it."""
    pending = Metric(
        namespace=METRICS_NAMESPACE,
        name=PENDING_METRIC,
        statistic="Maximum",
        dimensions={ENVIRONMENT_DIMENSION: stack.settings.environment},
    )
    return warning_alarm(
        stack,
        "Pending",
        name="wrapping_key_pending",
        description=f"a version of the wrapping key has waited for a region for {_PENDING_HOURS} h: anfl keys status",
        metrics=[
            result("hours", "pending"),
            pending.query("pending", seconds=60 * MINUTES),
        ],
        comparison="GreaterThanThreshold",
        threshold=_PENDING_HOURS,
        periods=1,
        missing="notBreaching",
    )
