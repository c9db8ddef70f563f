"""Who may talk to whom, the firewall, and the region's certificate."""

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct
from constructs.firewall import WebFirewall
from constructs.region_network import RegionNetwork
from constructs.vault_groups import VaultGroups
from constructs.zone_certificate import ZoneCertificate

from stacks.base import AnflStack
from stacks.models import Settings
from stacks.names import PublicNames
from stacks.units import Region

SERVICE_PORT = 8080
"""On which services listen."""
VAULT_PORT = 8200
HTTPS = 443
CACHE_PORT = 6380
"""Not the one that everybody tries first."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The region's certificate and the name below which API Gateway reaches the balancer."""

    arn: str
    host: str


class SecurityStack(AnflStack):
    """Security groups that name their peers, the firewall, and the certificate of the region's names."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Settings,
        region: Region,
        network: RegionNetwork,
        key_arn: str,
        names: PublicNames | None,
    ) -> None:
        """:param key_arn: the data key in ``region``. :param names: None where there is no domain."""
        name = settings.name(region, "security")
        super().__init__(
            scope, name, settings=settings, region=region, description="security groups, firewall, certificate"
        )
        self._vpc = network.vpc_in(self)
        self._cidr = network.cidr
        self.link = self._group("Link", "VPC link of API Gateway")
        self.balancer = self._group("Balancer", "internal load balancer")
        self.services = self._group("Services", "tasks of the ECS services")
        self.instances = self._group("Instances", "ECS container instances")
        self.functions = self._group("Functions", "Lambda functions")
        self.cache = self._group("Cache", "Valkey cache") if settings.deployment.cache else None
        self.vault = self._vault_groups()
        self._region = region
        self._endpoints = self._group_of_endpoints(network)
        self._connect()
        self.certificate = None if names is None else self._certificate(names.regional_api(region), names)
        self.firewall = self._firewall(key_arn)
        self._gateway_logging()

    @property
    def listener_port(self) -> int:
        """Port of the balancer: HTTPS where there is a certificate to offer."""
        return HTTPS if self.settings.domain else 80

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self,
            f"{name}Group",
            vpc=self._vpc,
            description=f"{self.settings.name()}: {description}",
            allow_all_outbound=False,
        )

    def _vault_groups(self) -> VaultGroups | None:
        if self.settings.deployment.vault.cluster is None:
            return None
        return VaultGroups(self, "Vault", name=self.settings.name(), vpc=self._vpc)

    def _connect(self) -> None:
        listener, service = ec2.Port.tcp(self.listener_port), ec2.Port.tcp(SERVICE_PORT)
        self.link.add_egress_rule(self.balancer, listener, "to the balancer")
        self.balancer.add_ingress_rule(self.link, listener, "from API Gateway")
        self.balancer.add_egress_rule(self.services, service, "to the services")
        self.services.add_ingress_rule(self.balancer, service, "from the balancer")
        self.services.add_ingress_rule(self.services, service, "from other tasks")
        self.services.add_egress_rule(self.services, service, "to other tasks")
        for group in (self.services, self.functions):
            if self.vault:
                self.vault.admit(group)
            else:
                group.add_egress_rule(ec2.Peer.ipv4(self._cidr), ec2.Port.tcp(VAULT_PORT), "to Vault")
        if self.cache:
            for group, who in ((self.services, "the services"), (self.functions, "the functions")):
                group.add_egress_rule(self.cache, ec2.Port.tcp(CACHE_PORT), "to the cache")
                self.cache.add_ingress_rule(group, ec2.Port.tcp(CACHE_PORT), f"from {who}")
        callers = {"ServicesGroup": self.services, "FunctionsGroup": self.functions, "InstancesGroup": self.instances}
        if self.vault:
            callers |= {"VaultNodes": self.vault.nodes, "VaultBootstrap": self.vault.bootstrap}
        https = ec2.Port.tcp(HTTPS)
        for name, group in callers.items():
            self._reach_aws(name, group, https)

    def _reach_aws(self, name: str, group: ec2.SecurityGroup, https: ec2.Port) -> None:
        """Let the members of ``group`` call AWS by the network's endpoints; without any, by NAT to anywhere."""
        if self._endpoints is None:
            group.add_egress_rule(ec2.Peer.any_ipv4(), https, "to AWS")
            return
        group.add_egress_rule(self._endpoints, https, "to AWS")
        if group is self.functions and self.settings.deployment.tokens.issuers:
            group.add_egress_rule(ec2.Peer.any_ipv4(), https, "to the keys of OpenID Connect issuers")
        self._endpoints.add_ingress_rule(group, https, f"from {name}")
        lists = self.settings.deployment.endpoints.prefix_lists[self._region]
        for service, prefix_list in (("S3", lists.s3), ("DynamoDB", lists.dynamodb)):
            ec2.CfnSecurityGroupEgress(  # by itself: the L2 rule's logical id would carry the list's
                self,
                f"{name}To{service}",
                group_id=group.security_group_id,
                destination_prefix_list_id=prefix_list,
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                description=f"to {service}",
            )

    def _group_of_endpoints(self, network: RegionNetwork) -> ec2.ISecurityGroup | None:
        if network.endpoints_group_id is None:
            return None
        return ec2.SecurityGroup.from_security_group_id(
            self, "EndpointsGroup", network.endpoints_group_id, allow_all_outbound=False
        )

    def _certificate(self, host: str, names: PublicNames) -> Certificate:
        certificate = ZoneCertificate(self, "Certificate", names=[host, names.api, names.ingest], zone_id=names.zone_id)
        return Certificate(arn=certificate.ref, host=host)

    def _firewall(self, key_arn: str) -> WebFirewall | None:
        deployment = self.settings.deployment
        if deployment.firewall is None:
            return None
        return WebFirewall(
            self,
            "Firewall",
            name=self.settings.name(),
            firewall=deployment.firewall,
            network_cidr=self._cidr,
            key=kms.Key.from_key_arn(self, "DataKey", key_arn),
            log_retention_days=deployment.log_retention_days,
            retain=self.retain,
        )

    def _gateway_logging(self) -> None:
        """API Gateway writes logs under one role for each account and region; it outlives this stack for the others."""
        role = iam.Role(
            self,
            "GatewayLogging",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonAPIGatewayPushToCloudWatchLogs")
            ],
        )
        account = apigateway.CfnAccount(self, "GatewayAccount", cloud_watch_role_arn=role.role_arn)
        for resource in (role, account):
            resource.apply_removal_policy(RemovalPolicy.RETAIN)
