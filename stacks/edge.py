"""How the world reaches one region: its names, its health, its place behind the accelerator."""

from aws_cdk import CfnOutput
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_globalaccelerator as globalaccelerator
from constructs import Construct
from constructs.alias_record import AliasRecord
from constructs.api_name import ApiName
from constructs.region_health import RegionHealth, Unknown, Witness

from stacks.base import AnflStack
from stacks.global_watch import GlobalWatch
from stacks.models import Settings
from stacks.names import PublicNames
from stacks.security import HTTPS, SecurityStack
from stacks.service import ServiceStack
from stacks.units import Region


class EdgeStack(AnflStack):
    """The region registers itself: nothing global names it, so that it comes and goes alone."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        names: PublicNames,
        certificate_arn: str,
        security: SecurityStack,
        service: ServiceStack,
        listener: globalaccelerator.CfnListener | None,
        watch: GlobalWatch | None,
    ) -> None:
        """:param listener: of the accelerator. :param watch: over this region, from another; None where it is alone."""
        name = settings.name(region, "edge")
        super().__init__(scope, name, settings=settings, region=region, description="names, health, accelerator")
        self._region = region
        self._names = names
        own, shared = (
            ApiName(
                self,
                label,
                name=host,
                certificate_arn=certificate_arn,
                rest_api_id=service.api.id,
                stage=service.api.stage,
            )
            for label, host in (("RegionalName", names.regional_api(region)), ("SharedName", names.api))
        )
        self._record("RegionalRecord", own)
        self._record("SharedRecord", shared, health_check_id=self._health(own.name, watch))
        if listener is not None:
            self._accelerate(listener, security, service)
        CfnOutput(self, "ApiUrl", value=f"https://{own.name}", description="Base address of the region's API")

    def _record(self, label: str, host: ApiName, *, health_check_id: str | None = None) -> None:
        """With a health check: by latency, among the regions."""
        AliasRecord(
            self,
            label,
            zone_id=self._names.zone_id,
            name=host.name,
            target=host.target,
            target_zone_id=host.target_zone_id,
            region=self._region if health_check_id else None,
            health_check_id=health_check_id,
        )

    def _health(self, host: str, watch: GlobalWatch | None) -> str:
        edge = self.settings.deployment.edge
        witnesses = []
        if watch is not None:
            witnesses = [
                Witness(
                    label="Answers", alarm_name=watch.answers_alarm, region=watch.region, unknown=Unknown.LAST_KNOWN
                ),
                Witness(label="Drained", alarm_name=watch.drained_alarm, region=watch.region, unknown=Unknown.HEALTHY),
            ]
        return RegionHealth(
            self,
            "Health",
            name=self.settings.name(self._region),
            host=host,
            port=HTTPS,
            interval=edge.probe_interval,
            failures=edge.failures,
            witnesses=witnesses,
        ).id

    def _accelerate(
        self, listener: globalaccelerator.CfnListener, security: SecurityStack, service: ServiceStack
    ) -> None:
        """Of all that calls the balancer, clients come from anywhere, under their own addresses.

        Only by the accelerator, though: the balancer has no public address. Its health is that of its targets.
        """
        ec2.CfnSecurityGroupIngress(
            self,
            "Clients",
            group_id=security.balancer.security_group_id,
            cidr_ip="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="from clients, by way of Global Accelerator",
        )
        globalaccelerator.CfnEndpointGroup(
            self,
            "Endpoints",
            listener_arn=listener.attr_listener_arn,
            endpoint_group_region=self._region,
            endpoint_configurations=[
                globalaccelerator.CfnEndpointGroup.EndpointConfigurationProperty(
                    endpoint_id=service.balancer.arn, client_ip_preservation_enabled=True
                )
            ],
        )
