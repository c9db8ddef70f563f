"""Somebody takes a role that nobody takes on an ordinary day: whoever is on call hears of it at once."""

from aws_cdk import aws_events as events
from constructs import Construct
from constructs.alert_topic import AlertTopic
from constructs.location import here

_EVEN_READ_ONLY = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""STS calls taking a role a reading event; rules get none of these unless they say so."""


class RoleAlert(Construct):
    """Tells a topic of every attempt, granted or refused, as the account's CloudTrail records it in this region.

    Without a trail that records management events EventBridge hears nothing of them.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        role_name: str,
        topic: AlertTopic,
    ) -> None:
        """:param role_name: of a role of this account."""
        super().__init__(scope, id)
        role = here(self).arn("iam", f"role/{role_name}", region="")
        self.rule = events.CfnRule(
            self,
            "Taken",
            description=f"Somebody takes the role {role_name}",
            state=_EVEN_READ_ONLY,
            event_pattern={
                "source": ["aws.sts"],
                "detail-type": ["AWS API Call via CloudTrail"],
                "detail": {
                    "eventSource": ["sts.amazonaws.com"],
                    "eventName": ["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"],
                    # Of what was refused CloudTrail records no parameters; its message ends with the role.
                    "$or": [
                        {"requestParameters": {"roleArn": [role]}},
                        {"errorMessage": [{"wildcard": f"* on resource: {role}*"}]},
                    ],
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="topic",
                    arn=topic.topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "who": "$.detail.userIdentity.arn",
                            "from": "$.detail.sourceIPAddress",
                            "when": "$.detail.eventTime",
                            "region": "$.detail.awsRegion",
                            "event": "$.detail.eventID",
                        },
                        input_template=(
                            f'"critical: <who> takes the role {role_name} from <from>, <when>, <region>. '
                            'CloudTrail event <event>"'
                        ),
                    ),
                )
            ],
        )
