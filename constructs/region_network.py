"""A region's VPC with exactly the subnets of the settings: the L2 VPC would choose its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Acknowledgment, CfnTag, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.flow_logs import log_refused
from constructs.private_endpoints import PrivateEndpoints

from stacks.architecture import Vpc
from stacks.deployment import Endpoints

_ZONES_ARE_SETTINGS = Acknowledgment(
    id="CloudFormation-Validate::W3010",
    reason="deployment.availability_zones names the zones; Fn::GetAZs chooses others where an account has more",
)


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """One subnet and its route table."""

    zone: str
    id: str
    route_table: str


class RegionNetwork(Construct):
    """VPC, public and private subnets, NAT gateways, endpoints of AWS services, flow logs."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        vpc: Vpc,
        zones: Sequence[str],
        nat_gateways: int,
        endpoints: Endpoints,
        ceilings: Mapping[str, Sequence[str]],
        log_group: logs.ILogGroup,
    ) -> None:
        """:param zones: as many as there are subnets of each kind, in their order.

        :param ceilings: by service with an endpoint: the actions that pass.
        """
        super().__init__(scope, id)
        self._name = name
        self._zones = list(zones)
        self.cidr = str(vpc.cidr)
        self._vpc = ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=self.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags(),
        )
        self.vpc_id = self._vpc.ref
        self.public = self._public_subnets([str(network) for network in vpc.subnets.public])
        gateways = self._nat_gateways(nat_gateways)
        self.private = self._private_subnets([str(network) for network in vpc.subnets.private], gateways)
        self.endpoints_group_id = self._endpoints(endpoints, ceilings)
        """Security group of the interface endpoints; None where there are none."""
        log_refused(self, vpc_id=self.vpc_id, log_group=log_group)

    @property
    def private_subnet_ids(self) -> list[str]:
        """Ids of the private subnets, in the order of the zones."""
        return [subnet.id for subnet in self.private]

    def vpc_in(self, scope: Construct) -> ec2.IVpc:
        """This VPC as constructs of another stack want it."""
        return ec2.Vpc.from_vpc_attributes(
            scope,
            "Vpc",
            vpc_id=self.vpc_id,
            vpc_cidr_block=self.cidr,
            availability_zones=self._zones,
            public_subnet_ids=[subnet.id for subnet in self.public],
            public_subnet_route_table_ids=[subnet.route_table for subnet in self.public],
            private_subnet_ids=self.private_subnet_ids,
            private_subnet_route_table_ids=[subnet.route_table for subnet in self.private],
        )

    def _public_subnets(self, networks: list[str]) -> list[Subnet]:
        internet = ec2.CfnInternetGateway(self, "Internet", tags=self._tags())
        self._internet = ec2.CfnVPCGatewayAttachment(
            self, "InternetAttachment", vpc_id=self.vpc_id, internet_gateway_id=internet.ref
        )
        table = ec2.CfnRouteTable(self, "PublicRoutes", vpc_id=self.vpc_id, tags=self._tags("public"))
        route = ec2.CfnRoute(
            self,
            "PublicDefault",
            route_table_id=table.ref,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=internet.ref,
        )
        route.add_resource_dependency(self._internet)
        return [
            self._subnet(f"Public{position + 1}", zone, network, table.ref)
            for position, (zone, network) in enumerate(zip(self._zones, networks, strict=True))
        ]

    def _nat_gateways(self, count: int) -> list[str]:
        gateways = []
        for position, subnet in enumerate(self.public[:count], start=1):
            address = ec2.CfnEIP(self, f"NatAddress{position}", domain="vpc", tags=self._tags(f"nat-{position}"))
            address.add_resource_dependency(self._internet)
            gateway = ec2.CfnNatGateway(
                self,
                f"Nat{position}",
                subnet_id=subnet.id,
                allocation_id=address.attr_allocation_id,
                tags=self._tags(f"nat-{position}"),
            )
            gateway.add_resource_dependency(self._internet)
            gateways.append(gateway.ref)
        return gateways

    def _private_subnets(self, networks: list[str], gateways: list[str]) -> list[Subnet]:
        subnets = []
        for position, (zone, network) in enumerate(zip(self._zones, networks, strict=True)):
            number = position + 1
            table = ec2.CfnRouteTable(
                self, f"PrivateRoutes{number}", vpc_id=self.vpc_id, tags=self._tags(f"private-{number}")
            )
            ec2.CfnRoute(
                self,
                f"PrivateDefault{number}",
                route_table_id=table.ref,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[position % len(gateways)],
            )
            subnets.append(self._subnet(f"Private{number}", zone, network, table.ref))
        return subnets

    def _subnet(self, name: str, zone: str, network: str, route_table: str) -> Subnet:
        subnet = ec2.CfnSubnet(
            self,
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=network,
            map_public_ip_on_launch=False,
            tags=self._tags(name.lower()),
        )
        Validations.of(subnet).acknowledge(_ZONES_ARE_SETTINGS)
        ec2.CfnSubnetRouteTableAssociation(self, f"{name}Routing", subnet_id=subnet.ref, route_table_id=route_table)
        return Subnet(zone=zone, id=subnet.ref, route_table=route_table)

    def _endpoints(self, endpoints: Endpoints, ceilings: Mapping[str, Sequence[str]]) -> str | None:
        return PrivateEndpoints(
            self,
            "Endpoints",
            name=self._name,
            vpc_id=self.vpc_id,
            route_tables=[subnet.route_table for subnet in self.private],
            services=endpoints.interface,
            subnets={
                service: [s.id for s in self.private if service not in endpoints.absent.get(s.zone, ())]
                for service in endpoints.interface
            },
            ceilings=ceilings,
        ).security_group_id

    def _tags(self, *parts: str) -> list[CfnTag]:
        return [CfnTag(key="Name", value="-".join((self._name, *parts)))]
