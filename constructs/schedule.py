"""A function that a schedule calls."""

import json
from collections.abc import Mapping

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct


def call_every(
    scope: Construct,
    id: str,  # noqa: A002 - as every construct names it
    function: lambda_.Function,
    *,
    minutes: int,
    target: str,
    description: str,
    event: Mapping[str, str] | None = None,
) -> events.CfnRule:
    """Call ``function`` once every ``minutes``; a call that is late or fails is not repeated: the next one follows.

    :param target: id of the rule's target. :param event: what it is given instead of EventBridge's own event.
    """
    rule = events.CfnRule(
        scope,
        id,
        description=description,
        schedule_expression=f"rate({minutes} minute{'s' if minutes > 1 else ''})",
        targets=[
            events.CfnRule.TargetProperty(
                id=target,
                arn=function.function_arn,
                input=None if event is None else json.dumps(event),
                retry_policy=events.CfnRule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=60, maximum_retry_attempts=0
                ),
            )
        ],
    )
    lambda_.CfnEventInvokeConfig(
        scope, "OneAttempt", function_name=function.function_name, qualifier="$LATEST", maximum_retry_attempts=0
    )
    lambda_.CfnPermission(
        scope,
        "MayBeCalled",
        action="lambda:InvokeFunction",
        function_name=function.function_arn,
        principal="events.amazonaws.com",
        source_arn=rule.attr_arn,
    )
    return rule
