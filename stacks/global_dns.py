"""Public zones. Its own stack: an operator delegates them before anything else asks for certificates."""

from aws_cdk import CfnOutput, CrossStackReferences, Fn, ReferenceStrength, RemovalPolicy
from aws_cdk import aws_route53 as route53
from constructs import Construct
from constructs.camel import camel

from stacks.base import AnflStack
from stacks.models import Settings


class GlobalDns(AnflStack):
    """The hosted zones of the architecture; a zone below another one is delegated by it."""

    def __init__(self, scope: Construct, *, settings: Settings) -> None:
        """Create every zone of ``settings``."""
        name = settings.name("global", "dns")
        super().__init__(scope, name, settings=settings, region=settings.primary_region, description="public zones")
        self._zones = {name: self._zone(name) for name in settings.network.global_.route53.zones}
        for name in self._zones:
            self._delegate(name)

    def zone_id(self, name: str) -> str:
        """The zone's id, usable in every region."""
        return self._zones[name].ref

    def _zone(self, name: str) -> route53.CfnHostedZone:
        label = camel(name)
        zone = route53.CfnHostedZone(self, label, name=name)
        if self.retain:
            zone.apply_removal_policy(RemovalPolicy.RETAIN)
        CrossStackReferences.of(zone).produce(ReferenceStrength.WEAK)
        CfnOutput(
            self,
            f"{label}NameServers",
            value=Fn.join(" ", zone.attr_name_servers),
            description=f"Delegate {name} to these name servers",
        )
        return zone

    def _delegate(self, name: str) -> None:
        parents = [zone for zone in self._zones if name.endswith(f".{zone}")]
        if not parents:
            return
        route53.CfnRecordSet(
            self,
            f"{camel(name)}Delegation",
            hosted_zone_id=self._zones[max(parents, key=len)].ref,
            name=name,
            type="NS",
            ttl="3600",
            resource_records=self._zones[name].attr_name_servers,
        )
