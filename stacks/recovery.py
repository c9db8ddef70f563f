"""Backups of a region's state."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_backup as backup
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.backup_plan import BackupPlan

from anfl.resources import TABLES
from stacks.base import AnflStack
from stacks.models import ConfigurationBackup, DatabaseBackup, Settings, VectorBackup
from stacks.storage import StorageStack
from stacks.units import Region

_POLICIES = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
)
"""S3 has two of its own: without them its jobs fail."""


class RecoveryStack(AnflStack):
    """A vault, and the three plans of the architecture.

    Databases are the tables, vectors the vectors bucket, configuration the artefacts bucket: what the services are
    told to serve.
    """

    def __init__(
        self, scope: Construct, *, settings: Settings, region: Region, storage: StorageStack, key_arn: str
    ) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "recovery")
        super().__init__(scope, name, settings=settings, region=region, description="backups")
        self._vault = self._backup_vault(key_arn)
        self._role = iam.Role(
            self,
            "BackupRole",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(policy) for policy in _POLICIES],
        )
        tables = [
            self.format_arn(service="dynamodb", resource="table", resource_name=settings.name(table.name))
            for table in TABLES
        ]
        plans = settings.backup
        self._plan("databases", plans.databases, tables)
        self._plan("vectors", plans.vectors, [storage.vectors.bucket_arn])
        self._plan("configuration", plans.configuration, [storage.artifacts.bucket_arn])

    def _backup_vault(self, key_arn: str) -> backup.CfnBackupVault:
        keep = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    sid="RecoveryPointsExpireAndAreNotDeleted",
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
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

    def _plan(
        self, name: str, plan: DatabaseBackup | VectorBackup | ConfigurationBackup, resource_arns: list[str]
    ) -> None:
        BackupPlan(
            self,
            name.capitalize(),
            name=self.settings.name(name),
            vault_name=self._vault.ref,
            role_arn=self._role.role_arn,
            frequency=plan.frequency,
            retention=plan.retention,
            resource_arns=resource_arns,
        )
