"""Buckets, tables, log groups, backup vaults: left where they hold anything."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from operations.cleanup.finding import Action, Finding, Scope
from operations.cloud import code_of

_GONE = frozenset({"NoSuchBucket", "404", "ResourceNotFoundException"})
_EMPTY = "its stack is gone or failed; it is empty, and its name blocks the next deployment"
Client = Any
"""A boto3 client."""


def buckets(scope: Scope) -> Iterator[Finding]:
    """Buckets of the region."""
    s3 = scope.cloud.client("s3", scope.region)
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if bucket["Name"].startswith(scope.prefix)]
    for name in names:
        place = s3.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1"
        if place == scope.region and scope.is_free(name):
            yield _store(scope, "bucket", name, partial(_objects, s3, name), partial(s3.delete_bucket, Bucket=name))


def _objects(s3: Client, name: str) -> str | None:
    versions = s3.list_object_versions(Bucket=name, MaxKeys=1)
    if versions.get("Versions") or versions.get("DeleteMarkers"):
        return "it holds objects, or versions of them"
    if s3.list_multipart_uploads(Bucket=name, MaxUploads=1).get("Uploads"):
        return "something is being uploaded to it"
    return None


def tables(scope: Scope) -> Iterator[Finding]:
    """Tables of the region, replicas of global ones included."""
    dynamodb = scope.cloud.client("dynamodb", scope.region)

    def delete(name: str) -> None:
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
            dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)

    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if name.startswith(scope.prefix) and scope.is_free(name):
                yield _store(scope, "table", name, partial(_items, dynamodb, name), partial(delete, name))


def _items(dynamodb: Client, name: str) -> str | None:
    page = dynamodb.scan(TableName=name, Limit=1, ConsistentRead=True)
    return "it holds items" if page["Count"] or page.get("LastEvaluatedKey") else None


def log_groups(scope: Scope) -> Iterator[Finding]:
    """Log groups of the region, by the beginnings that stacks, WAF and Lambda give to their names."""
    logs = scope.cloud.client("logs", scope.region)
    for prefix in (scope.prefix, f"aws-waf-logs-{scope.prefix}", f"/aws/lambda/{scope.prefix}"):
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            for name in [group["logGroupName"] for group in page["logGroups"]]:
                if scope.is_free(name):
                    yield _store(
                        scope,
                        "log group",
                        name,
                        partial(_streams, logs, name),
                        partial(logs.delete_log_group, logGroupName=name),
                    )


def _streams(logs: Client, name: str) -> str | None:
    streams = logs.describe_log_streams(logGroupName=name, limit=1)["logStreams"]
    return "it holds logs, which expire by themselves" if streams else None


def backup_vaults(scope: Scope) -> Iterator[Finding]:
    """Vaults of AWS Backup in the region."""
    backup = scope.cloud.client("backup", scope.region)
    for page in backup.get_paginator("list_backup_vaults").paginate():
        for name in [vault["BackupVaultName"] for vault in page["BackupVaultList"]]:
            if name.startswith(scope.prefix) and scope.is_free(name):
                yield _store(
                    scope,
                    "backup vault",
                    name,
                    partial(_recovery_points, backup, name),
                    partial(backup.delete_backup_vault, BackupVaultName=name),
                )


def _recovery_points(backup: Client, name: str) -> str | None:
    # AWS Backup itself refuses to delete a vault that is not empty.
    points = backup.describe_backup_vault(BackupVaultName=name).get("NumberOfRecoveryPoints", 0)
    return f"it holds {points} recovery points" if points else None


def _store(
    scope: Scope, kind: str, name: str, holds: Callable[[], str | None], delete: Callable[[], object]
) -> Finding:
    """:param holds: what is in it; None where nothing is. Asked again before it is deleted."""

    def act() -> None:
        try:
            if holds() is None:
                delete()
        except ClientError as error:
            if code_of(error) not in _GONE:
                raise

    try:
        held = holds()
    except ClientError as error:
        held = f"nobody can look into it ({code_of(error)})"
    if held is not None:
        why = f"its stack is gone or failed, but {held}"
        return Finding(region=scope.region, kind=kind, name=name, action=Action.LEAVE, why=why)
    return Finding(region=scope.region, kind=kind, name=name, action=Action.DELETE, why=_EMPTY, act=act)
