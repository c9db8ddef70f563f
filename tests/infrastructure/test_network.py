"""VPC, subnets, routes, endpoints, flow logs; who may talk to whom."""

import json
from collections.abc import Iterator

import pytest

from tests.infrastructure.conftest import Assembly, Properties, Template

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


def test_what_needs_the_internet_gateway_waits_until_it_is_attached(assembly: Assembly) -> None:
    """CloudFormation sees no reference: an address or a NAT gateway that is made first fails with NotAttached."""
    for _, stack in layer(assembly, "network"):
        (attachment,) = stack.resources("AWS::EC2::VPCGatewayAttachment")
        for kind in ("AWS::EC2::EIP", "AWS::EC2::NatGateway"):
            found = stack.resources(kind)
            assert found
            assert all(attachment in resource.get("DependsOn", []) for resource in found.values())


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


def endpoints(stack: Template, kind: str) -> dict[str, Properties]:
    """Endpoints of a kind, by the end of their services' names."""
    found = [e for e in stack.properties("AWS::EC2::VPCEndpoint") if e["VpcEndpointType"] == kind]
    return {endpoint["ServiceName"].split(".", 3)[3]: endpoint for endpoint in found}


def test_storage_is_reached_without_the_internet(assembly: Assembly) -> None:
    for region, stack in layer(assembly, "network"):
        gateways = endpoints(stack, "Gateway")
        assert gateways.keys() == {"s3", "dynamodb"}
        for service, endpoint in gateways.items():
            assert endpoint["ServiceName"] == f"com.amazonaws.{region}.{service}"
            assert len(endpoint["RouteTableIds"]) == len(PRIVATE)


