"""What answers requests in a region. Its parts: `service_functions`, `service_containers`, `service_api`."""

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_wafv2 as waf
from constructs import Construct
from constructs.firewall import WebFirewall
from constructs.region_network import RegionNetwork

from anfl.auth.policies import POLICIES_OF
from anfl.resources import Service
from stacks.access import Parts
from stacks.base import AnflStack
from stacks.models import Settings
from stacks.scaling import scale
from stacks.security import SecurityStack
from stacks.service_api import api_in
from stacks.service_containers import containers_in
from stacks.service_functions import functions_in
from stacks.storage import StorageStack
from stacks.telemetry import TelemetryStack
from stacks.units import Region
from stacks.vault import VaultStack


class ServiceStack(AnflStack):
    """One region's functions, services and API."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        security: SecurityStack,
        storage: StorageStack,
        telemetry: TelemetryStack,
        vault: VaultStack | None,
        key_arn: str,
    ) -> None:
        """:param vault: None where somebody else runs it. :param key_arn: the data key in ``region``."""
        name = settings.name(region, "service")
        super().__init__(scope, name, settings=settings, region=region, description="functions, services, API")
        key = kms.Key.from_key_arn(self, "DataKey", key_arn)
        parts = Parts(self, settings=settings, region=region, storage=storage, key_arn=key_arn)
        self.functions = functions_in(self, network=network, security=security, storage=storage, parts=parts, key=key)
        containers = containers_in(
            self, network=network, security=security, parts=parts, key=key, prometheus=telemetry.prometheus
        )
        self.balancer, self.clusters, self.services = containers.balancer, containers.clusters, containers.services
        self.scaling = scale(
            self,
            cluster=self.clusters[Service.VECTOR_STORE],
            service=self.services[Service.VECTOR_STORE],
            figures=settings.scaling.vector_processing,
        )
        self.access_log = self.log_group("ApiAccessLogs", key)
        self.api = api_in(
            self,
            network=network,
            security=security,
            functions=self.functions,
            balancer=self.balancer,
            log_group=self.access_log,
        )
        if security.firewall:
            self._guard(security.firewall)
        if vault:
            self._let_in(vault)
        if security.certificate is None:
            CfnOutput(self, "ApiUrl", value=self.api.url, description="Base address of the region's API")
        CfnOutput(self, "BalancerDnsName", value=self.balancer.balancer.attr_dns_name)

    def _let_in(self, vault: VaultStack) -> None:
        """Tell Vault the roles of all who log in to it."""
        parts: dict[str, iam.IRole] = {function: built.own_role for function, built in self.functions.items()}
        parts |= {service: built.role for service, built in self.services.items()}
        roles = {str(name): role.role_arn for name, role in parts.items() if name in POLICIES_OF}
        vault.configure(self, "VaultRoles", roles)

    def _guard(self, firewall: WebFirewall) -> None:
        """Put the region's firewall before the API and the balancer."""
        for name, arn in (("Api", self.api.stage_arn), ("Balancer", self.balancer.arn)):
            waf.CfnWebACLAssociation(self, f"{name}Firewall", web_acl_arn=firewall.arn, resource_arn=arn)
