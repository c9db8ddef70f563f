"""Keys and their aliases. A key may open what no list shows, so none is deleted here; one that is going is saved."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from operations.cleanup.finding import Action, Finding, Scope
from operations.cloud import code_of

_PENDING = "PendingDeletion"
Key = dict[str, Any]
"""``KeyMetadata``"""
Client = Any
"""A boto3 client."""


def aliases(scope: Scope) -> Iterator[Finding]:
    """Aliases of the region: only names, but ones that block the next deployment."""
    kms = scope.cloud.client("kms", scope.region)
    for page in kms.get_paginator("list_aliases").paginate():
        for name in [alias["AliasName"] for alias in page["Aliases"]]:
            if name.startswith(f"alias/{scope.prefix}") and scope.is_free(name):
                yield Finding(
                    region=scope.region,
                    kind="key alias",
                    name=name,
                    action=Action.DELETE,
                    why="its stack is gone or failed, and it blocks the next deployment; its key stays",
                    act=partial(_delete_alias, kms, name),
                )


def _delete_alias(kms: Client, name: str) -> None:
    try:
        kms.delete_alias(AliasName=name)
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise


def keys(scope: Scope) -> Iterator[Finding]:
    """Keys of the region, which are known by what the stacks describe them as."""
    kms = scope.cloud.client("kms", scope.region)
    under: dict[str, list[str]] | None = None
    for page in kms.get_paginator("list_keys").paginate():
        for entry in page["Keys"]:
            key = _described(kms, entry["KeyId"])
            if not key.get("Description", "").startswith(f"ANFL {scope.environment}:"):
                continue
            if not scope.is_free(key["KeyId"]):
                continue
            if key["KeyState"] == _PENDING:
                under = under if under is not None else _encrypted(scope)
                yield _going(scope, kms, key, under.get(key["KeyId"], []))
            else:
                yield Finding(
                    region=scope.region, kind="key", name=key["KeyId"], action=Action.LEAVE, why=_staying(scope, key)
                )


def _described(kms: Client, key_id: str) -> Key:
    """Nothing of a key that only others may look at: the stacks make none of that kind."""
    try:
        found: Key = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) != "AccessDeniedException":
            raise
        return {}
    return found


def _staying(scope: Scope, key: Key) -> str:
    why = (
        f"{key['Description']}: nothing proves that nothing is sealed under it; when you know: "
        f"aws kms schedule-key-deletion --region {scope.region} --key-id {key['KeyId']}"
    )
    if key.get("MultiRegionConfiguration", {}).get("MultiRegionKeyType") == "REPLICA":
        return f"{why}. A region can have one replica of a key only: 'cdk import' takes this one into its stack again"
    return why


def _going(scope: Scope, kms: Client, key: Key, used_by: list[str]) -> Finding:
    date = key["DeletionDate"].date().isoformat() if "DeletionDate" in key else "a date that KMS does not tell"

    def act() -> None:
        if kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == _PENDING:
            kms.cancel_key_deletion(KeyId=key["KeyId"])
        kms.enable_key(KeyId=key["KeyId"])

    if used_by:
        why = f"it goes on {date}, and with it what is encrypted under it: {', '.join(sorted(used_by))}"
        return Finding(region=scope.region, kind="key", name=key["KeyId"], action=Action.CANCEL, why=why, act=act)
    why = f"{key['Description']}: it goes by itself on {date}; no bucket, table or log group here is encrypted under it"
    return Finding(region=scope.region, kind="key", name=key["KeyId"], action=Action.LEAVE, why=why)


def _encrypted(scope: Scope) -> dict[str, list[str]]:
    """Key id → buckets, tables and log groups of the region that are under it, whoever owns them."""
    found: dict[str, list[str]] = {}
    for name, key in _used(scope):
        if key:
            found.setdefault(key.rpartition("/")[2], []).append(name)
    return found


def _used(scope: Scope) -> Iterator[tuple[str, str | None]]:
    dynamodb, logs, s3 = (scope.cloud.client(service, scope.region) for service in ("dynamodb", "logs", "s3"))
    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            table = dynamodb.describe_table(TableName=name)["Table"]
            yield f"table {name}", table.get("SSEDescription", {}).get("KMSMasterKeyArn")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            yield f"log group {group['logGroupName']}", group.get("kmsKeyId")
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith(scope.prefix):
            try:
                rules = s3.get_bucket_encryption(Bucket=bucket["Name"])["ServerSideEncryptionConfiguration"]["Rules"]
            except ClientError as error:
                if code_of(error) != "ServerSideEncryptionConfigurationNotFoundError":
                    raise
                continue
            for rule in rules:
                default = rule.get("ApplyServerSideEncryptionByDefault", {})
                yield f"bucket {bucket['Name']}", default.get("KMSMasterKeyID")