CALLED = {
    *("aps-workspaces", "ec2", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry"),
    *("kms", "logs", "monitoring", "secretsmanager", "sqs", "ssm", "ssmmessages", "sts", "xray"),
}
"""What functions, tasks, instances and Vault call beside S3 and DynamoDB."""


def test_prod_calls_aws_within_its_network_in_every_zone(prod: Assembly) -> None:
    for region, stack in layer(prod, "network"):
        interfaces = endpoints(stack, "Interface")
        assert interfaces.keys() >= CALLED
        (group,) = stack.resources("AWS::EC2::SecurityGroup")
        for service, endpoint in interfaces.items():
            assert endpoint["ServiceName"] == f"com.amazonaws.{region}.{service}"
            assert endpoint["PrivateDnsEnabled"] is True
            assert len(endpoint["SubnetIds"]) == len(PRIVATE)
            assert all("Private" in subnet["Ref"] for subnet in endpoint["SubnetIds"])
            assert endpoint["SecurityGroupIds"] == [{"Fn::GetAtt": [group, "GroupId"]}]


def test_dev_pays_for_no_interface_endpoint(dev: Assembly) -> None:
    for _, stack in layer(dev, "network"):
        assert not endpoints(stack, "Interface")
        assert not stack.resources("AWS::EC2::SecurityGroup")


def test_no_endpoint_serves_another_account(assembly: Assembly) -> None:
    own = {"Ref": "AWS::AccountId"}
    by_address = {"ImageLayers": "s3:GetObject", "AnswersOfCustomResources": "s3:PutObject"}
    by_address["SystemPackages"] = "s3:GetObject"
    for _, stack in layer(assembly, "network"):
        for kind in ("Gateway", "Interface"):
            for service, endpoint in endpoints(stack, kind).items():
                if service in {"ecs-agent", "ecs-telemetry"}:  # they take none
                    assert "PolicyDocument" not in endpoint
                    continue
                for statement in endpoint["PolicyDocument"]["Statement"]:
                    if statement["Sid"] in by_address:  # AWS has signed these
                        assert service == "s3"
                        assert statement["Action"] == by_address[statement["Sid"]]
                        assert statement["Resource"].startswith("arn:aws:s3:::")
                        continue
                    equal = statement["Condition"]["StringEquals"]
                    assert equal["aws:PrincipalAccount"] == own
                    assert kind == "Interface" or equal["aws:ResourceAccount"] == own


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

    def named(group: Properties) -> str:
        if "Fn::ImportValue" in group:
            assert "NetworkEndpointsGroup" in group["Fn::ImportValue"]
            return ENDPOINTS
        return str(names[group["Fn::GetAtt"][0]])

    declared = [
        (names[name], rule)
        for name, group in groups.items()
        for rule in group["Properties"].get(f"SecurityGroup{direction}", [])
    ]
    declared += [(named(rule["GroupId"]), rule) for rule in stack.properties(f"AWS::EC2::SecurityGroup{direction}")]
    found = set()
    for name, rule in declared:
        peer = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
        target = named(peer) if peer else rule.get("DestinationPrefixListId") or rule["CidrIp"]
        if (target, rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) != _NOTHING:
            assert rule["IpProtocol"] == "tcp"
            assert rule["FromPort"] == rule["ToPort"]
            found.add((name, target, rule["ToPort"]))
    return found


ENDPOINTS = "endpoints of AWS services"
LINK, BALANCER, TASKS = "VPC link of API Gateway", "internal load balancer", "tasks of the ECS services"
CACHE = "Valkey cache"
FUNCTIONS, INSTANCES = "Lambda functions", "ECS container instances"
VAULT, NODES, BOOTSTRAP = "load balancer of Vault", "Vault nodes", "bootstrap of Vault"
PREFIX_LISTS = {
    "us-west-1": ("pl-6ba54002", "pl-6ea54007"),
    "us-east-1": ("pl-63a5400a", "pl-02cd2c6b"),
    "eu-west-1": ("pl-6da54004", "pl-6fa54006"),
}
"""Of S3 and DynamoDB, as AWS has named them."""


def _connections(listener: int) -> tuple[set[tuple[str, str, int]], set[tuple[str, str, int]]]:
    """Rules in and out that do not depend on how AWS is reached."""
    ingress = {(BALANCER, LINK, listener), (TASKS, BALANCER, 8080), (TASKS, TASKS, 8080)}
    ingress |= {(CACHE, client, 6380) for client in (TASKS, FUNCTIONS)}
    return ingress, {(peer, group, port) for group, peer, port in ingress}


def test_in_prod_every_rule_names_its_peer(prod: Assembly) -> None:
    for region, stack in layer(prod, "security"):
        ingress, egress = _connections(443)
        own = {(NODES, VAULT, 8200), (NODES, BOOTSTRAP, 8200)}
        own |= {(VAULT, client, 8200) for client in (TASKS, FUNCTIONS)} | {
            (NODES, NODES, port) for port in (8200, 8201)
        }
        ingress |= own
        egress |= {(peer, group, port) for group, peer, port in own}
        callers = (TASKS, FUNCTIONS, INSTANCES, NODES, BOOTSTRAP)
        assert _rules(stack, "Ingress") == ingress | {(ENDPOINTS, caller, 443) for caller in callers}
        peers = (ENDPOINTS, *PREFIX_LISTS[region])
        assert _rules(stack, "Egress") == egress | {(caller, peer, 443) for caller in callers for peer in peers}


def test_in_dev_aws_is_reached_over_nat(dev: Assembly) -> None:
    for _, stack in layer(dev, "security"):
        ingress, egress = _connections(80)
        assert _rules(stack, "Ingress") == ingress
        anywhere = {(caller, "0.0.0.0/0", 443) for caller in (TASKS, FUNCTIONS, INSTANCES)}
        vault = {(caller, "10.0.0.0/16", 8200) for caller in (TASKS, FUNCTIONS)}
        assert _rules(stack, "Egress") == egress | anywhere | vault


def test_no_group_of_prod_is_open_to_the_world_or_calls_it(prod: Assembly) -> None:
    """But for the balancer's, which clients of Global Accelerator reach: ``test_edge.py`` has that rule."""
    for stack in prod:
        if stack.name.endswith("-edge"):
            continue
        for kind in ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress"):
            for name, resource in stack.resources(f"AWS::EC2::{kind}").items():
                text = json.dumps(resource["Properties"])
                assert "0.0.0.0/0" not in text, name
                assert "::/0" not in text, name


EGRESS = "AWS::EC2::SecurityGroupEgress"


def test_no_group_is_left_to_the_default_of_letting_everything_out(assembly: Assembly) -> None:
    for _, stack in (*layer(assembly, "network"), *layer(assembly, "security")):
        beside = {r["Properties"]["GroupId"]["Fn::GetAtt"][0] for r in stack.resources(EGRESS).values()}
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
