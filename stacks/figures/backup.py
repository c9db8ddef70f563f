"""What realises ``backup``."""

import re
from collections.abc import Iterator

from stacks.figures.inspection import Inspection, Rules, equals
from stacks.figures.templates import Resource
from stacks.models import Settings
from stacks.units import Region

_SCHEDULES = {
    "hourly": re.compile(r"cron\(\d+ \* \* \* \? \*\)"),
    "daily": re.compile(r"cron\(\d+ \d+ \* \* \? \*\)"),
}
_RULE = "BackupPlan.BackupPlanRule.0"


def _plans(look: Inspection) -> Iterator[Resource]:
    wanted = look.name(_member(look))
    for region in look.settings.regions:
        stack = look.name(region, "recovery")
        plans = look.templates.of("AWS::Backup::BackupPlan", stack=stack)
        found = [plan for plan in plans if plan.get("BackupPlan.BackupPlanName") == wanted]
        if not found:
            look.miss(stack, f"AWS::Backup::BackupPlan {wanted}")
        yield from found


def _caches(look: Inspection) -> Iterator[Resource]:
    """Databases that back themselves up: AWS Backup does not know ElastiCache."""
    if _member(look) == "databases" and look.settings.deployment.cache:
        yield from look.in_every_region("storage", "AWS::ElastiCache::ReplicationGroup")


def _member(look: Inspection) -> str:
    return look.figure.path.split(".")[1]


def _retention_days(settings: Settings, member: str) -> int:
    plans = settings.backup
    return {
        "databases": plans.databases.retention,
        "vectors": plans.vectors.retention,
        "configuration": plans.configuration.retention,
    }[member].days


def _frequency(look: Inspection) -> None:
    schedule = _SCHEDULES[str(look.figure.value)]
    for plan in _plans(look):
        look.show(plan, f"{_RULE}.ScheduleExpression", lambda value: bool(schedule.fullmatch(str(value))))
    for cache in _caches(look):  # once a day, and not otherwise
        look.show(cache, "SnapshotWindow", lambda value: bool(value) and look.figure.value == "daily")


def _retention(look: Inspection) -> None:
    days = _retention_days(look.settings, _member(look))
    for plan in _plans(look):
        look.show(plan, f"{_RULE}.Lifecycle.DeleteAfterDays", equals(days))
        guardian = look.settings.guardian(Region(plan.region))
        if guardian is not None:
            copy = f"{_RULE}.CopyActions.0"
            look.show(plan, f"{copy}.Lifecycle.DeleteAfterDays", equals(days))
            vault = plan.get(f"{copy}.DestinationBackupVaultArn")
            look.note(plan, f"{copy}.DestinationBackupVaultArn", vault, agrees=f":{guardian}:" in str(vault))
    for cache in _caches(look):
        look.show(cache, "SnapshotRetentionLimit", equals(days))
    if _member(look) == "databases":
        for table in look.in_stack(look.name("global", "data"), "AWS::DynamoDB::GlobalTable"):
            for replica in range(len(table.get("Replicas"))):
                kept = f"Replicas.{replica}.PointInTimeRecoverySpecification.RecoveryPeriodInDays"
                look.show(table, kept, equals(days))


def _type(look: Inspection) -> None:
    """AWS Backup decides by what is selected: a backup of a table is always full, one of a bucket incremental.

    Of the buckets, Vault's holds snapshots that are full by themselves.
    """
    for plan in _plans(look):
        stores = {
            "snapshot": (f"arn:aws:dynamodb:{plan.region}:",),
            "full": (f"arn:aws:dynamodb:{plan.region}:", f":s3:::{look.name('vault-snapshots')}-"),
            "incremental": (f"{look.name(plan.region, 'storage')}:ExportsOutput",),
        }
        origins = stores[str(look.figure.value)]
        found = look.templates.referring(plan, "BackupPlanId", "AWS::Backup::BackupSelection")
        for selection in found:
            selected = selection.get("BackupSelection.Resources") or []
            agrees = bool(selected) and all(any(origin in str(arn) for origin in origins) for arn in selected)
            look.note(selection, "BackupSelection.Resources", selected, agrees=agrees)
        if not found:
            look.miss(plan.stack, f"AWS::Backup::BackupSelection of {plan.id}")


RULES: Rules = {
    **{
        f"backup.{member}.{leaf}": rule
        for member in ("databases", "vectors", "configuration")
        for leaf, rule in (("frequency", _frequency), ("retention", _retention))
    },
    "backup.databases.type": _type,
    "backup.vectors.type": _type,
    "backup.configuration.type": _type,
}
