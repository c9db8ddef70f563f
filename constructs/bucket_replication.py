"""Replication of a region's buckets to other regions, as S3 does it: the rules, and the role it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct, grants
from constructs.durations import seconds
from constructs.location import bucket_arn, here
from constructs.statements import Statement, policy

from anfl.resources import replication_rule

REPLICATION_MINUTES = 15
"""Within which replication time control promises to replicate: S3 knows no other figure."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A region's buckets, by what they hold, and the key there."""

    region: str
    key_arn: str
    buckets: Mapping[str, str]


class BucketReplication(Construct):
    """The role of a region's replication, and what its buckets' configurations say.

    Replicas are not replicated again, so every place replicates to every other.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        role_name: str,
        source: Place,
        destinations: Sequence[Place],
    ) -> None:
        """:param role_name: bucket policies know the role by its name before it exists. :param destinations: others."""
        super().__init__(scope, id)
        self._source = source
        self._destinations = destinations
        self.role = iam.Role(
            self,
            "Role",
            role_name=role_name,
            max_session_duration=seconds(3600),
            assumed_by=iam.ServicePrincipal(
                "s3.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": here(self).account}}
            ),
        )
        self.permissions = iam.Policy(
            self,
            "Permissions",
            roles=[self.role],
            document=policy([*self._read(), *(s for place in destinations for s in self._write(place))]),
        )

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """``Bucket`` and ``Rules`` of each bucket, as S3's API has them."""
        return [
            {
                "Bucket": name,
                "Rules": [
                    _rule(place.buckets[kind], place, priority)
                    for priority, place in enumerate(self._destinations, start=1)
                ],
            }
            for kind, name in self._source.buckets.items()
        ]

    def _read(self) -> list[Statement]:
        buckets = [bucket_arn(name) for name in self._source.buckets.values()]
        return [
            Statement(sid="ReadRules", actions=["s3:GetReplicationConfiguration", "s3:ListBucket"], resources=buckets),
            Statement(
                sid="ReadVersions",
                actions=[
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionTagging",
                ],
                resources=[f"{bucket}/*" for bucket in buckets],
            ),
            _by_s3("Decrypt", self._source, ["kms:Decrypt"]),
        ]

    def _write(self, place: Place) -> list[Statement]:
        label = place.region.title().replace("-", "")
        return [
            Statement(
                sid=f"WriteReplicas{label}",
                actions=["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"],
                resources=[f"{bucket_arn(name)}/*" for name in place.buckets.values()],
            ),
            _by_s3(f"Encrypt{label}", place, ["kms:Encrypt", "kms:GenerateDataKey"]),
        ]


def _by_s3(sid: str, place: Place, actions: list[str]) -> Statement:
    """The key of a place by way of S3, for its buckets alone."""
    return grants.key_by_s3(sid, place.key_arn, actions, buckets=list(place.buckets.values()), regions=[place.region])


def _rule(bucket: str, place: Place, priority: int) -> dict[str, Any]:
    enabled = {"Status": "Enabled"}
    minutes = {"Minutes": REPLICATION_MINUTES}
    return {
        "ID": replication_rule(place.region),
        "Priority": priority,
        **enabled,
        # Required with more than one destination; empty: every object.
        "Filter": {"Prefix": ""},
        # What is deleted here is deleted there; its versions stay as long as those of any other object.
        "DeleteMarkerReplication": enabled,
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": enabled},
        "Destination": {
            "Bucket": bucket_arn(bucket),
            "EncryptionConfiguration": {"ReplicaKmsKeyID": place.key_arn},
            "ReplicationTime": {**enabled, "Time": minutes},
            "Metrics": {**enabled, "EventThreshold": minutes},
        },
    }
