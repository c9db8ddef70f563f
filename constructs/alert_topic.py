"""A topic that alarms ring."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct
from constructs.key_policy import EVENTS
from constructs.location import here
from constructs.statements import Statement, services


class AlertTopic(sns.Topic):
    """Under the data key, reached over TLS alone; only ``publishers`` for this account, and EventBridge, may publish.

    The key's policy must admit them as well (`constructs.key_policy`): else their messages are dropped silently.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        key: kms.IKey,
        publishers: Sequence[str],
    ) -> None:
        """:param publishers: service principals that say for whom they publish, which EventBridge does not."""
        super().__init__(scope, id, topic_name=name, master_key=key, enforce_ssl=True)
        self.add_to_resource_policy(
            Statement(
                sid="NotifiersOfThisAccount",
                principal=services(*publishers),
                # Alertmanager asks for the attributes before it publishes.
                actions=["sns:GetTopicAttributes", "sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": here(self).account}},
            ).as_cdk()
        )
        # EventBridge User Guide, "Using resource-based policies", on SNS: this statement must have no condition. With
        # one the rule counts as run, and the message is lost. A rule may name topics of its own account alone.
        self.add_to_resource_policy(
            Statement(
                sid="Events", principal=services(EVENTS), actions=["sns:Publish"], resources=[self.topic_arn]
            ).as_cdk()
        )
