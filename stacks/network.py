"""A region's network."""

from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.region_network import RegionNetwork

from stacks.base import AnflStack
from stacks.ceilings import CEILINGS
from stacks.models import Settings
from stacks.units import Region


class NetworkStack(AnflStack):
    """VPC, subnets, NAT, endpoints, flow logs."""

    def __init__(self, scope: Construct, *, settings: Settings, region: Region, key_arn: str) -> None:
        """:param key_arn: the data key in ``region``."""
        name = settings.name(region, "network")
        super().__init__(scope, name, settings=settings, region=region, description="network")
        deployment = settings.deployment
        logs = self.log_group("FlowLogGroup", kms.Key.from_key_arn(self, "DataKey", key_arn))
        self.network = RegionNetwork(
            self,
            "Network",
            name=settings.name(),
            vpc=settings.network.vpc,
            zones=deployment.availability_zones[region],
            nat_gateways=deployment.nat_gateways,
            endpoints=deployment.endpoints,
            ceilings=CEILINGS,
            log_group=logs,
        )
