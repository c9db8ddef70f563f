"""Stacks fail, roll back and are protected as CloudFormation has it."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import REGION, Aws

WRONG = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "not a name"}}


def status(aws: Aws, name: str) -> str:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return str(stack["StackStatus"])


def bucket(name: str, policy: str) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}, "DeletionPolicy": policy}


def test_a_stack_that_cannot_be_made_rolls_back_but_for_what_is_retained(aws: Aws) -> None:
    resources = {"Kept": bucket("rolled-kept", "Retain"), "Gone": bucket("rolled-gone", "Delete"), "Wrong": WRONG}
    output = {"Address": {"Value": {"Fn::GetAtt": ["Gone", "Arn"]}, "Export": {"Name": "rolled-gone"}}}
    aws.create("rolled", resources, Outputs=output)
    assert status(aws, "rolled") == "ROLLBACK_COMPLETE"
    names = {found["Name"] for found in aws.client("s3").list_buckets()["Buckets"]}
    assert "rolled-kept" in names
    assert "rolled-gone" not in names
    cloudformation = aws.client("cloudformation")
    events = cloudformation.describe_stack_events(StackName="rolled")["StackEvents"]
    assert any("Wrong (AWS::SQS::Queue) cannot be made" in str(e.get("ResourceStatusReason")) for e in events)
    left = cloudformation.list_stack_resources(StackName="rolled")["StackResourceSummaries"]
    assert [found["LogicalResourceId"] for found in left] == ["Kept"]
    assert "rolled-gone" not in {export["Name"] for export in cloudformation.list_exports()["Exports"]}


def test_a_stack_that_rolled_back_is_in_the_way_until_it_is_deleted(aws: Aws) -> None:
    aws.create("retried", {"Wrong": WRONG})
    with pytest.raises(ClientError, match="AlreadyExists"):
        aws.create("retried", {"Wrong": {"Type": "AWS::SQS::Queue"}})
    aws.client("cloudformation").delete_stack(StackName="retried")
    aws.create("retried", {"Wrong": {"Type": "AWS::SQS::Queue"}})
    assert aws.resource("retried", "Wrong")["type"] == "AWS::SQS::Queue"


def test_a_template_that_is_none_begins_no_stack(aws: Aws) -> None:
    with pytest.raises(ClientError):
        aws.client("cloudformation").create_stack(
            StackName="shapeless", TemplateBody=json.dumps({"Description": "of nothing"})
        )
    with pytest.raises(ClientError, match="does not exist"):
        status(aws, "shapeless")


def test_a_protected_stack_is_deleted_only_when_its_protection_is_lifted(aws: Aws) -> None:
    cloudformation = aws.client("cloudformation")
    aws.create("protected", {"Queue": {"Type": "AWS::SQS::Queue"}})
    cloudformation.update_termination_protection(StackName="protected", EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cloudformation.delete_stack(StackName="protected")
    assert status(aws, "protected") == "CREATE_COMPLETE"
    cloudformation.update_termination_protection(StackName="protected", EnableTerminationProtection=False)
    cloudformation.delete_stack(StackName="protected")
    with pytest.raises(ClientError, match="does not exist"):
        status(aws, "protected")


def global_table(name: str, *regions: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::GlobalTable",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "Replicas": [{"Region": region, "DeletionProtectionEnabled": True} for region in regions],
        },
    }


def test_what_cannot_be_deleted_holds_its_stack(aws: Aws) -> None:
    aws.create("held", {"Table": global_table("held", REGION)})
    cloudformation = aws.client("cloudformation")
    cloudformation.delete_stack(StackName="held")
    assert status(aws, "held") == "DELETE_FAILED"
    aws.client("dynamodb").update_table(TableName="held", DeletionProtectionEnabled=False)
    cloudformation.delete_stack(StackName="held")
    with pytest.raises(ClientError, match="does not exist"):
        status(aws, "held")


def test_replicas_come_and_go_but_for_protected_ones_and_items_stay(aws: Aws) -> None:
    aws.create("moving", {"Table": global_table("moving", REGION, "eu-west-1")})
    aws.client("dynamodb").put_item(TableName="moving", Item={"pk": {"S": "a"}})
    leaving = aws.client("dynamodb", "eu-west-1")
    update(aws, "moving", {"Table": global_table("moving", REGION)})
    assert status(aws, "moving") == "UPDATE_ROLLBACK_COMPLETE"
    assert leaving.scan(TableName="moving")["Count"] == 1
    leaving.update_table(TableName="moving", DeletionProtectionEnabled=False)
    update(aws, "moving", {"Table": global_table("moving", REGION, "us-east-1")})
    assert status(aws, "moving") == "UPDATE_COMPLETE"
    assert "moving" not in leaving.list_tables()["TableNames"]
    for region in (REGION, "us-east-1"):
        assert aws.client("dynamodb", region).scan(TableName="moving")["Count"] == 1


def test_what_cannot_be_changed_here_is_said(aws: Aws) -> None:
    def certificate(name: str) -> dict[str, Any]:
        return {"Type": "AWS::CertificateManager::Certificate", "Properties": {"DomainName": name}}

    aws.create("changed", {"Certificate": certificate("a.anfl.test")})
    update(aws, "changed", {"Certificate": certificate("b.anfl.test")})
    assert status(aws, "changed") == "UPDATE_ROLLBACK_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName="changed")["StackEvents"]
    assert any("cannot be changed in the embedded AWS" in str(event.get("ResourceStatusReason")) for event in events)


def update(aws: Aws, name: str, resources: dict[str, Any]) -> None:
    template = json.dumps({"Resources": resources})
    aws.client("cloudformation").update_stack(StackName=name, TemplateBody=template)


def test_a_network_goes_with_its_stack_once_its_load_balancer_is_protected_no_more(aws: Aws) -> None:
    network = {"Ref": "Network"}
    protected = {"Key": "deletion_protection.enabled", "Value": "true"}
    subnet = {"VpcId": network, "CidrBlock": "10.8.1.0/24"}
    balancer = {"Scheme": "internal", "Subnets": [{"Ref": "Subnet"}], "LoadBalancerAttributes": [protected]}
    aws.create(
        "network",
        {
            "Network": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.8.0.0/16"}},
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": subnet},
            "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": network}},
            "OfSubnet": {
                "Type": "AWS::EC2::SubnetRouteTableAssociation",
                "Properties": {"RouteTableId": {"Ref": "Routes"}, "SubnetId": {"Ref": "Subnet"}},
            },
            "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": balancer},
        },
    )
    vpc = aws.resource("network", "Network")["physical_id"]
    arn = aws.resource("network", "Balancer")["physical_id"]
    cloudformation = aws.client("cloudformation")
    cloudformation.delete_stack(StackName="network")
    assert status(aws, "network") == "DELETE_FAILED"
    attributes = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    aws.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    cloudformation.delete_stack(StackName="network")
    with pytest.raises(ClientError, match="does not exist"):
        status(aws, "network")
    assert vpc not in {found["VpcId"] for found in aws.client("ec2").describe_vpcs()["Vpcs"]}


def test_asking_for_what_was_deleted_makes_nothing_anew(aws: Aws) -> None:
    named = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "deleted-queue"}}
    aws.create("deleted", {"Queue": named}, Outputs={"Address": {"Value": {"Ref": "Queue"}}})
    cloudformation = aws.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="deleted")["Stacks"]
    cloudformation.delete_stack(StackName="deleted")
    cloudformation.describe_stacks(StackName=stack["StackId"])
    cloudformation.list_stack_resources(StackName=stack["StackId"])
    assert "QueueUrls" not in aws.client("sqs").list_queues(QueueNamePrefix="deleted-queue")


def test_a_record_goes_and_changes_without_its_siblings_of_other_regions(aws: Aws) -> None:
    def record(region: str, address: str) -> dict[str, Any]:
        name = {"Name": "api.shared.test.", "Type": "A", "SetIdentifier": region, "Region": region}
        zone = {"HostedZoneId": {"Fn::ImportValue": "shared-zone"}, "TTL": "60", "ResourceRecords": [address]}
        return {"Record": {"Type": "AWS::Route53::RecordSet", "Properties": name | zone}}

    def listed() -> dict[str, str]:
        answer = aws.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return {
            found["Region"]: found["ResourceRecords"][0]["Value"]
            for found in answer
            if found["Name"].startswith("api.")
        }

    exported = {"Zone": {"Value": {"Ref": "Zone"}, "Export": {"Name": "shared-zone"}}}
    aws.create(
        "shared",
        {"Zone": {"Type": "AWS::Route53::HostedZone", "Properties": {"Name": "shared.test"}}},
        Outputs=exported,
    )
    zone = aws.resource("shared", "Zone")["physical_id"]
    for region, address in (("us-west-1", "10.0.0.1"), ("us-east-1", "10.0.0.2")):
        aws.create(f"shared-{region}", record(region, address))
    cloudformation = aws.client("cloudformation")
    changed = json.dumps({"Resources": record("us-east-1", "10.0.0.3")})
    cloudformation.update_stack(StackName="shared-us-east-1", TemplateBody=changed)
    assert listed() == {"us-west-1": "10.0.0.1", "us-east-1": "10.0.0.3"}
    cloudformation.delete_stack(StackName="shared-us-west-1")
    assert listed() == {"us-east-1": "10.0.0.3"}
    cloudformation.delete_stack(StackName="shared-us-east-1")
    cloudformation.delete_stack(StackName="shared")
    with pytest.raises(ClientError, match="NoSuchHostedZone"):
        listed()
