"""Endpoints of AWS services: none but the free ones, and everything set."""

from collections.abc import Callable

import pytest
from aws_cdk import Stack
from constructs.private_endpoints import PrivateEndpoints

from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]


@pytest.mark.defaults(of=PrivateEndpoints)
def test_without_services_there_are_the_gateways_alone(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: PrivateEndpoints(
            stack,
            "E",
            name="n",
            vpc_id="vpc-1",
            route_tables=["rtb-1"],
            services=[],
            subnets={},
            ceilings={"s3": ["s3:GetObject"], "dynamodb": ["dynamodb:GetItem", "dynamodb:Query"]},
        )
    )
    found = template.properties("AWS::EC2::VPCEndpoint")
    assert sorted(endpoint["ServiceName"] for endpoint in found) == [
        "com.amazonaws.eu-west-1.dynamodb",
        "com.amazonaws.eu-west-1.s3",
    ]
    assert all(endpoint["RouteTableIds"] == ["rtb-1"] for endpoint in found)
    tables = template.only("AWS::EC2::VPCEndpoint", ServiceName="com.amazonaws.eu-west-1.dynamodb")
    (passes,) = tables["PolicyDocument"]["Statement"]
    account = {"Ref": "AWS::AccountId"}
    assert passes["Action"] == ["dynamodb:GetItem", "dynamodb:Query"]
    assert passes["Condition"] == {"StringEquals": {"aws:PrincipalAccount": account, "aws:ResourceAccount": account}}
    objects = template.only("AWS::EC2::VPCEndpoint", ServiceName="com.amazonaws.eu-west-1.s3")
    own, *of_aws = objects["PolicyDocument"]["Statement"]
    assert own["Action"] == "s3:GetObject"
    assert {statement["Sid"] for statement in of_aws} == {"ImageLayers", "SystemPackages", "AnswersOfCustomResources"}
    assert not template.resources("AWS::EC2::SecurityGroup")


@pytest.mark.everything(of=PrivateEndpoints)
def test_an_endpoint_stands_where_aws_offers_it(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: PrivateEndpoints(
            stack,
            "E",
            name="n",
            vpc_id="vpc-1",
            route_tables=["rtb-1", "rtb-2"],
            services=["sqs", "ecs-agent"],
            subnets={"sqs": ["subnet-1", "subnet-2"], "ecs-agent": ["subnet-2"]},
            ceilings={
                "s3": ["s3:GetObject"],
                "dynamodb": ["dynamodb:GetItem"],
                "sqs": ["sqs:SendMessage"],
                "ecs-agent": ["ecs:Poll"],
            },
        )
    )
    queues = template.only("AWS::EC2::VPCEndpoint", ServiceName="com.amazonaws.eu-west-1.sqs")
    assert queues["SubnetIds"] == ["subnet-1", "subnet-2"]
    (passes,) = queues["PolicyDocument"]["Statement"]
    assert (passes["Sid"], passes["Action"]) == ("OwnIdentities", "sqs:SendMessage")
    assert passes["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
    agent = template.only("AWS::EC2::VPCEndpoint", ServiceName="com.amazonaws.eu-west-1.ecs-agent")
    assert agent["SubnetIds"] == ["subnet-2"]
    assert "PolicyDocument" not in agent
    group = template.only("AWS::EC2::SecurityGroup")
    assert [rule["CidrIp"] for rule in group["SecurityGroupEgress"]] == ["255.255.255.255/32"]
    assert "SecurityGroupIngress" not in group
