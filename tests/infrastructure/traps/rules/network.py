"""Networks and the ways into them."""

import re
from collections.abc import Iterator

from stacks.settings import load
from tests.infrastructure.estate import Estate, Item, Verdict

_ANYBODY = "0.0.0.0/0"


def zones_are_of_their_region(estate: Estate) -> Iterator[Verdict]:
    """Without zones in the settings the CDK makes them up: ``dummy1a``."""
    for item in estate.of("AWS::EC2::Subnet"):
        zone = item.properties.get("AvailabilityZone")
        named = isinstance(zone, str) and re.fullmatch(rf"{item.place.region}[a-z]", zone)
        yield item.verdict(named, f"is in {zone}, which is no zone of {item.place.region}")


def subnets_are_the_architectures(estate: Estate) -> Iterator[Verdict]:
    """The CDK's own VPC divides its addresses as it likes."""
    vpc = load(estate.environment).network.vpc
    wanted = sorted(str(network) for network in (*vpc.subnets.public, *vpc.subnets.private))
    for item in estate.of("AWS::EC2::VPC"):
        inside = [subnet for subnet in estate.of("AWS::EC2::Subnet") if _in(estate, subnet, item)]
        found = sorted(str(subnet.properties["CidrBlock"]) for subnet in inside)
        yield item.verdict(item.properties["CidrBlock"] == str(vpc.cidr) and found == wanted, f"has subnets {found}")


def links_have_security_groups(estate: Estate) -> Iterator[Verdict]:
    """A VPC link without a group of its own gets the VPC's default one."""
    for item in estate.of("AWS::ApiGatewayV2::VpcLink"):
        yield item.verdict(item.properties.get("SecurityGroupIds"), "has no security group")


def clients_may_reach_the_balancer(estate: Estate) -> Iterator[Verdict]:
    """With their addresses preserved it is clients whom the balancer's group sees, not the accelerator."""
    for item in estate.of("AWS::GlobalAccelerator::EndpointGroup"):
        for endpoint in item.properties["EndpointConfigurations"]:
            balancer = estate.target(item, endpoint["EndpointId"], "AWS::ElasticLoadBalancingV2::LoadBalancer")
            if endpoint.get("ClientIPPreservationEnabled", True):
                open_ports = _open_to_anybody(estate, balancer) if balancer else set()
                ports = _listens_on(estate, balancer) if balancer else {0}
                yield item.verdict(ports <= open_ports, "keeps clients' addresses, which the balancer's group refuses")


def _in(estate: Estate, subnet: Item, vpc: Item) -> bool:
    return estate.target(subnet, subnet.properties["VpcId"], "AWS::EC2::VPC") == vpc


def _listens_on(estate: Estate, balancer: Item) -> set[int]:
    return {
        int(item.properties["Port"])
        for item in estate.of("AWS::ElasticLoadBalancingV2::Listener")
        if balancer in estate.mentioned(item, item.properties["LoadBalancerArn"])
    }


def _open_to_anybody(estate: Estate, balancer: Item) -> set[int]:
    groups = estate.mentioned(balancer, balancer.properties.get("SecurityGroups", []))
    rules = [rule for group in groups for rule in group.properties.get("SecurityGroupIngress", [])]
    rules += [
        item.properties
        for item in estate.of("AWS::EC2::SecurityGroupIngress")
        if any(group in groups for group in estate.mentioned(item, item.properties["GroupId"]))
    ]
    return {int(rule["FromPort"]) for rule in rules if rule.get("CidrIp") == _ANYBODY}
