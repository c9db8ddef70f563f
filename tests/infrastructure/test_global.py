"""Zones, keys and their replicas, global tables."""

import json
from typing import Any

import pytest

from anfl.resources import TABLES
from stacks.settings import load
from tests.infrastructure.conftest import Assembly, Template

REPLICAS = ("us-west-1", "eu-west-1")
DISKS = ("DisksOfNodes", "DisksOfNodesAttached")


def test_zones_of_the_architecture_with_the_lower_one_delegated_by_the_upper(prod: Assembly) -> None:
    dns = prod["anfl-prod-global-dns"]
    assert {zone["Name"] for zone in dns.properties("AWS::Route53::HostedZone")} == {"aeonova.com", "lib.aeonova.com"}
    delegation = dns.only("AWS::Route53::RecordSet", Type="NS")
    assert delegation["Name"] == "lib.aeonova.com"
    zones = dns.resources("AWS::Route53::HostedZone")
    assert zones[delegation["HostedZoneId"]["Ref"]]["Properties"]["Name"] == "aeonova.com"


PURPOSES = ("data at rest", "seal of Vault", "material of wrapping keys")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_keys_are_multi_region_and_rotate_every_90_days(prod: Assembly, purpose: str) -> None:
    key = prod["anfl-prod-global-keys"].only("AWS::KMS::Key", Description=f"ANFL prod: {purpose}")
    assert key["MultiRegion"] is True
    assert key["EnableKeyRotation"] is True
    assert key["RotationPeriodInDays"] == 90


def test_dev_has_no_vault_and_so_no_key_that_would_open_it(dev: Assembly) -> None:
    described = {key["Description"] for key in dev["anfl-dev-global-keys"].properties("AWS::KMS::Key")}
    assert described == {"ANFL dev: data at rest", "ANFL dev: material of wrapping keys"}


@pytest.mark.parametrize("region", REPLICAS)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_other_region_has_a_replica_of_the_keys(prod: Assembly, region: str, purpose: str) -> None:
    stack = prod[f"anfl-prod-global-replica-keys-{region}"]
    replica = stack.only("AWS::KMS::ReplicaKey", Description=f"ANFL prod: {purpose}")
    source = replica["PrimaryKeyArn"]["Fn::GetStackOutput"]
    assert (source["StackName"], source["Region"]) == ("anfl-prod-global-keys", "us-east-1")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_replicas_carry_the_whole_policy_for_their_own_region(prod: Assembly, purpose: str) -> None:
    wanted = {"Description": f"ANFL prod: {purpose}"}
    primary = prod["anfl-prod-global-keys"].only("AWS::KMS::Key", **wanted)["KeyPolicy"]
    for region in REPLICAS:
        policy = prod[f"anfl-prod-global-replica-keys-{region}"].only("AWS::KMS::ReplicaKey", **wanted)["KeyPolicy"]
        assert json.dumps(policy) == json.dumps(primary).replace("us-east-1", region)


def test_the_key_serves_the_account_its_logs_notifiers_and_disks_alone(assembly: Assembly) -> None:
    (stack,) = (stack for stack in assembly if stack.name.endswith("global-keys"))
    purpose = f"ANFL {stack.name.split('-')[1]}: data at rest"
    statements = {s["Sid"]: s for s in stack.only("AWS::KMS::Key", Description=purpose)["KeyPolicy"]["Statement"]}
    assert set(statements) == {"AccountIdentitiesAsIamAllows", "LogGroups", "Notifications", "Events", *DISKS}
    assert "kms:EncryptionContext:aws:logs:arn" in statements["LogGroups"]["Condition"]["ArnLike"]
    assert statements["Notifications"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }
    assert set(statements["Events"]["Condition"]["ArnLike"]) == {"kms:EncryptionContext:aws:sns:topicArn"}
    _serves_disks_by_way_of_auto_scaling(statements)


