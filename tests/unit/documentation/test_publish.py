"""Publishing: only what changed, with the headers that browsers need, and CloudFront told."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from documentation.publish import Place, PublishError, content_type, place_of, publish
from stacks.settings import load

EDGE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "documentation"}}},
    "Outputs": {"DocumentationBucket": {"Value": {"Ref": "Bucket"}}, "DistributionId": {"Value": "E123"}},
}
FILES = {"index.html": b"<p>one", "style.css": b"p {}", "openapi.json": b"{}"}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")


@pytest.fixture
def place(session: boto3.Session) -> Place:
    """A bucket and a distribution."""
    session.client("s3", region_name="us-east-1").create_bucket(Bucket="documentation")
    cloudfront: Any = session.client("cloudfront")
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": "test",
            "Comment": "",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "bucket",
                        "DomainName": "documentation.s3.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    }
                ],
            },
            "DefaultCacheBehavior": {"TargetOriginId": "bucket", "ViewerProtocolPolicy": "redirect-to-https"},
        }
    )
    return Place(bucket="documentation", distribution=made["Distribution"]["Id"])


def invalidations(session: boto3.Session, place: Place) -> list[list[str]]:
    cloudfront: Any = session.client("cloudfront")
    listed = cloudfront.list_invalidations(DistributionId=place.distribution)["InvalidationList"].get("Items", [])
    found = [cloudfront.get_invalidation(DistributionId=place.distribution, Id=item["Id"]) for item in listed]
    return [sorted(one["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]) for one in found]


def test_a_first_time_uploads_everything(session: boto3.Session, place: Place) -> None:
    done = publish(FILES, place, session)
    assert (done.uploaded, done.deleted, done.kept) == (("index.html", "openapi.json", "style.css"), (), ())
    s3 = session.client("s3", region_name="us-east-1")
    page = s3.get_object(Bucket=place.bucket, Key="index.html")
    assert (page["Body"].read(), page["ContentType"]) == (b"<p>one", "text/html; charset=utf-8")
    assert page["CacheControl"] == "public, max-age=300, must-revalidate"
    assert invalidations(session, place) == [["/", "/index.html", "/openapi.json", "/style.css"]]


def test_a_second_time_does_nothing(session: boto3.Session, place: Place) -> None:
    publish(FILES, place, session)
    done = publish(FILES, place, session)
    assert (done.uploaded, done.deleted, done.kept) == ((), (), ("index.html", "openapi.json", "style.css"))
    assert len(invalidations(session, place)) == 1


def test_what_changed_is_replaced_and_what_is_gone_is_deleted(session: boto3.Session, place: Place) -> None:
    publish(FILES, place, session)
    done = publish({"index.html": b"<p>two", "style.css": b"p {}"}, place, session)
    assert (done.uploaded, done.deleted, done.kept) == (("index.html",), ("openapi.json",), ("style.css",))
    listed = session.client("s3", region_name="us-east-1").list_objects_v2(Bucket=place.bucket)["Contents"]
    assert [found["Key"] for found in listed] == ["index.html", "style.css"]
    assert ["/", "/index.html", "/openapi.json"] in invalidations(session, place)


def test_the_same_change_twice_is_invalidated_twice(session: boto3.Session, place: Place) -> None:
    for content in (b"one", b"two", b"one"):
        publish({"index.html": content}, place, session)
    assert invalidations(session, place) == [["/", "/index.html"]] * 3


def test_many_changes_are_one_path(session: boto3.Session, place: Place) -> None:
    publish({f"{number}.html": b"" for number in range(40)}, place, session)
    assert invalidations(session, place) == [["/*"]]


def test_the_place_is_what_the_stack_says(session: boto3.Session) -> None:
    formation: Any = session.client("cloudformation", region_name="us-east-1")
    formation.create_stack(StackName="anfl-prod-global-edge", TemplateBody=json.dumps(EDGE))
    assert place_of(load("prod"), session) == Place(bucket="documentation", distribution="E123")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("dev", "dev has no domain, and so no site"),
        ("prod", "anfl-prod-global-edge in us-east-1: .*; deploy it first"),
    ],
)
def test_an_environment_without_a_site(session: boto3.Session, environment: str, message: str) -> None:
    with pytest.raises(PublishError, match=message):
        place_of(load(environment), session)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("openapi.json", "application/json"),
        ("a", "application/octet-stream"),
    ],
)
def test_types_are_never_guessed_by_browsers(path: str, kind: str) -> None:
    assert content_type(path) == kind
