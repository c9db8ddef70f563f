"""What realises ``network``."""

from itertools import pairwise

from stacks.figures.inspection import Inspection, Rules, equals
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
    for parent, child in pairwise(zones):  # each is delegated from the one before it
        records = look.templates.referring(parent, "HostedZoneId", "AWS::Route53::RecordSet")
        delegated = [
            record
            for record in records
            if record.get("Type") == "NS" and look.templates.referred(record, "ResourceRecords", child.kind) == [child]
        ]
        for record in delegated:
            look.show(record, "Name", equals(child.get("Name")))
        if not delegated:
            look.miss(stack, f"AWS::Route53::RecordSet NS of {child.id}")
    if not zones and not look.figure.value:
        look.waive("the environment has no domain")


def _cidr(look: Inspection) -> None:
    for vpc in look.in_every_region("network", "AWS::EC2::VPC"):
        look.show(vpc, "CidrBlock", equals(look.figure.value))
        for further in look.templates.referring(vpc, "VpcId", "AWS::EC2::VPCCidrBlock"):
            look.note(further, "CidrBlock", further.get("CidrBlock"), agrees=False)


def _public(look: Inspection) -> None:
    """Subnets with a way to the internet's own gateway."""
    for region in look.settings.regions:
        stack = look.name(region, "network")
        subnets = look.templates.of("AWS::EC2::Subnet", stack=stack)
        look.show_list(stack, [subnet for subnet in subnets if _is_public(look, subnet)], "CidrBlock")


def _private(look: Inspection) -> None:
    """All others; each has a way out through a NAT gateway, for what it begins itself."""
    for region in look.settings.regions:
        stack = look.name(region, "network")
        subnets = look.templates.of("AWS::EC2::Subnet", stack=stack)
        found = [subnet for subnet in subnets if not _is_public(look, subnet)]
        look.show_list(stack, found, "CidrBlock")
        for subnet in found:
            gateways = [route.get("NatGatewayId") for route in _routes(look, subnet) if route.get("NatGatewayId")]
            look.note(subnet, "its route: NatGatewayId", gateways, agrees=len(gateways) == 1)


def _is_public(look: Inspection, subnet: Resource) -> bool:
    return any(route.get("GatewayId") for route in _routes(look, subnet))


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
    "network.vpc.subnets.public": _public,
    "network.vpc.subnets.private": _private,
}
