"""Backups of a region's state, their copies and trials, and the workflow by which it takes another region's place."""

from collections.abc import Mapping

from aws_cdk import CfnOutput, RemovalPolicy
from aws_cdk import aws_backup as backup
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.backup_plan import BackupPlan
from constructs.job_alert import JobAlert
from constructs.location import bucket_arn, here
from constructs.restore_test import RestoreTest
from constructs.statements import ANYBODY, Statement, document
from constructs.workflow import Workflow

from stacks.architecture import ConfigurationBackup, DatabaseBackup, Severity, VectorBackup
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.physical_names import class_tables, state_tables
from stacks.recovery_access import of_workflow
from stacks.recovery_dial import AcceleratorArns, dial_in
from stacks.recovery_workflow import RecoveryWorkflow
from stacks.storage import StorageStack, backup_role, recovery_role
from stacks.takeover import Takeover
from stacks.telemetry import topic_name
from stacks.units import Region
from stacks.vault import VaultStack

_POLICIES = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
)
"""S3 has two of its own: without them its jobs fail."""
Plan = DatabaseBackup | VectorBackup | ConfigurationBackup


class RecoveryStack(AnflStack):
    """A vault and the architecture's three plans, each with copies in the region's guardian.

    Databases are the tables. Vectors are the buckets, which AWS Backup copies incrementally, and the tables of the
    engine ``dynamodb``, which it copies whole; DynamoDB itself keeps those by increments. Configuration is what
    operators and callers have set and no deployment brings back: collections and aliases, models and their aliases,
    public keys, which stand in tables, copied in full each time; and who may do what, with the keys, which Vault holds:
    its own snapshots are full, each an object of its own.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        storage: StorageStack,
        vault: VaultStack | None,
        key_arn: str,
        accelerator: AcceleratorArns | None,
    ) -> None:
        """:param key_arn: the data key in ``region``. :param accelerator: None where the environment has none.

        :param vault: None where somebody else runs it, and backs it up.
        """
        name = settings.name(region, "recovery")
        super().__init__(
            scope, name, settings=settings, region=region, description="backups, recovery of another region"
        )
        self._key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        self._guardian = settings.guardian(region)
        self._vault = self._backup_vault(key_arn)
        self._role = self._backup_role()
        tables, classes = (
            [here(self).arn("dynamodb", f"table/{name}") for name in names(settings).values()]
            for names in (state_tables, class_tables)
        )
        buckets = [storage.vectors.bucket_arn, storage.artifacts.bucket_arn]
        plans = settings.backup
        self._plan("databases", plans.databases, tables)
        self._plan("vectors", plans.vectors, [*buckets, *classes])
        snapshots = [bucket_arn(vault.snapshots.fixed_name)] if vault else []
        # At another hour than the databases': one job at a time works on a table.
        self._plan("configuration", plans.configuration, [*tables, *snapshots], hour=5)
        self._restore_test({"DynamoDB": [*tables, *classes], "S3": buckets})
        topic = here(self).arn("sns", topic_name(settings, Severity.CRITICAL))
        JobAlert(self, "Jobs", topic_arn=topic, severity=Severity.CRITICAL)
        ward = settings.ward(region)
        if ward is not None:
            self._workflow(region, ward, accelerator)

    def _backup_vault(self, key_arn: str) -> backup.CfnBackupVault:
        keep = document(
            [
                Statement(
                    sid="RecoveryPointsExpireAndAreNotDeleted",
                    effect="Deny",
                    principal=ANYBODY,
                    actions=["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"],
                    resources=["*"],
                )
            ]
        )
        vault = backup.CfnBackupVault(
            self,
            "Vault",
            backup_vault_name=self.settings.name("recovery"),
            encryption_key_arn=key_arn,
            access_policy=keep if self.retain else None,
        )
        vault.apply_removal_policy(RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY)
        return vault

    def _backup_role(self) -> iam.Role:
        return iam.Role(
            self,
            "BackupRole",
            role_name=backup_role(self.settings, here(self).region),
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(policy) for policy in _POLICIES],
        )

    def _plan(self, name: str, plan: Plan, resource_arns: list[str], *, hour: int = 3) -> None:
        copies = None
        if self._guardian is not None:
            # By name: regions do not depend on one another. Copies fail until the other vault is there.
            vault = self.settings.name("recovery")
            copies = here(self).arn("backup", f"backup-vault:{vault}", region=self._guardian)
        BackupPlan(
            self,
            name.capitalize(),
            name=self.settings.name(name),
            vault_name=self._vault.ref,
            role_arn=self._role.role_arn,
            frequency=plan.frequency,
            retention=plan.retention,
            resource_arns=resource_arns,
            copy_to=copies,
            hour=hour,
        )

    def _restore_test(self, resource_arns: Mapping[str, list[str]]) -> None:
        trial = self.settings.deployment.restore_test
        if trial is not None:
            RestoreTest(
                self,
                "RestoreTest",
                name=self.settings.name("restores"),
                vault_arn=self._vault.attr_backup_vault_arn,
                role_arn=self._role.role_arn,
                schedule=f"cron({trial.cron})",
                selection_days=trial.backups_within.days,
                keep_hours=int(trial.keep.total_seconds()) // 3600,
                resource_arns=resource_arns,
            )

    def _workflow(self, region: Region, ward: Region, accelerator: AcceleratorArns | None) -> None:
        dial = dial_in(self, ward=ward, arns=accelerator, key=self._key) if accelerator else None
        takeover = Takeover(
            stack=self,
            settings=self.settings,
            region=region,
            ward=ward,
            vault=self.settings.name("recovery"),
            dial_arn=dial.function_arn if dial else None,
        )
        made = Workflow(
            self,
            "Recovery",
            name=self.settings.name("recover", ward),
            definition=RecoveryWorkflow(takeover).definition(),
            statements=of_workflow(takeover, self._key.key_arn),
            log_group=self.log_group("RecoveryLogs", self._key),
            role_name=recovery_role(self.settings, region),
        )
        CfnOutput(self, "RecoveryWorkflowArn", value=made.resource.ref, description=f"Start it when {ward} is lost")
