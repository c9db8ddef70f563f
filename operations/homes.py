"""What has its home in a region, so that it would be lost, or unwritable, without it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from anfl.resources import CATALOGUE, dead_letters_of, replication_rule
from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import Collection
from anfl.wording import counted
from operations.cloud import Cloud, code_of, told
from stacks.models import Settings
from stacks.physical_names import QUEUES, REPLICATED, bucket_name
from stacks.units import Region

_REPLICA = "REPLICA"
"""How S3 marks what it wrote itself, on behalf of another region."""
_LATELY = timedelta(minutes=15)
_MISSING = frozenset({"NoSuchBucket", "404", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})


@dataclass(frozen=True, kw_only=True)
class Homed:
    """Something that a region cannot be removed with."""

    what: str
    name: str
    advice: str


def in_region(cloud: Cloud, settings: Settings, region: Region) -> list[Homed]:
    """Collections whose logs are written in ``region``; work that waits there; artefacts that are nowhere else yet.

    :raises OperationError: AWS does not say, or the catalogue is nowhere.
    """
    with told(f"What is at home in {region}"):
        return [
            *_collections(cloud, settings, region),
            *_waiting(cloud, settings, region),
            *_unreplicated(cloud, settings, region),
        ]


def _collections(cloud: Cloud, settings: Settings, region: Region) -> Iterator[Homed]:
    for collection in _catalogued(cloud, settings, region):
        if _is_home(cloud, settings, region, collection):
            yield Homed(
                what="collection",
                name=f"{collection.tenant}/{collection.name}",
                advice="copy what is still needed into a collection that another region creates, then delete this one",
            )


def _catalogued(cloud: Cloud, settings: Settings, region: Region) -> list[Collection]:
    """As ``region`` itself knows them, because it knows its own first; as the primary region does once it has gone."""
    name = settings.name(CATALOGUE.name)
    try:
        return list(Catalogue(cloud.table(name, region)).every())
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
    return list(Catalogue(cloud.table(name, settings.primary_region)).every())


def _is_home(cloud: Cloud, settings: Settings, region: Region, collection: Collection) -> bool:
    if collection.engine_class is not None:  # every region has its rows, and writes them
        return False
    if collection.home is not None:
        return collection.home == region
    # Made before homes were noted: whoever wrote the newest object of its log is its home.
    s3, bucket = cloud.client("s3", region), bucket_name(settings, "vectors", cloud.account, region)
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{collection.prefix}log/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return bool(keys) and s3.head_object(Bucket=bucket, Key=max(keys)).get("ReplicationStatus") != _REPLICA
    except ClientError as error:
        if code_of(error) in _MISSING:
            return False
        raise


def _waiting(cloud: Cloud, settings: Settings, region: Region) -> Iterator[Homed]:
    """Messages of the queues and of their dead-letter queues."""
    sqs = cloud.client("sqs", region)
    for queue in QUEUES:
        for name in (settings.name(queue), dead_letters_of(settings.name(queue))):
            try:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
                names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
                counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            except ClientError as error:
                if code_of(error) in _MISSING:
                    continue
                raise
            if waiting := sum(int(counts.get(count, 0)) for count in names):
                yield Homed(
                    what="queue",
                    name=name,
                    advice=f"{counted(waiting, 'message')}: wait until none is left, or redrive or purge what is dead",
                )


def _unreplicated(cloud: Cloud, settings: Settings, region: Region) -> Iterator[Homed]:
    """Objects that S3 has still to copy, as it counted them in the last quarter of an hour."""
    now = datetime.now(UTC)
    for other in settings.regions:
        for kind in REPLICATED if other is not region else ():
            bucket = bucket_name(settings, kind, cloud.account, region)
            dimensions = {
                "SourceBucket": bucket,
                "DestinationBucket": bucket_name(settings, kind, cloud.account, other),
                "RuleId": replication_rule(other),
            }
            counted = cloud.client("cloudwatch", other).get_metric_statistics(
                Namespace="AWS/S3",
                MetricName="OperationsPendingReplication",
                Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
                StartTime=now - _LATELY,
                EndTime=now,
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"]
            last = max(counted, key=lambda point: point["Timestamp"], default=None)
            if last is not None and last["Maximum"] > 0:
                yield Homed(
                    what="bucket",
                    name=bucket,
                    advice=f"{last['Maximum']:.0f} objects have not arrived in {other} yet: wait, then try again",
                )
