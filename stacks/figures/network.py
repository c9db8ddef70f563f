"""What realises ``network``."""

from stacks.figures.inspection import Inspection, Rule, Rules, equals
from stacks.figures.templates import Resource


def _regions(look: Inspection) -> None:
    wanted = look.settings.all_regions
    for network in look.in_every_region("network", "AWS::EC2::VPC"):
        look.note(network, "region of its stack", network.region, agrees=network.region in wanted)
    if look.settings.deployment.global_accelerator:
        for group in look.in_every_region("edge", "AWS::GlobalAccelerator::EndpointGroup"):
            look.show(group, "EndpointGroupRegion", equals(group.region))
    for stack, region in look.templates.regions.items():
        if region not in wanted:
            look.miss(stack, f"{region} in the architecture")
    for table in look.in_stack(look.name("global", "data"), "AWS::DynamoDB::GlobalTable"):
        replicas = [replica["Region"] for replica in table.get("Replicas")]
        look.note(table, "Replicas.*.Region", replicas, agrees=sorted(replicas) == sorted(wanted))


def _zones(look: Inspection) -> None:
    """Public ones; what has a name inside a network alone is none of the architecture's."""
    stack = look.name("global", "dns")
    zones = [zone for zone in look.templates.of("AWS::Route53::HostedZone") if not zone.get("VPCs")]
    look.show_list(stack, zones, "Name")
    if not zones and not look.figure.value:
        look.waive("the environment has no domain")


def _cidr(look: Inspection) -> None:
    for vpc in look.in_every_region("network", "AWS::EC2::VPC"):
        look.show(vpc, "CidrBlock", equals(look.figure.value))


def _subnets(way_out: str) -> Rule:
    """Subnets whose default route leads through what ``way_out`` names."""

    def rule(look: Inspection) -> None:
        for region in look.settings.regions:
            stack = look.name(region, "network")
            subnets = look.templates.of("AWS::EC2::Subnet", stack=stack)
            found = [subnet for subnet in subnets if any(route.get(way_out) for route in _routes(look, subnet))]
            look.show_list(stack, found, "CidrBlock")

    return rule


def _routes(look: Inspection, subnet: Resource) -> list[Resource]:
    templates = look.templates
    return [
        route
        for association in templates.referring(subnet, "SubnetId", "AWS::EC2::SubnetRouteTableAssociation")
        for table in templates.referred(association, "RouteTableId", "AWS::EC2::RouteTable")
        for route in templates.referring(table, "RouteTableId", "AWS::EC2::Route")
    ]


RULES: Rules = {
    "network.global.regions": _regions,
    "network.global.route53.zones": _zones,
    "network.vpc.cidr": _cidr,
    "network.vpc.subnets.public": _subnets("GatewayId"),
    "network.vpc.subnets.private": _subnets("NatGatewayId"),
}
