"""What the internet could reach: nothing but the stated edge."""

from collections.abc import Iterator

from tests.infrastructure.conftest import Template
from tests.infrastructure.estate import Estate, Item, Verdict
from tests.infrastructure.policies import statements

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_EVERYWHERE = {"0.0.0.0/0", "::/0"}
_HTTPS = 443
_BALANCERS = ("AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancing::LoadBalancer")
_EDGE = {
    "AWS::ApiGateway::RestApi": "service",
    "AWS::CloudFront::Distribution": "edge",
    "AWS::GlobalAccelerator::Accelerator": "edge",
    "AWS::Grafana::Workspace": "telemetry",
}
"""What answers from the internet, and the layer that it stands in. Grafana's sign-in is AWS's own, by SAML."""
_OTHER_EDGES = {
    "AWS::ApiGatewayV2::Api",
    "AWS::AppRunner::Service",
    "AWS::AppSync::GraphQLApi",
    "AWS::EC2::Instance",
    "AWS::Lambda::Url",
    "AWS::Lightsail::Instance",
    "AWS::Transfer::Server",
}
_DATABASES = {
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster",
    "AWS::OpenSearchService::Domain",
}


def buckets_are_private(estate: Estate) -> Iterator[Verdict]:
    """Whatever a policy or a list of an object says: nobody without an identity."""
    for item in estate.of("AWS::S3::Bucket"):
        blocks = item.properties.get("PublicAccessBlockConfiguration", {})
        private = all(blocks.get(block) is True for block in _BLOCKS)
        site = "WebsiteConfiguration" in item.properties or "AccessControl" in item.properties
        yield item.verdict(private and not site, "may be opened to everybody")
    for item in estate.of("AWS::S3::BucketPolicy"):
        template = Template(item.place.name, {"Resources": {item.id: dict(item.whole)}})
        yield item.verdict(
            not any("*" in s.principals for s in statements(template) if s.allows), "lets everybody into its bucket"
        )


def databases_are_private(estate: Estate) -> Iterator[Verdict]:
    """In subnets without a way in from the internet."""
    for item in estate.of(*_DATABASES):
        public = item.properties.get("PubliclyAccessible", item.type == "AWS::RDS::DBInstance")
        subnets = _subnets(estate, item)
        inside = bool(subnets) and not any(_faces_internet(estate, subnet) for subnet in subnets)
        yield item.verdict(public in (False, "false") and inside, "is a database that the internet may reach")


def balancers_are_internal(estate: Estate) -> Iterator[Verdict]:
    """Without a scheme a load balancer faces the internet."""
    for item in estate.of(*_BALANCERS):
        inside = not any(_faces_internet(estate, subnet) for subnet in _subnets(estate, item))
        yield item.verdict(item.properties.get("Scheme") == "internal" and inside, "faces the internet")


def nothing_inside_has_a_public_address(estate: Estate) -> Iterator[Verdict]:
    """Instances, tasks and subnets; gateways for the way out are the only ones with an address."""
    for item in estate.of("AWS::EC2::Subnet"):
        given = item.properties.get("MapPublicIpOnLaunch", False)
        yield item.verdict(given in (False, "false"), "gives every instance a public address")
    for item in estate.of("AWS::EC2::LaunchTemplate"):
        interfaces = item.properties["LaunchTemplateData"].get("NetworkInterfaces", [])
        public = any(interface.get("AssociatePublicIpAddress") for interface in interfaces)
        yield item.verdict(not public, "gives its instances a public address")
    for item in estate.of("AWS::ECS::Service"):
        network = item.properties.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
        yield item.verdict(network.get("AssignPublicIp", "DISABLED") == "DISABLED", "gives its tasks a public address")


def only_the_accelerated_balancer_is_open(estate: Estate) -> Iterator[Verdict]:
    """Of all security groups its alone takes calls from anywhere, by HTTPS."""
    open_groups = {(group.place.name, group.id) for group in _groups_of_accelerated(estate)}
    for item in estate.of("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"):
        own = item.type == "AWS::EC2::SecurityGroup"
        rules = item.properties.get("SecurityGroupIngress", []) if own else [item.properties]
        groups = [item] if own else estate.mentioned(item, item.properties["GroupId"])
        stated = bool(groups) and all((group.place.name, group.id) in open_groups for group in groups)
        for rule in rules:
            if {rule.get("CidrIp"), rule.get("CidrIpv6")} & _EVERYWHERE:
                # Of all protocols at once a rule is for all ports, whichever it names.
                https = (rule.get("IpProtocol"), rule.get("FromPort"), rule.get("ToPort")) == ("tcp", _HTTPS, _HTTPS)
                yield item.verdict(stated and https, f"takes calls from anywhere on port {rule.get('FromPort')}")


def only_the_stated_edge_answers(estate: Estate) -> Iterator[Verdict]:
    """The regional API, CloudFront and the accelerator."""
    for item in estate.of(*_EDGE, *_OTHER_EDGES):
        layer = item.place.name.rsplit("-", 1)[-1]
        yield item.verdict(_EDGE.get(item.type) == layer, f"is no part of the stated edge: {item.type} in {layer}")


RULES = (
    buckets_are_private,
    databases_are_private,
    balancers_are_internal,
    nothing_inside_has_a_public_address,
    only_the_accelerated_balancer_is_open,
    only_the_stated_edge_answers,
)


def _subnets(estate: Estate, item: Item) -> list[Item]:
    """In which something stands, by itself or by the group of subnets that it names."""
    direct = estate.mentioned(item, dict(item.properties))
    groups = [found for found in direct if found.type.endswith("SubnetGroup")]
    inside = [*direct, *(subnet for group in groups for subnet in estate.mentioned(group, dict(group.properties)))]
    return [found for found in inside if found.type == "AWS::EC2::Subnet"]


def _faces_internet(estate: Estate, subnet: Item) -> bool:
    """Whether the routes of a subnet lead to an internet gateway."""
    for association in estate.of("AWS::EC2::SubnetRouteTableAssociation"):
        if subnet in estate.mentioned(association, association.properties["SubnetId"]):
            tables = estate.mentioned(association, association.properties["RouteTableId"])
            routes = [r for r in estate.of("AWS::EC2::Route") if "GatewayId" in r.properties]
            if any(
                table in estate.mentioned(route, route.properties["RouteTableId"])
                for route in routes
                for table in tables
            ):
                return True
    return False


def _groups_of_accelerated(estate: Estate) -> Iterator[Item]:
    for endpoints in estate.of("AWS::GlobalAccelerator::EndpointGroup"):
        for balancer in estate.mentioned(endpoints, endpoints.properties["EndpointConfigurations"]):
            yield from estate.mentioned(balancer, balancer.properties.get("SecurityGroups", []))
