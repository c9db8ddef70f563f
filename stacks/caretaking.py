"""What functions that look after the system have in common: a run at deployments, and alarms."""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs.location import here
from constructs.metrics import Metric, result
from constructs.python_function import PythonFunction
from constructs.topic_alarm import topic_alarm

from anfl.resources import Caretaker
from bundling.functions import bundle_for
from stacks.architecture import Severity
from stacks.base import AnflStack
from stacks.telemetry import topic_name

_FAILING_PERIODS = 3


def run_at_deployment(
    stack: AnflStack, function: PythonFunction, *, caretaker: Caretaker, kind: str, seconds: int
) -> CustomResource:
    """Call ``function`` when its code is another than before; what it says makes or breaks the deployment.

    :param kind: what the resource is called, ``Custom::…``. :param seconds: the function's time-out.
    """
    resource = CustomResource(
        stack,
        "Run",
        resource_type=kind,
        service_token=function.function_arn,
        service_timeout=Duration.seconds(seconds),
        properties={"Version": bundle_for(caretaker).content_hash},
    )
    resource.node.add_dependency(function)
    return resource


def failing_alarm(stack: AnflStack, function_name: Caretaker, *, description: str, seconds: int) -> cloudwatch.CfnAlarm:
    """No run came to a good end for three periods of ``seconds``, be it that all fail or that nobody begins one."""
    name = stack.settings.name(function_name)
    return warning_alarm(
        stack,
        "Failing",
        name=f"{function_name.replace('-', '_')}_failing",
        description=description,
        metrics=[
            result("succeeded", "FILL(invocations, 0) - FILL(errors, 0)"),
            *(
                Metric(
                    namespace="AWS/Lambda", name=key.capitalize(), statistic="Sum", dimensions={"FunctionName": name}
                ).query(key, seconds=seconds)
                for key in ("invocations", "errors")
            ),
        ],
        comparison="LessThanThreshold",
        threshold=1,
        periods=_FAILING_PERIODS,
        missing="breaching",
    )


def warning_alarm(
    stack: AnflStack,
    label: str,
    *,
    name: str,
    description: str,
    metrics: Sequence[cloudwatch.CfnAlarm.MetricDataQueryProperty],
    comparison: str,
    threshold: float,
    periods: int,
    missing: str,
) -> cloudwatch.CfnAlarm:
    """An alarm in the topic of warnings."""
    # By name: the function stands before its region's topics.
    topic = here(stack).arn("sns", topic_name(stack.settings, Severity.WARNING))
    return topic_alarm(
        stack,
        label,
        name=stack.settings.name(name),
        description=f"{Severity.WARNING}: {description}; docs/monitoring_architecture.md says what to do",
        topic=topic,
        metrics=metrics,
        comparison=comparison,
        threshold=threshold,
        periods=periods,
        missing=missing,
    )