def test_the_key_of_vault_serves_identities_and_the_disks_of_its_nodes_alone(prod: Assembly) -> None:
    key = prod["anfl-prod-global-keys"].only("AWS::KMS::Key", Description="ANFL prod: seal of Vault")
    statements = {s["Sid"]: s for s in key["KeyPolicy"]["Statement"]}
    assert set(statements) == {"AccountIdentitiesAsIamAllows", *DISKS}
    _serves_disks_by_way_of_auto_scaling(statements)


def test_the_key_of_the_wrapping_keys_serves_identities_alone(assembly: Assembly) -> None:
    (stack,) = (stack for stack in assembly if stack.name.endswith("global-keys"))
    purpose = f"ANFL {stack.name.split('-')[1]}: material of wrapping keys"
    (statement,) = stack.only("AWS::KMS::Key", Description=purpose)["KeyPolicy"]["Statement"]
    assert statement["Sid"] == "AccountIdentitiesAsIamAllows"


def _serves_disks_by_way_of_auto_scaling(statements: dict[str, Any]) -> None:
    for sid in DISKS:
        condition = statements[sid]["Condition"]
        assert condition["StringEquals"] == {"kms:CallerAccount": {"Ref": "AWS::AccountId"}}
        assert "AWSServiceRoleForAutoScaling" in json.dumps(condition["ArnEquals"]["aws:PrincipalArn"])
    assert statements["DisksOfNodesAttached"]["Action"] == "kms:CreateGrant"
    assert statements["DisksOfNodesAttached"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def _tables(assembly: Assembly) -> Template:
    (stack,) = (stack for stack in assembly if stack.name.endswith("global-data"))
    return stack


def test_every_table_is_declared_with_its_keys_index_and_expiry(assembly: Assembly) -> None:
    stack = _tables(assembly)
    environment = stack.name.split("-")[1]
    tables = stack.properties("AWS::DynamoDB::GlobalTable")
    declared = {table["TableName"]: table for table in tables if "VectorIndexes" not in table}
    assert set(declared) == {f"anfl-{environment}-{table.name}" for table in TABLES}
    for table in TABLES:
        found = declared[f"anfl-{environment}-{table.name}"]
        assert found["KeySchema"] == [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ]
        assert [index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])] == ["gsi1"] * table.indexed
        assert found.get("TimeToLiveSpecification", {}).get("AttributeName") == table.ttl_attribute


def test_every_table_is_on_demand_and_encrypted_under_the_data_key_in_each_region(assembly: Assembly) -> None:
    for table in _tables(assembly).properties("AWS::DynamoDB::GlobalTable"):
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
        for replica in table["Replicas"]:
            key = json.dumps(replica["SSESpecification"]["KMSMasterKeyId"])
            assert "DataKey" in key
            is_primary = replica["Region"] == assembly.region_of(_tables(assembly).name)
            assert is_primary or f"arn:aws:kms:{replica['Region']}:" in key


def test_every_replica_can_be_restored_to_any_moment_as_long_as_backups_are_kept(assembly: Assembly) -> None:
    kept = load().backup
    for table in _tables(assembly).properties("AWS::DynamoDB::GlobalTable"):
        plan = kept.vectors if "VectorIndexes" in table else kept.databases
        for replica in table["Replicas"]:
            assert replica["PointInTimeRecoverySpecification"] == {
                "PointInTimeRecoveryEnabled": True,
                "RecoveryPeriodInDays": plan.retention.days,
            }


def test_prods_tables_span_three_regions_and_outlive_their_stack(prod: Assembly) -> None:
    for resource in _tables(prod).resources("AWS::DynamoDB::GlobalTable").values():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
        replicas = resource["Properties"]["Replicas"]
        assert {replica["Region"] for replica in replicas} == {"us-west-1", "us-east-1", "eu-west-1"}
        assert all(replica["DeletionProtectionEnabled"] for replica in replicas)


def test_devs_tables_go_with_their_stack(dev: Assembly) -> None:
    for resource in _tables(dev).resources("AWS::DynamoDB::GlobalTable").values():
        assert resource["DeletionPolicy"] == "Delete"
        assert [replica["Region"] for replica in resource["Properties"]["Replicas"]] == ["us-west-1"]
        assert not resource["Properties"]["Replicas"][0]["DeletionProtectionEnabled"]
