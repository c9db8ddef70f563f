"""Keys: who must be in a key's own policy, because nothing says so when they are not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infrastructure.conftest import Template
from tests.infrastructure.estate import Estate, Item, Verdict, same
from tests.infrastructure.policies import Statement, statements

_KEYS = ("AWS::KMS::Key", "AWS::KMS::ReplicaKey")
_ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
_SOURCELESS = "events.amazonaws.com"
"""Its calls of KMS name no source: a condition on one lets it in nowhere."""
_AUTO_SCALING = "AWSServiceRoleForAutoScaling"
_OF_KEYS = {*_KEYS, "AWS::KMS::Alias"}


def replicas_carry_the_whole_policy(estate: Estate) -> Iterator[Verdict]:
    """A replica inherits no statement of its primary's policy."""
    for item in estate.of("AWS::KMS::ReplicaKey"):
        primary = estate.target(item, item.properties["PrimaryKeyArn"], "AWS::KMS::Key")
        own = json.loads(json.dumps(item.properties["KeyPolicy"]).replace(item.place.region, "<region>"))
        wanted = primary and json.loads(
            json.dumps(primary.properties["KeyPolicy"]).replace(primary.place.region, "<region>")
        )
        yield item.verdict(primary and same(own, wanted), "has another policy than its primary")


def logs_may_use_their_key(estate: Estate) -> Iterator[Verdict]:
    """CloudWatch Logs refuses a log group under a key that does not let it in."""
    for item in estate.of("AWS::Logs::LogGroup"):
        if value := item.properties.get("KmsKeyId"):
            service = f"logs.{item.place.region}.amazonaws.com"
            allowed = _admits(_key(estate, item, value), service, "kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")
            yield item.verdict(allowed, f"is under a key that does not let {service} in")


def notifiers_may_use_their_topics_key(estate: Estate) -> Iterator[Verdict]:
    """What a service publishes to a topic under a key that does not let it in is dropped without a word."""
    for item in estate.of("AWS::SNS::Topic"):
        if value := item.properties.get("KmsMasterKeyId"):
            key = _key(estate, item, value)
            for service in sorted(_publishers(estate, item)):
                allowed = _admits(key, service, "kms:Decrypt", "kms:GenerateDataKey")
                yield item.verdict(allowed, f"is under a key that does not let {service} in", service)


def auto_scaling_may_use_the_key_of_disks(estate: Estate) -> Iterator[Verdict]:
    """Instances whose disks it cannot open end as soon as they are launched."""
    for item in estate.of("AWS::EC2::LaunchTemplate"):
        disks = item.properties["LaunchTemplateData"].get("BlockDeviceMappings", [])
        for value in [disk["Ebs"]["KmsKeyId"] for disk in disks if disk.get("Ebs", {}).get("KmsKeyId")]:
            key = _key(estate, item, value)
            found = [s for s in _statements(key) if _AUTO_SCALING in s.conditions + "".join(s.principals)]
            allowed = {action for statement in found for action in statement.actions}
            yield item.verdict(
                allowed >= {"kms:CreateGrant", "kms:Decrypt"}, "has disks under a key that Auto Scaling may not use"
            )


def keys_outlive_a_stack_that_fails(estate: Estate) -> Iterator[Verdict]:
    """A key that is rolled back is gone for a week at least, and with it what was encrypted in the meantime.

    So it stands with keys alone, where nothing else can fail, or stays when its stack goes.
    """
    for item in estate.of(*_KEYS):
        others = {whole["Type"] for whole in item.place.document["Resources"].values()} - _OF_KEYS
        yield item.verdict(
            not others or item.whole.get("DeletionPolicy") == "Retain", f"is rolled back with {len(others)} other types"
        )


def _key(estate: Estate, item: Item, value: object) -> Item | None:
    return estate.target(item, value, *_KEYS)


def _statements(key: Item | None) -> list[Statement]:
    if key is None:
        return []
    document: Mapping[str, Any] = {"Resources": {key.id: key.whole}}
    return [statement for statement in statements(Template(key.place.name, dict(document))) if statement.allows]


def _admits(key: Item | None, service: str, *actions: str) -> bool:
    found = [s for s in _statements(key) if service in s.principals]
    if service == _SOURCELESS:
        found = [s for s in found if "aws:Source" not in s.conditions]
    return {action for s in found for action in s.actions} >= set(actions)


def _publishers(estate: Estate, topic: Item) -> set[str]:
    """Services that the topic's policy lets publish, and CloudWatch if an alarm names it."""
    found = set()
    for policy in estate.of("AWS::SNS::TopicPolicy"):
        if topic in estate.mentioned(policy, policy.properties["Topics"]):
            document = {"Resources": {policy.id: dict(policy.whole)}}
            allowed = [s for s in statements(Template(policy.place.name, document)) if s.allows]
            found |= {principal for s in allowed for principal in s.principals if principal.endswith(".amazonaws.com")}
    for alarm in estate.of(*_ALARMS):
        if topic in estate.mentioned(alarm, alarm.properties.get("AlarmActions", [])):
            found.add("cloudwatch.amazonaws.com")
    return found
