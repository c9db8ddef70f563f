"""Other regions' copies of damaged objects: asked for by a queue, brought beside the object, each once."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from anfl.object_copies import MOST_VERSIONS, CopyingError, ObjectCopier, Place, Request, copies_of
from anfl.vectors.elsewhere import OtherRegions
from tests.unit.caretakers.test_handlers import handler_of

KEY = "demo/words/0123/log/00000001/00000000000000000007"
REGIONS = ("us-west-1", "us-east-1", "eu-west-1")
HERE = REGIONS[0]


@pytest.fixture(name="places")
def _places(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Place]]:
    """A versioned bucket in each region."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", HERE)
    with mock_aws():
        found = {}
        for region in REGIONS:
            client = boto3.client("s3", region_name=region)
            where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
            client.create_bucket(Bucket=f"vectors-{region}", **where)
            client.put_bucket_versioning(Bucket=f"vectors-{region}", VersioningConfiguration={"Status": "Enabled"})
            found[region] = Place(client, f"vectors-{region}")
        yield found


def put(place: Place, body: bytes, key: str = KEY) -> None:
    place.client.put_object(Bucket=place.bucket, Key=key, Body=body, Tagging="t=1")


def copies(places: dict[str, Place], key: str = KEY) -> list[bytes]:
    """What is here, in the order in which a reader sees it."""
    here = places[HERE]
    listed = here.client.list_objects_v2(Bucket=here.bucket, Prefix=copies_of(key)).get("Contents", [])
    return [here.client.get_object(Bucket=here.bucket, Key=each["Key"])["Body"].read() for each in listed]


def copier(places: dict[str, Place]) -> ObjectCopier:
    return ObjectCopier(places[HERE], {region: place for region, place in places.items() if region != HERE})


def test_what_every_other_region_has_and_has_had_comes_once_and_takes_no_place(places: dict[str, Place]) -> None:
    put(places[HERE], b"damaged")
    put(places["us-east-1"], b"whole")
    put(places["us-east-1"], b"overwritten")
    put(places["eu-west-1"], b"deleted")
    places["eu-west-1"].client.delete_object(Bucket=places["eu-west-1"].bucket, Key=KEY)
    put(places["eu-west-1"], b"of another", f"{KEY}1")
    assert copier(places).bring(KEY) == 3
    assert sorted(copies(places)) == [b"deleted", b"overwritten", b"whole"]
    assert copier(places).bring(KEY) == 0
    here = places[HERE]
    assert here.client.get_object(Bucket=here.bucket, Key=KEY)["Body"].read() == b"damaged"
    put(places["us-east-1"], b"whole again")
    assert copier(places).bring(KEY) == 1


def test_no_more_versions_come_than_the_newest_few(places: dict[str, Place]) -> None:
    for number in range(MOST_VERSIONS + 3):
        put(places["us-east-1"], b"%d" % number)
    assert copier(places).bring(KEY) == MOST_VERSIONS
    assert set(copies(places)) == {b"%d" % number for number in range(3, MOST_VERSIONS + 3)}


def test_what_nobody_has_is_no_error(places: dict[str, Place]) -> None:
    assert copier(places).bring(KEY) == 0


def test_a_region_that_does_not_answer_keeps_no_other_from_it(
    places: dict[str, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(places["us-east-1"], b"one")
    put(places["eu-west-1"], b"two")

    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "503", "Message": "SlowDown"}}, "ListObjectVersions")

    with monkeypatch.context() as patch:
        patch.setattr(places["us-east-1"].client, "list_object_versions", refused)
        with pytest.raises(CopyingError, match=r"us-east-1: .*SlowDown"):
            copier(places).bring(KEY)
        assert copies(places) == [b"two"]
    assert copier(places).bring(KEY) == 1
    assert sorted(copies(places)) == [b"one", b"two"]


def test_who_asks_by_the_queue_is_understood_by_the_function(
    places: dict[str, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = boto3.client("sqs", region_name=HERE)
    url = sqs.create_queue(QueueName="copies")["QueueUrl"]
    OtherRegions(sqs, url).ask(KEY)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    put(places["eu-west-1"], b"whole")
    monkeypatch.setenv("VECTORS_BUCKET", places[HERE].bucket)
    monkeypatch.setenv(
        "OTHER_BUCKETS", json.dumps({region: places[region].bucket for region in REGIONS if region != HERE})
    )
    records = [{"messageId": "1", "body": message["Body"]}]
    assert handler_of("object_copier").handler({"Records": records}, None) == {"batchItemFailures": []}
    assert copies(places) == [b"whole"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"key": ""}',
        '{"key": 1}',
        '{"key": "_copies/demo/words"}',
        '{"key": "_imports/demo"}',
        json.dumps({"key": "k" * 901}),
        json.dumps({"key": KEY, "bucket": "of-somebody"}),
    ],
)
def test_what_is_no_request_fails_by_itself(places: dict[str, Place], body: str) -> None:
    put(places["us-east-1"], b"whole")
    records = [{"messageId": "bad", "body": body}, {"messageId": "good", "body": json.dumps({"key": KEY})}]
    answer = handler_of("object_copier").answer({"Records": records}, copier(places))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert copies(places) == [b"whole"]


def test_a_queue_that_is_away_is_no_problem_of_who_reads(
    places: dict[str, Place], caplog: pytest.LogCaptureFixture
) -> None:
    del places
    sqs = boto3.client("sqs", region_name=HERE)
    with caplog.at_level(logging.WARNING):
        OtherRegions(sqs, "https://sqs.us-west-1.amazonaws.com/123456789012/gone").ask(KEY)
    assert [record.message for record in caplog.records] == ["copies cannot be asked for"]


def test_every_key_of_a_log_fits_into_a_request() -> None:
    longest = f"{'t' * 64}/{'n' * 128}/{'0' * 32}/log/00000001/{7:020d}"
    body = msgspec.json.encode(Request(key=longest))
    assert msgspec.json.decode(body, type=Request).key == longest
