"""What realises ``recovery.rpo``: copies of everything elsewhere, younger than it."""

from typing import Any

from stacks.figures.alarms import show_actions
from stacks.figures.inspection import Inspection, Rules, equals
from stacks.figures.templates import Resource, joined

_SEALED_BY_KMS_TOO = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
"""Without it S3 leaves out what is encrypted with a key of KMS, which is everything."""


def _rpo(look: Inspection) -> None:
    seconds = look.settings.recovery.rpo.total_seconds()
    for table in look.in_stack(look.name("global", "data"), "AWS::DynamoDB::GlobalTable"):
        kept = [r.get("PointInTimeRecoverySpecification", {}) for r in table.get("Replicas")]
        enabled = [specification.get("PointInTimeRecoveryEnabled") for specification in kept]
        look.note(table, "Replicas.*.PointInTimeRecoveryEnabled", enabled, agrees=bool(enabled) and all(enabled))
    if len(look.settings.regions) == 1:
        return
    for region in look.settings.regions:
        stack = look.name("replication", region)
        for resource in look.in_stack(stack, "Custom::BucketReplication"):
            _buckets(look, resource, seconds)
        for alarm in look.in_stack(stack, "AWS::CloudWatch::Alarm", AlarmName=look.name("replication", "late")):
            look.show(alarm, "Threshold", equals(int(seconds)))
            look.show(alarm, "ComparisonOperator", equals("GreaterThanOrEqualToThreshold"))
            show_actions(look, alarm, agrees=True)


def _buckets(look: Inspection, resource: Resource, seconds: float) -> None:
    """Each bucket of the region's storage, to each other region, in time."""
    others = sorted(region for region in look.settings.regions if region != resource.region)
    buckets: list[dict[str, Any]] = resource.get("Buckets")
    for bucket in look.in_stack(look.name(resource.region, "storage"), "AWS::S3::Bucket"):
        name = bucket.get("BucketName")
        rules = [rule for found in buckets if found["Bucket"] == name for rule in found["Rules"]]
        minutes = {
            region: found
            for region in others
            for rule in rules
            if (found := _minutes(rule, to=f"arn:aws:s3:::{joined(name).removesuffix(resource.region)}{region}"))
        }
        in_time = sorted(minutes) == others and all(found * 60 <= seconds for found in minutes.values())
        look.note(resource, f"minutes until replicas of {bucket.id}", minutes, agrees=in_time)


def _minutes(rule: dict[str, Any], *, to: str) -> int | None:
    """Within how many minutes a rule brings every object, whatever its key, into a bucket."""
    destination = rule["Destination"]
    on = rule["Status"] == destination["ReplicationTime"]["Status"] == "Enabled"
    whole = rule["Filter"] == {"Prefix": ""} and rule["SourceSelectionCriteria"] == _SEALED_BY_KMS_TOO
    arrives = joined(destination["Bucket"]) == to
    return int(destination["ReplicationTime"]["Time"]["Minutes"]) if on and whole and arrives else None


RULES: Rules = {"recovery.rpo": _rpo}
