"""What comes into a bucket with rules of replication comes into the buckets that they name."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.aws.conftest import Aws

PLACES = ("home", "away", "other")
WAIT = 10.0


def eventually(call: Callable[[], Any]) -> Any:
    """What ``call`` returns, once that is something."""
    until = time.monotonic() + WAIT
    while not (found := call()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.fixture(name="s3")
def _s3(aws: Aws) -> Any:
    """With an empty bucket in each place, of which the first two replicate to each other."""
    client = aws.client("s3")
    for name in PLACES:
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-1"})
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket="home", Key="early", Body=b"before there was a rule")
    for source, destination in (("home", "away"), ("away", "home")):
        rules = [rule(destination, 1), rule("other", 2, Status="Disabled")]
        client.put_bucket_replication(Bucket=source, ReplicationConfiguration={"Role": "arn:r", "Rules": rules})
    yield client
    for name in PLACES:
        listed = client.list_object_versions(Bucket=name)
        for version in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        client.delete_bucket(Bucket=name)


def rule(destination: str, priority: int, **members: object) -> dict[str, Any]:
    """As `constructs.bucket_replication` has them."""
    return {
        "ID": destination,
        "Priority": priority,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{destination}",
            "EncryptionConfiguration": {"ReplicaKmsKeyID": "arn:aws:kms:eu-west-1:123456789012:key/there"},
        },
        **members,
    }


def versions(s3: Any, bucket: str, key: str) -> list[str]:
    """Of ``key``, delete markers included."""
    listed = s3.list_object_versions(Bucket=bucket, Prefix=key)
    found = [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
    return sorted(each["VersionId"] for each in found)


def test_an_object_arrives_as_it_is_and_goes_no_further(s3: Any) -> None:
    put = s3.put_object(Bucket="home", Key="a/b", Body=b"x" * 3_000_000, Metadata={"m": "1"}, Tagging="t=2")
    assert eventually(lambda: versions(s3, "away", "a/b")) == [put["VersionId"]]
    there, here = (s3.get_object(Bucket=name, Key="a/b") for name in ("away", "home"))
    assert there["Body"].read() == here["Body"].read() == b"x" * 3_000_000
    assert {name: there[name] for name in ("ETag", "Metadata", "LastModified", "VersionId", "TagCount")} == {
        name: here[name] for name in ("ETag", "Metadata", "LastModified", "VersionId", "TagCount")
    }
    assert there["SSEKMSKeyId"].endswith("key/there")
    time.sleep(1.2)
    assert versions(s3, "home", "a/b") == [put["VersionId"]], "a replica came back"
    assert not versions(s3, "other", ""), "the rule is disabled"
    assert not versions(s3, "away", "early"), "it was there before the rule"


def test_an_upload_in_parts_arrives_with_its_checksum(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="home", Key="large")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket="home", Key="large", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate((b"1" * (5 << 20), b"2"), start=1)
    ]
    made = s3.complete_multipart_upload(Bucket="home", Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    assert eventually(lambda: versions(s3, "away", "large"))
    assert s3.head_object(Bucket="away", Key="large")["ETag"] == made["ETag"]


def test_versions_arrive_in_their_order_and_a_deletion_after_them(s3: Any) -> None:
    put = [s3.put_object(Bucket="away", Key="k", Body=b"%d" % number)["VersionId"] for number in range(20)]
    assert eventually(lambda: len(versions(s3, "home", "k")) == 20)
    assert s3.get_object(Bucket="home", Key="k")["VersionId"] == put[-1]
    s3.delete_object(Bucket="away", Key="k")
    assert eventually(lambda: "Contents" not in s3.list_objects_v2(Bucket="home", Prefix="k"))
    assert s3.get_object(Bucket="home", Key="k", VersionId=put[3])["Body"].read() == b"3"


def test_a_version_that_is_deleted_for_good_stays_elsewhere(s3: Any) -> None:
    put = s3.put_object(Bucket="home", Key="kept", Body=b"x")
    assert eventually(lambda: versions(s3, "away", "kept"))
    s3.delete_object(Bucket="home", Key="kept", VersionId=put["VersionId"])
    time.sleep(1.2)
    assert s3.get_object(Bucket="away", Key="kept")["Body"].read() == b"x"
