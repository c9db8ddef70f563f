"""VPC, subnets, routes, endpoints, flow logs; who may talk to whom."""

from collections.abc import Iterator

import pytest

from tests.infrastructure.conftest import Assembly, Template

PUBLIC = {"10.0.1.0/24": "a", "10.0.2.0/24": "b"}
PRIVATE = {"10.0.10.0/24": "a", "10.0.11.0/24": "b"}


def layer(assembly: Assembly, name: str) -> Iterator[tuple[str, Template]]:
    """The stacks of one layer with their regions."""
    stacks = assembly.regional(name)
    assert stacks
    yield from stacks.items()


def test_every_region_has_exactly_the_networks_of_the_architecture(assembly: Assembly) -> None:
    for region, stack in layer(assembly, "network"):
        assert stack.only("AWS::EC2::VPC")["CidrBlock"] == "10.0.0.0/16"
        subnets = {s["CidrBlock"]: s["AvailabilityZone"] for s in stack.properties("AWS::EC2::Subnet")}
        assert subnets == {network: region + zone for network, zone in (PUBLIC | PRIVATE).items()}


def test_no_subnet_hands_out_public_addresses(assembly: Assembly) -> None:
    for _, stack in layer(assembly, "network"):
        assert all(subnet["MapPublicIpOnLaunch"] is False for subnet in stack.properties("AWS::EC2::Subnet"))


@pytest.mark.parametrize(("environment", "gateways"), [("prod", 2), ("dev", 1)])
def test_private_subnets_leave_by_nat(request: pytest.FixtureRequest, environment: str, gateways: int) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    for _, stack in layer(assembly, "network"):
        assert len(stack.resources("AWS::EC2::NatGateway")) == gateways
        defaults = [route for route in stack.properties("AWS::EC2::Route") if "NatGatewayId" in route]
        assert len(defaults) == len(PRIVATE)
        assert len({route["NatGatewayId"]["Ref"] for route in defaults}) == gateways


def test_only_public_subnets_reach_the_internet_gateway(assembly: Assembly) -> None:
    for _, stack in layer(assembly, "network"):
        (route,) = (route for route in stack.properties("AWS::EC2::Route") if "GatewayId" in route)
        subnets = stack.resources("AWS::EC2::Subnet")
        routed = {
            subnets[association["SubnetId"]["Ref"]]["Properties"]["CidrBlock"]
            for association in stack.properties("AWS::EC2::SubnetRouteTableAssociation")
            if association["RouteTableId"] == route["RouteTableId"]
        }
        assert routed == set(PUBLIC)


def test_storage_is_reached_without_the_internet(assembly: Assembly) -> None:
    for region, stack in layer(assembly, "network"):
        endpoints = stack.properties("AWS::EC2::VPCEndpoint")
        assert {endpoint["ServiceName"] for endpoint in endpoints} == {
            f"com.amazonaws.{region}.s3",
            f"com.amazonaws.{region}.dynamodb",
        }
        for endpoint in endpoints:
            assert endpoint["VpcEndpointType"] == "Gateway"
            assert len(endpoint["RouteTableIds"]) == len(PRIVATE)


def test_refused_traffic_is_recorded_under_the_data_key(assembly: Assembly) -> None:
    for _, stack in layer(assembly, "network"):
        assert stack.only("AWS::EC2::FlowLog")["TrafficType"] == "REJECT"
        assert "KmsKeyId" in stack.only("AWS::Logs::LogGroup")


_NOTHING = ("255.255.255.255/32", "icmp", 252, 86)
"""What stands in a group without other rules, so that EC2 does not add its own: everything."""


def _rules(stack: Template, direction: str) -> set[tuple[str, str, int]]:
    """(group, peer, TCP port) of every rule, inside the groups and beside them."""
    groups = stack.resources("AWS::EC2::SecurityGroup")
    names = {name: group["Properties"]["GroupDescription"].split(": ")[1] for name, group in groups.items()}
    declared = [
        (names[name], rule)
        for name, group in groups.items()
        for rule in group["Properties"].get(f"SecurityGroup{direction}", [])
    ]
    declared += [
        (names[rule["GroupId"]["Fn::GetAtt"][0]], rule)
        for rule in stack.properties(f"AWS::EC2::SecurityGroup{direction}")
    ]
    found = set()
    for name, rule in declared:
        peer = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
        target = names[peer["Fn::GetAtt"][0]] if peer else rule["CidrIp"]
        if (target, rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) != _NOTHING:
            assert rule["IpProtocol"] == "tcp"
            assert rule["FromPort"] == rule["ToPort"]
            found.add((name, target, rule["ToPort"]))
    return found


@pytest.mark.parametrize(("environment", "listener"), [("prod", 443), ("dev", 80)])
def test_who_may_be_called_by_whom(request: pytest.FixtureRequest, environment: str, listener: int) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    link, balancer, tasks = "VPC link of API Gateway", "internal load balancer", "tasks of the ECS services"
    functions, instances = "Lambda functions", "ECS container instances"
    for _, stack in layer(assembly, "security"):
        assert _rules(stack, "Ingress") == {(balancer, link, listener), (tasks, balancer, 8080), (tasks, tasks, 8080)}
        assert _rules(stack, "Egress") == {
            (link, balancer, listener),
            (balancer, tasks, 8080),
            (tasks, tasks, 8080),
            (tasks, "10.0.0.0/16", 8200),
            (tasks, "0.0.0.0/0", 443),
            (functions, "10.0.0.0/16", 8200),
            (functions, "0.0.0.0/0", 443),
            (instances, "0.0.0.0/0", 443),
        }


def test_no_group_is_left_to_the_default_of_letting_everything_out(assembly: Assembly) -> None:
    for _, stack in layer(assembly, "security"):
        beside = {rule["GroupId"]["Fn::GetAtt"][0] for rule in stack.properties("AWS::EC2::SecurityGroupEgress")}
        for name, group in stack.resources("AWS::EC2::SecurityGroup").items():
            assert group["Properties"].get("SecurityGroupEgress") or name in beside


def test_the_certificate_of_a_region_covers_its_names(prod: Assembly) -> None:
    for region, stack in layer(prod, "security"):
        certificate = stack.only("AWS::CertificateManager::Certificate")
        names = [certificate["DomainName"], *certificate["SubjectAlternativeNames"]]
        assert names == [f"{region}.api.lib.aeonova.com", "api.lib.aeonova.com", "ingest.lib.aeonova.com"]
        assert certificate["ValidationMethod"] == "DNS"
        assert [option["DomainName"] for option in certificate["DomainValidationOptions"]] == names


def test_without_a_domain_there_is_no_certificate(dev: Assembly) -> None:
    for _, stack in layer(dev, "security"):
        assert not stack.resources("AWS::CertificateManager::Certificate")
