"""Each region's buckets replicate to every other region, by roles that may do no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_functions import actions, allowed

REGIONS = ("us-west-1", "us-east-1", "eu-west-1")
RULES = "Custom::BucketReplication"
FUNCTION = "anfl-prod-bucket-replication"


def stacks(prod: Assembly) -> Iterator[tuple[str, Template]]:
    """The replication of each region."""
    for region in REGIONS:
        yield region, prod[f"anfl-prod-replication-{region}"]


def text(value: Any) -> str:
    """A joined value as it reads, with ``…`` for what is known at deployment."""
    if isinstance(value, dict) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(part if isinstance(part, str) else "…" for part in parts)
    return value if isinstance(value, str) else "…"


def replicating(stack: Template) -> tuple[str, list[Properties]]:
    """Logical id of the role as which S3 replicates, and what it may do."""
    (role,) = (name for name, r in stack.resources("AWS::IAM::Role").items() if "RoleName" in r["Properties"])
    return role, allowed(stack, role)


def test_every_bucket_replicates_to_both_other_regions(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        others = [other for other in REGIONS if other != region]
        resource = stack.only(RULES)
        assert [text(found["Bucket"]) for found in resource["Buckets"]] == [
            f"anfl-prod-vectors-…-{region}",
            f"anfl-prod-artifacts-…-{region}",
        ]
        for found in resource["Buckets"]:
            kind = text(found["Bucket"]).split("-")[2]
            targets = [text(rule["Destination"]["Bucket"]) for rule in found["Rules"]]
            assert targets == [f"arn:aws:s3:::anfl-prod-{kind}-…-{other}" for other in others]
            assert [rule["ID"] for rule in found["Rules"]] == [f"to-{other}" for other in others]
            assert len({rule["Priority"] for rule in found["Rules"]}) == len(others)


def test_the_buckets_named_are_those_that_the_storage_stacks_make(prod: Assembly) -> None:
    made = {
        json.dumps(bucket["BucketName"])
        for stack in prod.regional("storage").values()
        for bucket in stack.properties("AWS::S3::Bucket")
    }
    named = {json.dumps(found["Bucket"]) for _, stack in stacks(prod) for found in stack.only(RULES)["Buckets"]}
    assert named == made


def test_rules_promise_a_time_and_carry_encrypted_objects_and_deletions(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        others = [other for other in REGIONS if other != region]
        for found in stack.only(RULES)["Buckets"]:
            for rule, other in zip(found["Rules"], others, strict=True):
                assert rule["Status"] == "Enabled"
                assert rule["Filter"] == {"Prefix": ""}
                assert rule["DeleteMarkerReplication"] == {"Status": "Enabled"}
                assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
                destination = rule["Destination"]
                assert destination["ReplicationTime"] == {"Status": "Enabled", "Time": {"Minutes": 15}}
                assert destination["Metrics"] == {"Status": "Enabled", "EventThreshold": {"Minutes": 15}}
                key = text(destination["EncryptionConfiguration"]["ReplicaKmsKeyID"])
                assert key == f"arn:aws:kms:{other}:…:key/…"


def test_s3_of_this_account_alone_takes_the_role(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        name, _ = replicating(stack)
        role = stack.resources("AWS::IAM::Role")[name]["Properties"]
        assert role["RoleName"] == f"anfl-prod-replication-{region}"
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "s3.amazonaws.com"}
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_role_reads_here_writes_replicas_there_and_does_nothing_else(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        may: dict[str, set[str]] = {}
        for statement in replicating(stack)[1]:
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            for action in actions(statement):
                may.setdefault(action, set()).update(map(text, resources))
        buckets = {f"arn:aws:s3:::anfl-prod-{kind}-…-{{}}" for kind in ("vectors", "artifacts")}
        here = {bucket.format(region) for bucket in buckets}
        there = {bucket.format(other) + "/*" for bucket in buckets for other in REGIONS if other != region}
        keys = {f"arn:aws:kms:{other}:…:key/…" for other in REGIONS if other != region}
        read, write = {f"{bucket}/*" for bucket in here}, there
        assert may == {
            "s3:GetReplicationConfiguration": here,
            "s3:ListBucket": here,
            "s3:GetObjectVersionAcl": read,
            "s3:GetObjectVersionForReplication": read,
            "s3:GetObjectVersionTagging": read,
            "s3:ReplicateDelete": write,
            "s3:ReplicateObject": write,
            "s3:ReplicateTags": write,
            "kms:Decrypt": {"…"},
            "kms:Encrypt": keys,
            "kms:GenerateDataKey": keys,
        }


def test_the_role_uses_keys_by_way_of_s3_for_these_buckets_alone(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        keyed = [s for s in replicating(stack)[1] if any(action.startswith("kms:") for action in actions(s))]
        places = set()
        for statement in keyed:
            via = statement["Condition"]["StringEquals"]["kms:ViaService"]
            place = via.split(".")[1]
            places.add(place)
            assert via == f"s3.{place}.amazonaws.com"
            assert (place == region) == (actions(statement) == ["kms:Decrypt"])
            assert "DataKey" in json.dumps(statement["Resource"]), "and no other key"
            buckets = {f"arn:aws:s3:::anfl-prod-{kind}-…-{place}" for kind in ("vectors", "artifacts")}
            contexts = statement["Condition"]["StringLike"]["kms:EncryptionContext:aws:s3:arn"]
            assert set(map(text, contexts)) == buckets | {f"{bucket}/*" for bucket in buckets}
            assert statement["Condition"].keys() == {"StringEquals", "StringLike"}
        assert places == set(REGIONS)


def test_the_function_sets_rules_on_its_regions_buckets_and_hands_the_role_to_s3_alone(prod: Assembly) -> None:
    for region, stack in stacks(prod):
        function = stack.only("AWS::Lambda::Function", FunctionName=FUNCTION)
        statements = {s.get("Sid"): s for s in allowed(stack, function["Role"]["Fn::GetAtt"][0])}
        rules = statements["SetRules"]
        assert actions(rules) == ["s3:PutReplicationConfiguration"]
        assert {text(arn).rsplit("-…-")[1] for arn in rules["Resource"]} == {region}
        hand = statements["HandRoleToS3"]
        assert actions(hand) == ["iam:PassRole"]
        assert hand["Resource"] == {"Fn::GetAtt": [replicating(stack)[0], "Arn"]}
        assert hand["Condition"] == {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}}
        assert statements.keys() == {
            *("Logs", "NetworkInterfaces", "NetworkInterfacesNotFromCode", "SetRules", "HandRoleToS3", "Trace")
        }


def test_the_function_is_as_the_others(prod: Assembly) -> None:
    for _, stack in stacks(prod):
        function = stack.only("AWS::Lambda::Function", FunctionName=FUNCTION)
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["x86_64"])
        assert (function["MemorySize"], function["Timeout"]) == (256, 120)
        assert len(function["VpcConfig"]["SubnetIds"]) == 2
        assert all("KmsKeyId" in group for group in stack.properties("AWS::Logs::LogGroup"))


def test_a_deployment_waits_for_the_function_and_not_for_ever(prod: Assembly) -> None:
    for _, stack in stacks(prod):
        ((_, rules),) = stack.resources(RULES).items()
        (function,) = (
            name
            for name, found in stack.resources("AWS::Lambda::Function").items()
            if found["Properties"]["FunctionName"] == FUNCTION
        )
        assert rules["Properties"]["ServiceToken"] == {"Fn::GetAtt": [function, "Arn"]}
        assert int(rules["Properties"]["ServiceTimeout"]) >= 3 * 120
        (policy,) = rules["DependsOn"]
        assert stack.resources("AWS::IAM::Policy")[policy]["Properties"]["Roles"] == [{"Ref": replicating(stack)[0]}]


@pytest.mark.parametrize(
    ("name", "metric", "threshold"),
    [("late", "ReplicationLatency", 3600), ("failed", "OperationsFailedReplication", 1)],
)
def test_an_alarm_rings_in_the_region_where_replicas_should_have_arrived(
    prod: Assembly, name: str, metric: str, threshold: int
) -> None:
    for region, stack in stacks(prod):
        alarm = stack.only("AWS::CloudWatch::Alarm", AlarmName=f"anfl-prod-replication-{name}")
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (threshold, "GreaterThanOrEqualToThreshold")
        found = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
        assert {(f["Namespace"], f["MetricName"]) for f in found} == {("AWS/S3", metric)}
        arrows = {tuple(text(d["Value"]) for d in f["Dimensions"]) for f in found}
        assert arrows == {
            (f"anfl-prod-{kind}-…-{other}", f"anfl-prod-{kind}-…-{region}", f"to-{region}")
            for kind in ("vectors", "artifacts")
            for other in REGIONS
            if other != region
        }
        (topic,) = alarm["AlarmActions"]
        assert text(topic) == f"arn:aws:sns:{region}:…:anfl-prod-alerts-critical"
        names = {t["TopicName"] for t in prod[f"anfl-prod-{region}-telemetry"].properties("AWS::SNS::Topic")}
        assert "anfl-prod-alerts-critical" in names


def test_an_alarm_rings_where_items_of_tables_leave_late(prod: Assembly) -> None:
    tables = {t["TableName"] for t in prod["anfl-prod-global-data"].properties("AWS::DynamoDB::GlobalTable")}
    assert len(tables) == 4
    for region, stack in stacks(prod):
        alarm = stack.only("AWS::CloudWatch::Alarm", AlarmName="anfl-prod-tables-late")
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (10_000, "GreaterThanThreshold")
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (5, "notBreaching")
        found = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
        assert {(f["Namespace"], f["MetricName"]) for f in found} == {("AWS/DynamoDB", "ReplicationLatency")}
        ways = {tuple(d["Value"] for d in f["Dimensions"]) for f in found}
        assert ways == {(table, other) for table in tables for other in REGIONS if other != region}
        (topic,) = alarm["AlarmActions"]
        assert text(topic) == f"arn:aws:sns:{region}:…:anfl-prod-alerts-warning"


def test_one_region_alone_has_nothing_to_replicate(dev: Assembly) -> None:
    assert not any("replication" in name for name in dev.stacks)
