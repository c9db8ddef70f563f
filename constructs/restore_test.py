"""Backups that are restored on trial, by AWS Backup itself."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_backup as backup
from constructs import Construct

_WINDOW_HOURS = 8
"""Within which a trial starts."""


class RestoreTest(Construct):
    """A restore-testing plan: the newest backup of each resource is restored, kept for a while, and deleted again."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        vault_arn: str,
        role_arn: str,
        schedule: str,
        selection_days: int,
        keep_hours: int,
        resource_arns: Mapping[str, Sequence[str]],
    ) -> None:
        """:param name: dashes become underscores, of which alone AWS Backup approves here.

        :param schedule: a cron expression, UTC. :param selection_days: how old a backup may be that is tried.
        :param keep_hours: how long what was restored can be looked at.
        :param resource_arns: by AWS Backup's names of their types.
        """
        super().__init__(scope, id)
        plain = name.replace("-", "_")
        self.plan = backup.CfnRestoreTestingPlan(
            self,
            "Plan",
            restore_testing_plan_name=plain,
            schedule_expression=schedule,
            schedule_expression_timezone="Etc/UTC",
            start_window_hours=_WINDOW_HOURS,
            recovery_point_selection=backup.CfnRestoreTestingPlan.RestoreTestingRecoveryPointSelectionProperty(
                algorithm="LATEST_WITHIN_WINDOW",
                include_vaults=[vault_arn],
                recovery_point_types=["SNAPSHOT"],
                selection_window_days=selection_days,
            ),
        )
        for kind, arns in resource_arns.items():
            selection = backup.CfnRestoreTestingSelection(
                self,
                f"{kind}Selection",
                restore_testing_plan_name=plain,
                restore_testing_selection_name=f"{plain}_{kind}",
                protected_resource_type=kind,
                protected_resource_arns=list(arns),
                iam_role_arn=role_arn,
                validation_window_hours=keep_hours,
            )
            selection.add_resource_dependency(self.plan)
