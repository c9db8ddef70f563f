"""A region's network: zones, subnets, ways out."""

from stacks.diagrams.flowchart import WORLD, Flowchart
from stacks.figures.templates import Resource, Templates


def draw(templates: Templates) -> str:
    """The first region's; the others are equal but for the names of their zones."""
    (vpc, *_) = templates.of("AWS::EC2::VPC")
    subnets = templates.of("AWS::EC2::Subnet", stack=vpc.stack)
    chart = Flowchart("LR")
    with chart.group("vpc", f"VPC {vpc.get('CidrBlock')} in {vpc.region}"):
        for zone in sorted({subnet.get("AvailabilityZone") for subnet in subnets}):
            with chart.group(zone):
                for subnet in subnets:
                    if subnet.get("AvailabilityZone") == zone:
                        chart.node(subnet.id, f"{_name(subnet)}\n{subnet.get('CidrBlock')}")
                for gateway in templates.of("AWS::EC2::NatGateway", stack=vpc.stack):
                    (place,) = templates.targets(gateway, "SubnetId")
                    if place.get("AvailabilityZone") == zone:
                        chart.node(gateway.id, "NAT gateway")
        endpoints = templates.of("AWS::EC2::VPCEndpoint", stack=vpc.stack)
        for kind in ("Gateway", "Interface"):
            names = sorted(_service(one) for one in endpoints if one.get("VpcEndpointType") == kind)
            if names:
                chart.node(kind, f"{kind.lower()} endpoints\n{_lines(names)}")
    chart.node("internet", shape=WORLD)
    for subnet in subnets:
        (association,) = templates.referring(subnet, "SubnetId", "AWS::EC2::SubnetRouteTableAssociation")
        (table,) = templates.targets(association, "RouteTableId")
        for route in templates.referring(table, "RouteTableId", "AWS::EC2::Route"):
            chart.edge(subnet.id, _way(templates, route), route.get("DestinationCidrBlock"))
        for kind in sorted({e.get("VpcEndpointType") for e in endpoints if _serves(templates, e, subnet, table)}):
            chart.edge(subnet.id, kind, dotted=True)
    for gateway in templates.of("AWS::EC2::NatGateway", stack=vpc.stack):
        (place,) = templates.targets(gateway, "SubnetId")
        chart.edge(gateway.id, "internet", f"by {_name(place)}")
    return str(chart)


def _name(resource: Resource) -> str:
    tags = {tag["Key"]: tag["Value"] for tag in resource.get("Tags")}
    return str(tags["Name"]).rpartition("-")[2]


def _service(endpoint: Resource) -> str:
    return str(endpoint.get("ServiceName")).removeprefix(f"com.amazonaws.{endpoint.region}.")


def _way(templates: Templates, route: Resource) -> str:
    nat = templates.targets(route, "NatGatewayId")
    return nat[0].id if nat else "internet"


def _serves(templates: Templates, endpoint: Resource, subnet: Resource, table: Resource) -> bool:
    """By an interface in the subnet, or a route in its table."""
    return subnet in templates.targets(endpoint, "SubnetIds") or table in templates.targets(endpoint, "RouteTableIds")


def _lines(names: list[str]) -> str:
    """Four names a line."""
    return "\n".join(", ".join(names[start : start + 4]) for start in range(0, len(names), 4))
