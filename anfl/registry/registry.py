"""The registry as one object: what service and function are given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anfl.registry.artifacts import Artifacts
from anfl.registry.models import Models
from anfl.registry.records import Records
from anfl.registry.search import Search
from anfl.registry.table import Table
from anfl.registry.verdicts import Verdicts
from anfl.registry.versions import Versions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All parts over the same table and bucket."""

    records: Records
    models: Models
    versions: Versions
    verdicts: Verdicts
    search: Search
    artifacts: Artifacts


def build_registry(*, table: str, dynamodb: "DynamoDBClient", bucket: str, s3: "S3Client") -> Registry:
    """The registry over a table and a bucket."""
    records = Records(Table(name=table, client=dynamodb))
    return Registry(
        records=records,
        models=Models(records),
        versions=Versions(records),
        verdicts=Verdicts(records),
        search=Search(records),
        artifacts=Artifacts(bucket=bucket, client=s3),
    )
