"""Deployed resources are described after intrinsic functions; what must be real is real."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import REGION, Aws

KEY_POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}


def test_properties_are_resolved_across_stacks_and_regions(aws: Aws) -> None:
    aws.create(
        "global",
        {"Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": KEY_POLICY, "MultiRegion": True}}},
        "us-east-1",
        Outputs={"KeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "key-arn"}}},
    )
    arn = {"Fn::GetStackOutput": {"StackName": "global", "OutputName": "KeyArn", "Region": "us-east-1"}}
    aws.create(
        "regional",
        {
            "Web": {
                "Type": "AWS::WAFv2::WebACL",
                "Properties": {
                    "Name": "web",
                    "Key": arn,
                    "Place": {"Fn::Sub": "${AWS::Region}/${AWS::AccountId}"},
                    "Joined": {"Fn::Join": ["-", ["a", {"Ref": "AWS::Partition"}]]},
                    "Chosen": {"Fn::If": ["Never", "yes", "no"]},
                    "Absent": {"Ref": "AWS::NoValue"},
                    "Image": {"Ref": "Ami"},
                },
            },
            "Skipped": {"Type": "AWS::WAFv2::IPSet", "Condition": "Never"},
            "User": {"Type": "AWS::WAFv2::Thing", "Properties": {"Of": {"Fn::GetAtt": ["Web", "Arn"]}}},
        },
        Conditions={"Never": {"Fn::Equals": ["a", "b"]}},
        Parameters={
            "Ami": {
                "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                "Default": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
            }
        },
    )
    key = aws.resource("global", "Key")["attributes"]["Arn"]
    web = aws.resource("regional", "Web")
    assert (web["region"], web["physical_id"]) == (REGION, "web")
    assert web["properties"].pop("Image").startswith("ami-")
    assert web["properties"] == {
        "Name": "web",
        "Key": key,
        "Place": f"{REGION}/123456789012",
        "Joined": "a-aws",
        "Chosen": "no",
    }
    assert aws.resource("regional", "User")["properties"]["Of"] == web["attributes"]["Arn"]
    assert "Skipped" not in {r["logical_id"] for r in aws.get("/_anfl/resources")}
    assert "AWS::WAFv2::WebACL" in aws.get("/_anfl/placeholders")
    assert "AWS::KMS::Key" not in aws.get("/_anfl/placeholders")


def test_references_give_what_aws_gives(aws: Aws) -> None:
    """Where moto gives an object, nothing, a name for an id, or an ARN of another form."""
    references = {
        "Deployment": {"Ref": "Deployment"},
        "Link": {"Ref": "Link"},
        "NameServers": {"Fn::GetAtt": ["Zone", "NameServers"]},
        "LogGroup": {"Fn::GetAtt": ["Log", "Arn"]},
    }
    aws.create(
        "references",
        {
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "api"}},
            "Method": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                    "HttpMethod": "GET",
                    "AuthorizationType": "NONE",
                    "Integration": {"Type": "HTTP_PROXY", "IntegrationHttpMethod": "GET", "Uri": "http://internal/"},
                },
            },
            "Deployment": {
                "Type": "AWS::ApiGateway::Deployment",
                "Properties": {"RestApiId": {"Ref": "Api"}},
                "DependsOn": "Method",
            },
            "Link": {"Type": "AWS::ApiGatewayV2::VpcLink", "Properties": {"Name": "link", "SubnetIds": []}},
            "Zone": {"Type": "AWS::Route53::HostedZone", "Properties": {"Name": "anfl.test"}},
            "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "spoken"}},
            "Web": {"Type": "AWS::WAFv2::WebACL", "Properties": references},
        },
    )
    given = aws.resource("references", "Web")["properties"]
    api = aws.resource("references", "Api")["physical_id"]
    (deployment,) = aws.client("apigateway").get_deployments(restApiId=api)["items"]
    assert given["Deployment"] == aws.resource("references", "Deployment")["physical_id"] == deployment["id"]
    assert given["Link"] == aws.resource("references", "Link")["physical_id"] != "link"
    assert len(given["NameServers"]) == 4
    group = f"arn:aws:logs:{REGION}:123456789012:log-group:spoken:*"
    assert given["LogGroup"] == aws.resource("references", "Log")["attributes"]["Arn"] == group


def test_replica_key_decrypts_what_the_primary_encrypted(aws: Aws) -> None:
    properties = {"KeyPolicy": KEY_POLICY, "MultiRegion": True}
    aws.create("primary", {"Key": {"Type": "AWS::KMS::Key", "Properties": properties}}, "us-east-1")
    primary = aws.resource("primary", "Key")
    aws.create(
        "replica",
        {
            "Key": {
                "Type": "AWS::KMS::ReplicaKey",
                "Properties": {"KeyPolicy": KEY_POLICY, "PrimaryKeyArn": primary["attributes"]["Arn"]},
            }
        },
        "eu-west-1",
    )
    replica = aws.resource("replica", "Key")
    assert replica["physical_id"] == primary["physical_id"]
    assert replica["physical_id"].startswith("mrk-")
    sealed = aws.client("kms", "us-east-1").encrypt(KeyId=primary["physical_id"], Plaintext=b"secret")
    opened = aws.client("kms", "eu-west-1").decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == b"secret"
    assert opened["KeyId"] == replica["attributes"]["Arn"]
    for region, arn in (("us-east-1", primary["attributes"]["Arn"]), ("eu-west-1", replica["attributes"]["Arn"])):
        kms = aws.client("kms", region)
        assert kms.describe_key(KeyId=arn)["KeyMetadata"]["MultiRegion"] is True
        assert json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]) == KEY_POLICY


def test_global_table_shows_the_same_items_in_every_region(aws: Aws, function: str) -> None:
    assert function
    key: dict[str, Any] = {"pk": {"S": "shared"}, "sk": {"S": "1"}}
    values = {
        "b": {"B": b"\x00\xff"},
        "bs": {"BS": [b"\xfe"]},
        "n": {"N": "1"},
        "t": {"BOOL": True},
        "null": {"NULL": True},
    }
    item = key | {"m": {"M": {"l": {"L": [{"M": values}]}}}, "ss": {"SS": ["s"]}} | values
    aws.client("dynamodb").put_item(TableName="events", Item=item)
    there = aws.client("dynamodb", "eu-west-1")
    assert there.get_item(TableName="events", Key=key)["Item"] == item
    assert there.batch_get_item(RequestItems={"events": {"Keys": [key]}})["Responses"]["events"] == [item]
    condition = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": key["pk"]}}
    assert there.query(TableName="events", **condition)["Items"] == [item]


def test_bucket_keeps_versions_where_it_is_declared(aws: Aws) -> None:
    declared = {"VersioningConfiguration": {"Status": "Enabled"}, "BucketName": "versioned"}
    blocked = {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}, "BucketName": "blocked"}
    bucket = "AWS::S3::Bucket"
    aws.create("buckets", {n: {"Type": bucket, "Properties": p} for n, p in (("A", declared), ("B", blocked))})
    s3 = aws.client("s3")
    versions = {s3.put_object(Bucket="versioned", Key="a", Body=body)["VersionId"] for body in (b"1", b"2")}
    assert len(versions) == 2
    for _ in range(2):
        listed = s3.list_object_versions(Bucket="versioned")["Versions"]
        assert [(each["VersionId"] in versions, each["IsLatest"], each["Size"]) for each in listed] == [
            (True, True, 1),
            (True, False, 1),
        ]
    assert s3.get_object(Bucket="versioned", Key="a")["Body"].read() == b"2"
    assert "VersionId" not in s3.put_object(Bucket="blocked", Key="a", Body=b"1")
    blocks = s3.get_public_access_block(Bucket="blocked")["PublicAccessBlockConfiguration"]
    assert (blocks["BlockPublicAcls"], blocks["BlockPublicPolicy"]) == (True, False)


def test_cancelled_transaction_changes_nothing_in_any_region(aws: Aws, function: str) -> None:
    assert function
    here, there = aws.client("dynamodb"), aws.client("dynamodb", "eu-west-1")
    key = {"pk": {"S": "transaction"}, "sk": {"S": "1"}}
    here.put_item(TableName="events", Item={**key, "n": {"N": "1"}})
    update = {"TableName": "events", "Key": key, "UpdateExpression": "SET n = :n"}
    failing = {"TableName": "events", "Key": {**key, "sk": {"S": "2"}}, "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        there.transact_write_items(
            TransactItems=[
                {"Update": {**update, "ExpressionAttributeValues": {":n": {"N": "2"}}}},
                {"ConditionCheck": failing},
            ]
        )
    there.put_item(TableName="events", Item={"pk": {"S": "transaction"}, "sk": {"S": "later"}})
    for client in (here, there):
        assert client.get_item(TableName="events", Key=key)["Item"]["n"] == {"N": "1"}
        assert "Item" in client.get_item(TableName="events", Key={**key, "sk": {"S": "later"}})


def test_concurrent_updates_lose_nothing(aws: Aws, function: str) -> None:
    assert function
    key = {"pk": {"S": "counter"}, "sk": {"S": "1"}}
    client = aws.client("dynamodb")

    def add(_: int) -> None:
        client.update_item(
            TableName="events",
            Key=key,
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(add, range(200)))
    assert client.get_item(TableName="events", Key=key)["Item"]["n"] == {"N": "200"}


def test_a_network_load_balancer_ends_tls(aws: Aws) -> None:
    """What moto takes for an application load balancer without its declared type."""
    kind = "AWS::ElasticLoadBalancingV2"
    properties = {"Name": "network-one", "Type": "network", "Scheme": "internal", "Subnets": [{"Ref": "Subnet"}]}
    action = {"Type": "forward", "TargetGroupArn": {"Ref": "Targets"}}
    listener = {"LoadBalancerArn": {"Ref": "Balancer"}, "Port": 8200, "Protocol": "TLS", "DefaultActions": [action]}
    network = {"Ref": "Network"}
    aws.create(
        "network-balancer",
        {
            "Network": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16"}},
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": network, "CidrBlock": "10.9.1.0/24"}},
            "Targets": {
                "Type": f"{kind}::TargetGroup",
                "Properties": {"VpcId": network, "Protocol": "TLS", "Port": 8200, "TargetType": "instance"},
            },
            "Balancer": {"Type": f"{kind}::LoadBalancer", "Properties": properties},
            "Listener": {"Type": f"{kind}::Listener", "Properties": listener},
        },
    )
    (found,) = aws.client("elbv2").describe_load_balancers(Names=["network-one"])["LoadBalancers"]
    assert found["Type"] == "network"
