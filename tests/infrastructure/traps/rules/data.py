"""Tables and buckets that stand in several regions."""

import re
from collections.abc import Iterator

from tests.infrastructure.estate import Estate, Item, Verdict
from tests.infrastructure.policies import text


def replicas_of_tables_wait_for_their_keys(estate: Estate) -> Iterator[Verdict]:
    """A replica is refused while the replica of its key does not exist; no template of another region can say so."""
    for item in estate.of("AWS::DynamoDB::GlobalTable"):
        for replica in item.properties["Replicas"]:
            region = str(replica["Region"])
            if region != item.place.region:
                value = replica.get("SSESpecification", {}).get("KMSMasterKeyId")
                key = _key_in(estate, item, value, region)
                waits = key and (key.place == item.place or key.place.name in item.place.needs)
                yield item.verdict(waits, "does not wait for the replica of its key", region)


def buckets_carry_no_rules_of_a_mesh(estate: Estate) -> Iterator[Verdict]:
    """S3 refuses a rule whose destination does not exist: whoever is first in a mesh cannot have any."""
    for item in estate.of("AWS::S3::Bucket"):
        yield item.verdict("ReplicationConfiguration" not in item.properties, "replicates from its first deployment on")


def rules_of_a_mesh_wait_for_its_buckets(estate: Estate) -> Iterator[Verdict]:
    """All regions' buckets first, their rules on a second pass."""
    buckets = {text(item.properties.get("BucketName")): item for item in estate.of("AWS::S3::Bucket")}
    for item in estate.of("Custom::BucketReplication"):
        for rule in [rule for bucket in item.properties["Buckets"] for rule in bucket["Rules"]]:
            name = text(rule["Destination"]["Bucket"]).partition(":::")[2]
            there = buckets.get(name)
            yield item.verdict(there and there.place.name in item.place.needs, "does not wait for that bucket", name)


def _key_in(estate: Estate, item: Item, value: object, region: str) -> Item | None:
    """The replica in ``region`` of the key that ``value`` names by its id, which is equal everywhere."""
    key = estate.target(item, value, "AWS::KMS::Key", "AWS::KMS::ReplicaKey")
    if key is None or key.type == "AWS::KMS::ReplicaKey":
        return key if key and key.place.region == region else None
    if not re.match(rf"arn:[^:]+:kms:{region}:", text(value)):
        return None
    replicas = estate.of("AWS::KMS::ReplicaKey")
    found = [r for r in replicas if r.place.region == region and key in estate.mentioned(r, r.properties)]
    return found[0] if len(found) == 1 else None
