"""Rules on buckets, against moto's S3."""

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from anfl.replication import Mesh, Replication, mesh

ROLE = "arn:aws:iam::123456789012:role/replication"


def properties(*buckets: str) -> dict[str, Any]:
    """As CloudFormation sends them: every number is text."""
    minutes = {"Minutes": "15"}
    return {
        "ServiceToken": "arn:function",
        "ServiceTimeout": "600",
        "Role": ROLE,
        "Buckets": [
            {
                "Bucket": bucket,
                "Rules": [
                    {
                        "ID": "to-elsewhere",
                        "Priority": "1",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "DeleteMarkerReplication": {"Status": "Enabled"},
                        "Destination": {
                            "Bucket": "arn:aws:s3:::elsewhere",
                            "ReplicationTime": {"Status": "Enabled", "Time": minutes},
                            "Metrics": {"Status": "Enabled", "EventThreshold": minutes},
                        },
                    }
                ],
            }
            for bucket in buckets
        ],
    }


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in ("here", "there", "elsewhere"):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield client


def rules(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """Those of the bucket; none where it has no configuration."""
    try:
        found = s3.get_bucket_replication(Bucket=bucket)
    except s3.exceptions.ClientError:
        return []
    return list(found["ReplicationConfiguration"]["Rules"])


def test_numbers_are_numbers_again_and_nothing_else_is_touched(s3: Any) -> None:
    Replication(s3).apply(mesh(properties("here")))
    configuration = s3.get_bucket_replication(Bucket="here")["ReplicationConfiguration"]
    assert configuration["Role"] == ROLE
    (rule,) = configuration["Rules"]
    assert (rule["ID"], rule["Priority"]) == ("to-elsewhere", 1)
    assert rule["Destination"]["ReplicationTime"]["Time"] == {"Minutes": 15}


def test_applying_again_changes_nothing(s3: Any) -> None:
    replication = Replication(s3)
    replication.apply(mesh(properties("here")))
    first = rules(s3, "here")
    replication.apply(mesh(properties("here")), before=["here"])
    assert rules(s3, "here") == first


def test_a_bucket_that_is_no_longer_replicated_loses_its_rules(s3: Any) -> None:
    replication = Replication(s3)
    replication.apply(mesh(properties("here", "there")))
    replication.apply(mesh(properties("there")), before=["here", "there"])
    assert not rules(s3, "here")
    assert rules(s3, "there")


def test_removing_spares_other_buckets_and_forgives_what_is_gone(s3: Any) -> None:
    replication = Replication(s3)
    replication.apply(mesh(properties("here", "there")))
    replication.remove(["here", "never-existed"])
    assert not rules(s3, "here")
    assert rules(s3, "there")


class Refusing:
    """Refuses some calls, then takes them."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.calls = 0

    def put_bucket_replication(self, **_: object) -> None:
        self.calls += 1
        if self.codes:
            raise ClientError({"Error": {"Code": self.codes.pop(0), "Message": "no"}}, "PutBucketReplication")

    delete_bucket_replication = put_bucket_replication


def test_what_passes_is_waited_for() -> None:
    s3, pauses = Refusing("AccessDenied", "OperationAborted"), list[float]()
    Replication(s3, sleep=pauses.append).apply(mesh(properties("here")))
    assert s3.calls == 3
    assert pauses == [1, 2]


def test_what_does_not_pass_is_an_error_at_once() -> None:
    s3, pauses = Refusing("InvalidRequest"), list[float]()
    with pytest.raises(ClientError, match="InvalidRequest"):
        Replication(s3, sleep=pauses.append).apply(mesh(properties("here")))
    assert pauses == []


def test_patience_ends_well_before_the_functions_time() -> None:
    s3, pauses = Refusing(*["AccessDenied"] * 20), list[float]()
    with pytest.raises(ClientError, match="AccessDenied"):
        Replication(s3, sleep=pauses.append).remove(["here"])
    assert 20 < sum(pauses) < 60


def test_properties_without_buckets_are_none() -> None:
    """What an update finds as the properties before the first creation succeeded."""
    assert mesh({}) == Mesh()


def test_malformed_properties_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Buckets"):
        mesh({"Role": ROLE, "Buckets": [{"Bucket": "here"}]})
