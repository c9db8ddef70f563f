"""A backup, a copy or a restore that fails is heard of: AWS Backup itself would only list it."""

from aws_cdk import aws_events as events
from constructs import Construct

_ENDS_BADLY = ["ABORTED", "EXPIRED", "FAILED", "PARTIAL"]


class JobAlert(Construct):
    """Tells a topic of every job of AWS Backup in this region that ends badly, trials of restores included."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        topic_arn: str,
        severity: str,
    ) -> None:
        """:param topic_arn: of a topic to which EventBridge may publish."""
        super().__init__(scope, id)
        events.CfnRule(
            self,
            "Failed",
            description="A job of AWS Backup ended badly",
            event_pattern={
                "source": ["aws.backup"],
                "detail-type": ["Backup Job State Change", "Copy Job State Change", "Restore Job State Change"],
                # Restores call it status, the others state.
                "$or": [{"detail": {"state": _ENDS_BADLY}}, {"detail": {"status": _ENDS_BADLY}}],
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="topic",
                    arn=topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={
                            "what": "$.detail-type",
                            "which": "$.resources[0]",
                            "region": "$.region",
                            "why": "$.detail.statusMessage",
                        },
                        input_template=f'"{severity}: backup_failed in <region>: <what>, <which>: <why>"',
                    ),
                )
            ],
        )
