"""Nothing but the stated edge is reached from the internet, and no secret stands where it can be read."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.infrastructure import exposure, secrecy
from tests.infrastructure.conftest import Assembly
from tests.infrastructure.estate import Estate, Place, Verdict, estate_of

Rule = Callable[[Estate], Iterator[Verdict]]
RULES: tuple[Rule, ...] = (*exposure.RULES, *secrecy.RULES)


@pytest.fixture(scope="module")
def estates(prod: Assembly, dev: Assembly) -> Mapping[str, Estate]:
    return {"prod": estate_of("prod", prod), "dev": estate_of("dev", dev)}


@pytest.mark.parametrize("environment", ["prod", "dev"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_environment_keeps_the_rule(estates: Mapping[str, Estate], rule: Rule, environment: str) -> None:
    found = [f"{verdict.subject} {verdict.wrong}" for verdict in rule(estates[environment]) if verdict.wrong]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_looks_at_something_that_is_deployed(estates: Mapping[str, Estate], rule: Rule) -> None:
    assert list(rule(estates["prod"]))


BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
READ_BY_ALL = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Principal": "*"}]}
PUBLIC_SUBNET = {
    "Gateway": {"Type": "AWS::EC2::InternetGateway"},
    "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": "vpc-1"}},
    "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": "vpc-1"}},
    "Route": {
        "Type": "AWS::EC2::Route",
        "Properties": {"RouteTableId": {"Ref": "Table"}, "GatewayId": {"Ref": "Gateway"}},
    },
    "Routing": {
        "Type": "AWS::EC2::SubnetRouteTableAssociation",
        "Properties": {"SubnetId": {"Ref": "Subnet"}, "RouteTableId": {"Ref": "Table"}},
    },
}
INSIDE = {"Type": "AWS::ElastiCache::SubnetGroup", "Properties": {"SubnetIds": [{"Ref": "Subnet"}]}}


def one(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Doctored": {"Type": kind, "Properties": properties}}


def data(script: str) -> dict[str, Any]:
    return one("AWS::EC2::LaunchTemplate", LaunchTemplateData={"UserData": {"Fn::Base64": script}})


def variables(**values: Any) -> dict[str, Any]:
    return one("AWS::Lambda::Function", Environment={"Variables": values})


def container(name: str, value: Any) -> dict[str, Any]:
    return one("AWS::ECS::TaskDefinition", ContainerDefinitions=[{"Environment": [{"Name": name, "Value": value}]}])


DOCTORED: tuple[tuple[Rule, dict[str, Any]], ...] = (
    (exposure.buckets_are_private, one("AWS::S3::Bucket")),
    (
        exposure.buckets_are_private,
        one("AWS::S3::Bucket", PublicAccessBlockConfiguration={**BLOCKED, "BlockPublicPolicy": False}),
    ),
    (
        exposure.buckets_are_private,
        one("AWS::S3::Bucket", PublicAccessBlockConfiguration=BLOCKED, WebsiteConfiguration={"IndexDocument": "i"}),
    ),
    (exposure.buckets_are_private, one("AWS::S3::BucketPolicy", Bucket="b", PolicyDocument=READ_BY_ALL)),
    (exposure.databases_are_private, one("AWS::RDS::DBInstance", PubliclyAccessible=True)),
    (exposure.databases_are_private, one("AWS::RDS::DBInstance")),
    (exposure.databases_are_private, one("AWS::OpenSearchService::Domain", DomainName="d")),
    (
        exposure.databases_are_private,
        PUBLIC_SUBNET
        | {"Group": INSIDE}
        | one("AWS::ElastiCache::ReplicationGroup", CacheSubnetGroupName={"Ref": "Group"}),
    ),
    (exposure.balancers_are_internal, one("AWS::ElasticLoadBalancingV2::LoadBalancer", Type="network")),
    (exposure.balancers_are_internal, one("AWS::ElasticLoadBalancing::LoadBalancer", Scheme="internet-facing")),
    (
        exposure.balancers_are_internal,
        PUBLIC_SUBNET
        | one("AWS::ElasticLoadBalancingV2::LoadBalancer", Scheme="internal", Subnets=[{"Ref": "Subnet"}]),
    ),
    (exposure.nothing_inside_has_a_public_address, one("AWS::EC2::Subnet", MapPublicIpOnLaunch=True)),
    (
        exposure.nothing_inside_has_a_public_address,
        one("AWS::EC2::LaunchTemplate", LaunchTemplateData={"NetworkInterfaces": [{"AssociatePublicIpAddress": True}]}),
    ),
    (
        exposure.nothing_inside_has_a_public_address,
        one("AWS::ECS::Service", NetworkConfiguration={"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED"}}),
    ),
    (
        exposure.only_the_accelerated_balancer_is_open,
        one("AWS::EC2::SecurityGroup", SecurityGroupIngress=[{"CidrIp": "0.0.0.0/0", "FromPort": 22, "ToPort": 22}]),
    ),
    (
        exposure.only_the_accelerated_balancer_is_open,
        one("AWS::EC2::SecurityGroupIngress", GroupId="sg-1", CidrIpv6="::/0", FromPort=443, ToPort=443),
    ),
    (exposure.only_the_stated_edge_answers, one("AWS::Lambda::Url", AuthType="NONE")),
    (exposure.only_the_stated_edge_answers, one("AWS::ApiGateway::RestApi", Name="another")),
    (secrecy.environments_hold_no_secret, variables(DB_PASSWORD="correct horse")),
    (secrecy.environments_hold_no_secret, variables(VAULT_TOKEN={"Ref": "Parameter"})),
    (secrecy.environments_hold_no_secret, variables(INNOCENT="{{resolve:secretsmanager:s:SecretString}}")),
    (secrecy.environments_hold_no_secret, variables(ADDRESS="redis://user:horse@cache:6379")),
    (secrecy.environments_hold_no_secret, container("INNOCENT", "AKIA" + "A" * 16)),
    (secrecy.environments_hold_no_secret, container("CLIENT_SECRET", "battery")),
    (secrecy.user_data_hold_no_secret, data("#!/bin/bash\nexport VAULT_TOKEN=abcdefgh12345\n")),
    (secrecy.user_data_hold_no_secret, data('token = "hvs.' + "A" * 24 + '"')),
    (secrecy.user_data_hold_no_secret, data("cat <<END\n-----BEGIN EC PRIVATE KEY-----\nEND")),
    (secrecy.templates_hold_no_secret, one("AWS::SecretsManager::Secret", SecretString="staple")),
    (secrecy.templates_hold_no_secret, one("AWS::ElastiCache::User", Passwords=["correct horse battery"])),
    (secrecy.templates_hold_no_secret, one("AWS::SSM::Parameter", Value="eyJhbGciOiJI.eyJzdWIiOiIx.c2ln")),
)


def estate(**document: Any) -> Estate:
    return Estate(environment="prod", places={"a-stack": Place(name="a-stack", region="eu-west-1", document=document)})


@pytest.mark.parametrize(("rule", "resources"), DOCTORED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_doctored_template_is_found(rule: Rule, resources: dict[str, Any]) -> None:
    wrong = [verdict.subject for verdict in rule(estate(Resources=resources)) if verdict.wrong]
    assert any("Doctored" in subject for subject in wrong)


@pytest.mark.parametrize(
    "parameters",
    [
        {"DatabasePassword": {"Type": "String"}},
        {"Innocent": {"Type": "String", "NoEcho": True}},
        {"Innocent": {"Type": "String", "Default": "ghp_" + "a" * 36}},
    ],
)
def test_a_doctored_parameter_is_found(parameters: dict[str, Any]) -> None:
    assert [v for v in secrecy.parameters_hold_no_secret(estate(Parameters=parameters)) if v.wrong]


@pytest.mark.parametrize(
    "outputs",
    [
        {"ApiKey": {"Value": "0123456789"}},
        {"Innocent": {"Value": {"Fn::Join": ["", ["{{resolve:ssm-secure:", "/a", "}}"]]}}},
        {"Innocent": {"Value": {"Fn::GetAtt": ["Key", "SecretAccessKey"]}}},
    ],
)
def test_a_doctored_output_is_found(outputs: dict[str, Any]) -> None:
    assert [v for v in secrecy.outputs_hold_no_secret(estate(Outputs=outputs)) if v.wrong]


def test_every_rule_has_a_doctored_template() -> None:
    by_themselves = {secrecy.parameters_hold_no_secret, secrecy.outputs_hold_no_secret}
    assert {rule for rule, _ in DOCTORED} | by_themselves == set(RULES)


def test_the_name_of_a_secret_is_none(estates: Mapping[str, Estate]) -> None:
    """Vault's bootstrap is told which secret it writes; that it is told so is what makes the rule worth something."""
    told = [v.subject for v in secrecy.environments_hold_no_secret(estates["prod"])]
    assert [subject for subject in told if subject.endswith("VAULT_RECOVERY_SECRET")]
