"""What has its home in a region: collections, waiting work, objects that no other region has yet."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key

from anfl.vectors.catalogue import Catalogue
from anfl.vectors.model import CollectionSettings
from local.tables import create_table
from operations import homes
from operations.cloud import Cloud
from stacks.settings import load
from stacks.units import Region

PROD = load("prod")
HERE, ELSEWHERE = Region.EU_WEST_1, Region.US_WEST_1
BUCKET = f"anfl-prod-vectors-123456789012-{HERE}"


@pytest.fixture(name="table")
def _table(cloud: Cloud) -> Any:
    for region in PROD.regions:
        create_table(cloud.client("dynamodb", region), "anfl-prod-catalogue")
    place = {"LocationConstraint": HERE}
    cloud.client("s3", HERE).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    return cloud.table("anfl-prod-catalogue", HERE)


def named(cloud: Cloud) -> list[tuple[str, str]]:
    return [(homed.what, homed.name) for homed in homes.in_region(cloud, PROD, HERE)]


def test_a_new_collection_is_at_home_where_it_was_created(cloud: Cloud, table: Any) -> None:
    made, _ = Catalogue(table).create("acme", CollectionSettings(name="words", dimension=3))
    assert made.home == HERE
    assert [found.home for found in Catalogue(table).every()] == [HERE]
    assert named(cloud) == [("collection", "acme/words")]


def test_a_collection_with_another_home_is_none_of_this_regions(cloud: Cloud, table: Any) -> None:
    Catalogue(cloud.table("anfl-prod-catalogue", ELSEWHERE)).create("acme", CollectionSettings(name="w", dimension=3))
    for item in cloud.table("anfl-prod-catalogue", ELSEWHERE).query(KeyConditionExpression=Key("pk").eq("T#acme"))[
        "Items"
    ]:
        table.put_item(Item=item)
    assert [found.name for found in Catalogue(table).every()] == ["w"]
    assert named(cloud) == []


def test_one_in_a_class_is_at_home_everywhere(cloud: Cloud, table: Any) -> None:
    settings = CollectionSettings(name="photos", dimension=3, engine="dynamodb")
    Catalogue(table).create("acme", settings, engine_class="small")
    assert named(cloud) == []


@pytest.mark.parametrize("replica", [True, False])
def test_one_from_before_homes_were_noted_is_at_home_where_its_log_was_written(
    cloud: Cloud, table: Any, monkeypatch: pytest.MonkeyPatch, replica: bool
) -> None:
    document = '{"tenant":"acme","settings":{"name":"old","dimension":3},"incarnation":"i","created_at":1.0,"epoch":1}'
    table.put_item(Item={"pk": "T#acme", "sk": "C#old", "document": document})
    assert named(cloud) == [], "it holds nothing"
    s3 = cloud.client("s3", HERE)
    s3.put_object(Bucket=BUCKET, Key="acme/old/i/log/0000000001/00000000000000000001", Body=b"batch")
    answer = {"ReplicationStatus": "REPLICA"} if replica else {}
    monkeypatch.setattr(s3, "head_object", lambda **_: answer)
    assert named(cloud) == ([] if replica else [("collection", "acme/old")])


def test_the_primary_regions_table_answers_once_the_replica_is_gone(cloud: Cloud, table: Any) -> None:
    Catalogue(cloud.table("anfl-prod-catalogue", HERE)).create("acme", CollectionSettings(name="words", dimension=3))
    primary = cloud.table("anfl-prod-catalogue", PROD.primary_region)
    for item in table.scan()["Items"]:
        primary.put_item(Item=item)
    cloud.client("dynamodb", HERE).delete_table(TableName="anfl-prod-catalogue")
    assert named(cloud) == [("collection", "acme/words")]


@pytest.mark.usefixtures("table")
def test_waiting_and_dead_messages_hold_a_region_back(cloud: Cloud) -> None:
    sqs = cloud.client("sqs", HERE)
    for name in ("anfl-prod-jobs", "anfl-prod-validation-dead-letters", "anfl-prod-chunks"):
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        if "chunks" not in name:
            sqs.send_message(QueueUrl=url, MessageBody="{}")
    assert named(cloud) == [("queue", "anfl-prod-jobs"), ("queue", "anfl-prod-validation-dead-letters")]


@pytest.mark.usefixtures("table")
def test_objects_that_have_not_arrived_elsewhere_hold_a_region_back(cloud: Cloud) -> None:
    dimensions = {
        "SourceBucket": BUCKET,
        "DestinationBucket": f"anfl-prod-vectors-123456789012-{ELSEWHERE}",
        "RuleId": f"to-{ELSEWHERE}",
    }
    cloud.client("cloudwatch", ELSEWHERE).put_metric_data(
        Namespace="AWS/S3",
        MetricData=[
            {
                "MetricName": "OperationsPendingReplication",
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=2),
                "Value": 3,
            }
        ],
    )
    (held,) = homes.in_region(cloud, PROD, HERE)
    assert (held.what, held.name) == ("bucket", BUCKET)
    assert held.advice.startswith(f"3 objects have not arrived in {ELSEWHERE} yet")
