"""Data: what each region keeps, where it is replicated, where its backups are copied."""

import json
import re
from collections.abc import Iterator

from stacks.diagrams.flowchart import STORE, Flowchart
from stacks.figures.templates import Resource, Templates

_BUCKET = re.compile(r"anfl-[a-z0-9]+-(\w+)-")


def draw(templates: Templates) -> str:
    """Regions with their stores; arrows for S3 replication and copies of backups; tables replicate among all."""
    chart = Flowchart("TB")
    regions = sorted({vpc.region for vpc in templates.of("AWS::EC2::VPC")})
    tables = templates.of("AWS::DynamoDB::GlobalTable")
    for region in regions:
        with chart.group(region):
            here = [t for t in tables if region in {replica["Region"] for replica in t.get("Replicas")}]
            chart.node(f"{region} tables", f"tables: {', '.join(_table(templates, t) for t in here)}", shape=STORE)
            chart.node(f"{region} buckets", f"buckets: {', '.join(_replicated(templates, region))}", shape=STORE)
            vaults = [vault for vault in templates.of("AWS::Backup::BackupVault") if vault.region == region]
            for vault in vaults:
                chart.node(f"{region} backups", f"backup vault {vault.get('BackupVaultName')}", shape=STORE)
                chart.edge(f"{region} tables", f"{region} backups", _plans(templates, vault, "dynamodb"))
                chart.edge(f"{region} buckets", f"{region} backups", _plans(templates, vault, "storage"))
    for first, second in zip(regions, regions[1:] + regions[:1], strict=True):
        if first != second:
            chart.edge(f"{first} tables", f"{second} tables", "global table")
    for region, other, minutes in _replications(templates):
        chart.edge(f"{region} buckets", f"{other} buckets", f"within {minutes} min", dotted=True)
    for origin, target in sorted(set(_copies(templates))):
        chart.edge(f"{origin} backups", f"{target} backups", "copies")
    return str(chart)


def _table(templates: Templates, table: Resource) -> str:
    """Those of vectors as ``class text-384``."""
    name = str(table.get("TableName")).removeprefix(f"anfl-{templates.environment}-")
    return name.replace("-", " ", 1) if table.get("VectorIndexes") else name


def _replicated(templates: Templates, region: str) -> list[str]:
    """Buckets of the region's storage layer."""
    stack = f"anfl-{templates.environment}-{region}-storage"
    names = (json.dumps(bucket.get("BucketName")) for bucket in templates.of("AWS::S3::Bucket", stack=stack))
    return [match[1] for name in names if (match := _BUCKET.search(name))]


def _replications(templates: Templates) -> Iterator[tuple[str, str, int]]:
    for rules in templates.of("Custom::BucketReplication"):
        found = {
            (rules.region, rule["ID"].removeprefix("to-"), rule["Destination"]["ReplicationTime"]["Time"]["Minutes"])
            for bucket in rules.get("Buckets")
            for rule in bucket["Rules"]
        }
        yield from sorted(found)


def _plans(templates: Templates, vault: Resource, kind: str) -> str:
    """Plans of the vault that select tables (``dynamodb``), or what the storage layer exports."""
    names = []
    for plan in templates.of("AWS::Backup::BackupPlan", stack=vault.stack):
        for selection in templates.referring(plan, "BackupPlanId", "AWS::Backup::BackupSelection"):
            if f"{kind}:" in json.dumps(selection.get("BackupSelection.Resources")):
                rule = plan.get("BackupPlan.BackupPlanRule.0")
                name = str(plan.get("BackupPlan.BackupPlanName")).rpartition("-")[2]
                names.append(f"{name}: {rule['Lifecycle']['DeleteAfterDays']} days")
    return "\n".join(names)


def _copies(templates: Templates) -> Iterator[tuple[str, str]]:
    for plan in templates.of("AWS::Backup::BackupPlan"):
        for copy in plan.get("BackupPlan.BackupPlanRule.0").get("CopyActions", []):
            (target,) = re.findall(r"arn:aws:backup:([a-z0-9-]+):", json.dumps(copy["DestinationBackupVaultArn"]))
            yield plan.region, target
