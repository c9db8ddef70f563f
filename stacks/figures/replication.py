"""What realises ``recovery.rpo``: copies of everything elsewhere, younger than it."""

from typing import Any

from stacks.figures.alarms import show_actions
from stacks.figures.inspection import Inspection, Rules, equals
from stacks.figures.templates import Resource


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
    others = sorted(f"to-{region}" for region in look.settings.regions if region != resource.region)
    buckets: list[dict[str, Any]] = resource.get("Buckets")
    for bucket in look.in_stack(look.name(resource.region, "storage"), "AWS::S3::Bucket"):
        rules = [r for found in buckets if found["Bucket"] == bucket.get("BucketName") for r in found["Rules"]]
        times = {rule["ID"]: rule["Destination"]["ReplicationTime"]["Time"]["Minutes"] for rule in rules}
        on = all(rule["Status"] == "Enabled" for rule in rules)
        in_time = on and sorted(times) == others and all(minutes * 60 <= seconds for minutes in times.values())
        look.note(resource, f"minutes until replicas of {bucket.id}", times, agrees=in_time)


RULES: Rules = {"recovery.rpo": _rpo}
