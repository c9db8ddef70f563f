"""One backup plan with one rule, over resources that are named."""

from collections.abc import Sequence
from datetime import timedelta

from aws_cdk import aws_backup as backup
from constructs import Construct

_SCHEDULES = {"hourly": "cron(0 * * * ? *)", "daily": "cron(0 {hour} * * ? *)"}
_START_WINDOW = 60
"""Minutes: the least that AWS Backup takes."""
_COMPLETION_WINDOW = {"hourly": 120, "daily": 720}
"""Minutes from the scheduled time."""


class BackupPlan(Construct):
    """Plan and selection."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        vault_name: str,
        role_arn: str,
        frequency: str,
        retention: timedelta,
        resource_arns: Sequence[str],
        copy_to: str | None = None,
        hour: int = 3,
    ) -> None:
        """:param frequency: ``hourly`` or ``daily``, at UTC.

        :param resource_arns: at least one; a selection of none would back up nothing, silently.
        :param hour: of a daily one.
        :param copy_to: ARN of a vault, usually in another region, that keeps a copy as long as the original is kept.
        """
        super().__init__(scope, id)
        if not resource_arns:
            raise ValueError(f"{name}: a backup plan needs at least one resource")
        plan = backup.CfnBackupPlan
        lifecycle = plan.LifecycleResourceTypeProperty(delete_after_days=retention.days)
        copies = [
            plan.CopyActionResourceTypeProperty(destination_backup_vault_arn=arn, lifecycle=lifecycle)
            for arn in ([copy_to] if copy_to else [])
        ]
        rule = plan.BackupRuleResourceTypeProperty(
            rule_name=f"{name}-{frequency}",
            target_backup_vault=vault_name,
            schedule_expression=_SCHEDULES[frequency].format(hour=hour),
            schedule_expression_timezone="Etc/UTC",
            start_window_minutes=_START_WINDOW,
            completion_window_minutes=_COMPLETION_WINDOW[frequency],
            lifecycle=lifecycle,
            copy_actions=copies or None,
        )
        self.plan = plan(
            self,
            "Plan",
            backup_plan=plan.BackupPlanResourceTypeProperty(backup_plan_name=name, backup_plan_rule=[rule]),
        )
        backup.CfnBackupSelection(
            self,
            "Selection",
            backup_plan_id=self.plan.ref,
            backup_selection=backup.CfnBackupSelection.BackupSelectionResourceTypeProperty(
                selection_name=name, iam_role_arn=role_arn, resources=list(resource_arns)
            ),
        )
