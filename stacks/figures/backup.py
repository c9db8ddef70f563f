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
_WINDOW = re.compile(r"\d\d:\d\d-\d\d:\d\d")
"""When ElastiCache takes the snapshot of the day."""


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


def _rules(plan: Resource) -> Iterator[str]:
    """Where each rule of a plan stands: what any of them says counts."""
    for position in range(max(1, len(plan.get("BackupPlan.BackupPlanRule") or []))):
        yield f"BackupPlan.BackupPlanRule.{position}"


def _frequency(look: Inspection) -> None:
    schedule = _SCHEDULES[str(look.figure.value)]
    for plan in _plans(look):
        for rule in _rules(plan):
            look.show(plan, f"{rule}.ScheduleExpression", lambda value: bool(schedule.fullmatch(str(value))))
    daily = look.figure.value == "daily"
    for cache in _caches(look):  # once a day, and not otherwise
        look.show(cache, "SnapshotWindow", lambda value: daily and bool(_WINDOW.fullmatch(str(value))))


def _retention(look: Inspection) -> None:
    days = _retention_days(look.settings, _member(look))
    for plan in _plans(look):
        guardian = look.settings.guardian(Region(plan.region))
        for rule in _rules(plan):
            look.show(plan, f"{rule}.Lifecycle.DeleteAfterDays", equals(days))
            if guardian is not None:
                copy = f"{rule}.CopyActions.0"
                look.show(plan, f"{copy}.Lifecycle.DeleteAfterDays", equals(days))
                vault = plan.get(f"{copy}.DestinationBackupVaultArn")
                look.note(plan, f"{copy}.DestinationBackupVaultArn", vault, agrees=f":{guardian}:" in str(vault))
    for cache in _caches(look):
        look.show(cache, "SnapshotRetentionLimit", equals(days))
    if _member(look) != "configuration":
        for table in _tables(look, of_vectors=_member(look) == "vectors"):
            for replica in range(len(table.get("Replicas"))):
                kept = f"Replicas.{replica}.PointInTimeRecoverySpecification.RecoveryPeriodInDays"
                look.show(table, kept, equals(days))


def _tables(look: Inspection, *, of_vectors: bool) -> Iterator[Resource]:
    """The global tables; those of the engine ``dynamodb`` are vectors, with an index of them."""
    for table in look.in_stack(look.name("global", "data"), "AWS::DynamoDB::GlobalTable"):
        if bool(table.get("VectorIndexes")) is of_vectors:
            yield table


def _type(look: Inspection) -> None:
    """AWS Backup decides by what is selected: a backup of a table is always full, one of a bucket incremental.

    Of the buckets, Vault's holds snapshots that are full by themselves. Of the tables, those of vectors are kept by
    increments too: DynamoDB's own, for each moment of the retention.
    """
    for plan in _plans(look):
        wanted = _origins(look, plan.region)
        found = look.templates.referring(plan, "BackupPlanId", "AWS::Backup::BackupSelection")
        for selection in found:
            selected = [str(arn) for arn in selection.get("BackupSelection.Resources") or []]
            every = all(any(origin in arn for arn in selected) for origin in wanted)
            agrees = every and len(selected) == len(wanted)
            look.note(selection, "BackupSelection.Resources", selection.get("BackupSelection.Resources"), agrees=agrees)
        if not found:
            look.miss(plan.stack, f"AWS::Backup::BackupSelection of {plan.id}")


def _origins(look: Inspection, region: str) -> list[str]:
    """What must be backed up in a region, and by this plan alone: a part of the ARN of each."""
    of_vectors = look.figure.value == "incremental"
    tables = [f":table/{table.get('TableName')}'" for table in _tables(look, of_vectors=of_vectors)]
    if look.figure.value == "snapshot":
        return tables
    if look.figure.value == "full":
        clusters = look.settings.deployment.vault.cluster is not None
        return tables + [f":s3:::{look.name('vault-snapshots')}-"] * clusters
    storage = look.name(region, "storage")
    buckets = look.in_stack(storage, "AWS::S3::Bucket")
    return [f"{storage}:ExportsOutputFnGetAtt{bucket.id}Arn" for bucket in buckets] + tables


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
