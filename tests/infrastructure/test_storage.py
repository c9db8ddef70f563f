"""Buckets and queues."""

import json
import re
from operator import itemgetter
from typing import Any

import pytest

from anfl.resources import CacheUse
from anfl.vectors.model import TENANT_PATTERN
from tests.infrastructure.conftest import Assembly, Properties, Template


def statements(stack: Template, kind: str, name: str, owner: str) -> list[Properties]:
    """Statements of the policy on the resource with the logical id ``owner``."""
    found = [
        statement
        for policy in stack.properties(kind)
        if {"Ref": owner} in (policy[name] if isinstance(policy[name], list) else [policy[name]])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert found, f"{owner} has no {kind}"
    return found


def test_bucket_names_carry_environment_account_and_region(assembly: Assembly) -> None:
    for region, stack in assembly.regional("storage").items():
        environment = stack.name.split("-")[1]
        for kind in ("vectors", "artifacts"):
            parts = ["", [f"anfl-{environment}-{kind}-", {"Ref": "AWS::AccountId"}, f"-{region}"]]
            stack.only("AWS::S3::Bucket", BucketName={"Fn::Join": parts})


def test_every_bucket_is_versioned_private_and_under_the_data_key(assembly: Assembly) -> None:
    for stack in assembly.regional("storage").values():
        for bucket in stack.properties("AWS::S3::Bucket"):
            assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
            assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
            assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
            assert "DataKey" in json.dumps(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"])
            assert rule["BucketKeyEnabled"] is True


def test_every_bucket_refuses_plain_http_and_anything_below_tls_1_3(assembly: Assembly) -> None:
    """In whichever stack it stands."""
    for stack in assembly:
        for name in stack.resources("AWS::S3::Bucket"):
            denied = [s for s in statements(stack, "AWS::S3::BucketPolicy", "Bucket", name) if s["Effect"] == "Deny"]
            bucket = {"Fn::GetAtt": [name, "Arn"]}
            for statement in denied:
                assert statement["Action"] == "s3:*"
                assert statement["Principal"] == {"AWS": "*"}
                assert statement["Resource"] == [bucket, {"Fn::Join": ["", [bucket, "/*"]]}]
            conditions = [s["Condition"] for s in denied]
            assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
            (least,) = (condition for condition in conditions if "NumericLessThan" in condition)
            assert least["NumericLessThan"] == {"s3:TlsVersion": "1.3"}
            assert least["Bool"] == {"aws:PrincipalIsAWSService": "false"}
            assert least.keys() <= {"NumericLessThan", "Bool", "ArnNotEquals"}


def test_tls_1_3_is_not_asked_of_the_roles_as_which_services_of_aws_come(prod: Assembly, dev: Assembly) -> None:
    """They choose their own protocol, and a refused replica, or recovery, is found out late."""
    roles = {
        role["RoleName"]
        for name, stack in prod.stacks.items()
        if "-replication-" in name
        for role in stack.properties("AWS::IAM::Role")
        if "RoleName" in role
    }
    assert len(roles) == 3
    for region, stack in prod.regional("storage").items():
        for name in stack.resources("AWS::S3::Bucket"):
            exempt = [
                arn["Fn::Join"][1]
                for s in statements(stack, "AWS::S3::BucketPolicy", "Bucket", name)
                for arn in s["Condition"].get("ArnNotEquals", {}).get("aws:PrincipalArn", [])
            ]
            account = {"Ref": "AWS::AccountId"}
            coming = {*roles, f"anfl-prod-backup-{region}", f"anfl-prod-recovery-{region}"}
            assert sorted(exempt, key=str) == sorted(
                (["arn:aws:iam::", account, f":role/{role}"] for role in coming), key=str
            )
    for stack in dev.regional("storage").values():
        assert "replication" not in json.dumps(stack.document)


def test_old_versions_go_after_a_while_and_unfinished_uploads_sooner(assembly: Assembly) -> None:
    for stack in assembly.regional("storage").values():
        for bucket in stack.properties("AWS::S3::Bucket"):
            (rule,) = (each for each in bucket["LifecycleConfiguration"]["Rules"] if "Prefix" not in each)
            assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
            assert rule["ExpiredObjectDeleteMarker"] is True
            assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
            assert "ExpirationInDays" not in rule


def test_files_to_be_imported_and_copies_go_and_nothing_else_expires(assembly: Assembly) -> None:
    for stack in assembly.regional("storage").values():
        expiring = [
            (rule["Prefix"], rule["ExpirationInDays"], rule["Status"])
            for bucket in stack.properties("AWS::S3::Bucket")
            for rule in bucket["LifecycleConfiguration"]["Rules"]
            if "ExpirationInDays" in rule
        ]
        copies = [("_copies/", 1, "Enabled")] if "-prod-" in stack.name else []
        assert expiring == [("_imports/", 8, "Enabled"), *copies]
        assert not any(re.search(TENANT_PATTERN, name) for name in ("_imports", "_copies")), "no tenant's own objects"


KEPT = {
    "AWS::Backup::BackupVault": "Retain",
    "AWS::DynamoDB::GlobalTable": "Retain",
    "AWS::ElastiCache::ReplicationGroup": "Snapshot",
    "AWS::KMS::Key": "Retain",
    "AWS::KMS::ReplicaKey": "Retain",
    "AWS::Logs::LogGroup": "Retain",
    "AWS::S3::Bucket": "Retain",
    "AWS::SecretsManager::Secret": "Retain",
}
"""What holds data, logs or a key that opens them, and what becomes of it when prod's stack goes."""
MADE_ANEW = {"NodeCertificate"}
"""Ids of what need not be kept: ACM has the certificate, too."""


def test_data_outlives_prods_stacks_alone(prod: Assembly, dev: Assembly) -> None:
    """Data, logs and keys, in whichever stack; what is in queues is done again."""
    kinds = set()
    for stack in prod:
        for kind, policy in KEPT.items():
            for name, resource in stack.resources(kind).items():
                if name not in MADE_ANEW:
                    kinds.add(kind)
                    assert resource.get("DeletionPolicy") == resource.get("UpdateReplacePolicy") == policy, name
    assert kinds == KEPT.keys()
    for stack in dev:
        for kind in KEPT:
            assert all(resource["DeletionPolicy"] == "Delete" for resource in stack.resources(kind).values())


@pytest.mark.parametrize(
    ("name", "visibility"), [("jobs", 30 * 60), ("chunks", 6 * 300), ("validation", 6 * 600), ("webhooks", 6 * 30)]
)
def test_queues_give_consumers_time_and_keep_what_fails(assembly: Assembly, name: str, visibility: int) -> None:
    for stack in assembly.regional("storage").values():
        environment = stack.name.split("-")[1]
        queue = stack.only("AWS::SQS::Queue", QueueName=f"anfl-{environment}-{name}")
        assert queue["VisibilityTimeout"] == visibility
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
        dead, _ = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]
        letters = stack.resources("AWS::SQS::Queue")[dead]["Properties"]
        assert letters["QueueName"] == f"anfl-{environment}-{name}-dead-letters"
        assert letters["MessageRetentionPeriod"] == 14 * 86400
        assert letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


def test_only_its_own_queue_sends_to_a_dead_letter_queue(assembly: Assembly) -> None:
    for region, stack in assembly.regional("storage").items():
        for queue in stack.properties("AWS::SQS::Queue"):
            name: str = queue["QueueName"]
            if name.endswith("-dead-letters"):
                allowed: dict[str, Any] = queue["RedriveAllowPolicy"]
                assert allowed["redrivePermission"] == "byQueue"
                (source,) = allowed["sourceQueueArns"]
                parts = [
                    "",
                    [f"arn:aws:sqs:{region}:", {"Ref": "AWS::AccountId"}, f":{name.removesuffix('-dead-letters')}"],
                ]
                assert source == {"Fn::Join": parts}


def test_every_queue_is_under_the_data_key_and_refuses_plain_http(assembly: Assembly) -> None:
    for stack in assembly.regional("storage").values():
        for name, queue in stack.resources("AWS::SQS::Queue").items():
            assert "DataKey" in json.dumps(queue["Properties"]["KmsMasterKeyId"])
            (denied,) = (s for s in statements(stack, "AWS::SQS::QueuePolicy", "Queues", name) if s["Effect"] == "Deny")
            assert denied["Action"] == "sqs:*"
            assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


CACHE = "AWS::ElastiCache::ReplicationGroup"


def test_prods_cache_survives_the_loss_of_a_zone(prod: Assembly) -> None:
    for stack in prod.regional("storage").values():
        cache = stack.only(CACHE)
        assert (cache["Engine"], cache["EngineVersion"]) == ("valkey", "8.0")
        assert cache["MultiAZEnabled"] is cache["AutomaticFailoverEnabled"] is True
        assert (cache["NumNodeGroups"], cache["ReplicasPerNodeGroup"]) == (1, 1)
        subnets = stack.only("AWS::ElastiCache::SubnetGroup")["SubnetIds"]
        assert len(subnets) == 2
        assert "NetworkPrivate1" in json.dumps(subnets[0])
        assert "NetworkPrivate2" in json.dumps(subnets[1])


def test_prods_cache_is_under_the_data_key_and_speaks_tls_alone(prod: Assembly) -> None:
    for stack in prod.regional("storage").values():
        cache = stack.only(CACHE)
        assert cache["AtRestEncryptionEnabled"] is cache["TransitEncryptionEnabled"] is True
        assert cache["TransitEncryptionMode"] == "required"
        assert "DataKey" in json.dumps(cache["KmsKeyId"])
        (group,) = cache["SecurityGroupIds"]
        assert "CacheGroup" in group["Fn::ImportValue"]
        assert cache["Port"] == 6380
        assert "KmsKeyId" in stack.only("AWS::Logs::LogGroup")


def test_only_an_iam_identity_enters_the_cache(assembly: Assembly) -> None:
    for stack in assembly.regional("storage").values():
        name = f"{'-'.join(stack.name.split('-')[:2])}-cache"
        users_by_id = stack.resources("AWS::ElastiCache::User")
        ((users, group),) = stack.resources("AWS::ElastiCache::UserGroup").items()
        assert group["Properties"]["UserIds"] == [{"Ref": name} for name in users_by_id]
        for use, found in zip(CacheUse, users_by_id.values(), strict=True):
            user = found["Properties"]
            assert user["AuthenticationMode"] == {"Type": "iam"}
            assert user["UserId"] == user["UserName"] == f"{name}-{use}"
            assert re.fullmatch(r"on ~[a-z]+:\* -@all \+@connection -@dangerous( \+[a-z]+)+", user["AccessString"])
            assert {user["Engine"], group["Properties"]["Engine"]} == {"valkey"}
        assert stack.only(CACHE)["UserGroupIds"] == [{"Ref": users}]


def test_who_uses_the_cache_connects_as_the_users_for_it_and_is_told_where(prod: Assembly) -> None:
    uses = {
        "AuthFunctionRole": {"CACHE_THROTTLE_USER": CacheUse.THROTTLE},
        "AuthorizerFunctionRole": {"CACHE_USER": CacheUse.DECISIONS},
        "VectorStoreServiceTaskRole": {"CACHE_USER": CacheUse.HINTS, "CACHE_THROTTLE_USER": CacheUse.THROTTLE},
        "ModelRegistryServiceTaskRole": {"CACHE_THROTTLE_USER": CacheUse.THROTTLE},
    }
    for stack in prod.regional("service").values():
        may = {
            name: statement
            for name, policy in stack.resources("AWS::IAM::Policy").items()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if "elasticache" in json.dumps(statement["Action"])
        }
        assert len(may) == len(uses)
        for role, users in uses.items():
            (statement,) = (statement for name, statement in may.items() if name.startswith(role))
            assert statement["Action"] == "elasticache:Connect"
            group, *found = (json.dumps(resource) for resource in statement["Resource"])
            assert ":replicationgroup:" in group
            for resource, use in zip(found, users.values(), strict=True):
                assert f":user:anfl-prod-cache-{use}" in resource
        told = [
            stack.only("AWS::Lambda::Function", FunctionName=f"anfl-prod-{name}")["Environment"]["Variables"]
            for name in ("auth", "authorizer")
        ]
        told += [
            {entry["Name"]: entry["Value"] for entry in definition["ContainerDefinitions"][0]["Environment"]}
            for family in ("anfl-prod-vector-store", "anfl-prod-model-registry")
            for definition in stack.properties("AWS::ECS::TaskDefinition")
            if definition["Family"] == family
        ]
        for variables, users in zip(told, uses.values(), strict=True):
            for variable in ("CACHE_USER", "CACHE_THROTTLE_USER"):
                expected = f"anfl-prod-cache-{users[variable]}" if variable in users else None
                assert variables.get(variable) == expected
            assert "PrimaryEndPointPort" in json.dumps(variables["CACHE_PORT"])
            assert "PrimaryEndPointAddress" in json.dumps(variables["CACHE_HOST"])
            assert "RefCacheNodes" in json.dumps(variables["CACHE_NAME"])


def test_the_cache_keeps_snapshots_as_long_as_other_databases(prod: Assembly) -> None:
    for stack in prod.regional("storage").values():
        cache = stack.only(CACHE)
        assert cache["SnapshotRetentionLimit"] == 30
        assert cache["SnapshotWindow"] == "03:00-04:00"
        (resource,) = stack.resources(CACHE).values()
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Snapshot"


def test_devs_cache_is_one_small_node_behind_the_same_doors(prod: Assembly, dev: Assembly) -> None:
    (here,) = dev.regional("storage").values()
    there = next(iter(prod.regional("storage").values()))
    cache, larger = here.only(CACHE), there.only(CACHE)
    assert (cache["CacheNodeType"], cache["ReplicasPerNodeGroup"]) == ("cache.t4g.micro", 0)
    assert cache["MultiAZEnabled"] is cache["AutomaticFailoverEnabled"] is False, (
        "ElastiCache wants two nodes for either"
    )
    same = (
        "Engine",
        "EngineVersion",
        "TransitEncryptionEnabled",
        "TransitEncryptionMode",
        "AtRestEncryptionEnabled",
        "Port",
    )
    assert {name: cache[name] for name in same} == {name: larger[name] for name in same}
    users = [
        {
            user["AccessString"]
            for user in map(itemgetter("Properties"), stack.resources("AWS::ElastiCache::User").values())
        }
        for stack in (here, there)
    ]
    assert users[0] == users[1]
