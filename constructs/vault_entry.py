"""The way to a region's Vault: certificate, load balancer, and a name that exists inside the network alone."""

from collections.abc import Sequence

from aws_cdk import CfnTag
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from constructs import Construct
from constructs.alias_record import AliasRecord
from constructs.vault_groups import API_PORT
from constructs.zone_certificate import ZoneCertificate

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-3-2021-06"
HEALTH_PATH = "/v1/sys/health?standbyok=true"
"""A standby node passes requests on. What is sealed or not initialised answers 503 or 501."""


class VaultEntry(Construct):
    """Internal network load balancer: TLS 1.3 up to it, TLS again up to the nodes."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        name: str,
        host: str,
        public_zone_id: str,
        vpc_id: str,
        region: str,
        subnet_ids: Sequence[str],
        security_group_id: str,
        retain: bool,
    ) -> None:
        """:param host: the private name. :param public_zone_id: of the zone in which it is proven to ACM."""
        super().__init__(scope, id)
        # The nodes present the same certificate, so it can be exported; nobody but they may do that.
        certificate = ZoneCertificate(self, "Certificate", names=[host], zone_id=public_zone_id)
        certificate.certificate_export = "ENABLED"
        self.certificate_arn = certificate.ref
        attribute = elb.CfnLoadBalancer.LoadBalancerAttributeProperty
        balancer = elb.CfnLoadBalancer(
            self,
            "Balancer",
            name=name,
            type="network",
            scheme="internal",
            subnets=list(subnet_ids),
            security_groups=[security_group_id],
            load_balancer_attributes=[
                attribute(key="deletion_protection.enabled", value=str(retain).lower()),
                attribute(key="load_balancing.cross_zone.enabled", value="true"),
            ],
        )
        self.target_group = self._target_group(vpc_id)
        elb.CfnListener(
            self,
            "Listener",
            load_balancer_arn=balancer.ref,
            port=API_PORT,
            protocol="TLS",
            ssl_policy=TLS_POLICY,
            certificates=[elb.CfnListener.CertificateProperty(certificate_arn=self.certificate_arn)],
            default_actions=[elb.CfnListener.ActionProperty(type="forward", target_group_arn=self.target_group.ref)],
        )
        zone = route53.CfnHostedZone(
            self,
            "Zone",
            name=host,
            vpcs=[route53.CfnHostedZone.VPCProperty(vpc_id=vpc_id, vpc_region=region)],
            hosted_zone_tags=[route53.CfnHostedZone.HostedZoneTagProperty(key="Name", value=name)],
        )
        AliasRecord(
            self,
            "Record",
            zone_id=zone.ref,
            name=host,
            target=balancer.attr_dns_name,
            target_zone_id=balancer.attr_canonical_hosted_zone_id,
        )

    def _target_group(self, vpc_id: str) -> elb.CfnTargetGroup:
        attribute = elb.CfnTargetGroup.TargetGroupAttributeProperty
        return elb.CfnTargetGroup(
            self,
            "Nodes",
            vpc_id=vpc_id,
            target_type="instance",
            protocol="TLS",
            port=API_PORT,
            health_check_enabled=True,
            # By TLS 1.2, which is all that health checks speak; requests are passed on by TLS 1.3.
            health_check_protocol="HTTPS",
            health_check_path=HEALTH_PATH,
            health_check_interval_seconds=10,
            health_check_timeout_seconds=6,
            healthy_threshold_count=2,
            unhealthy_threshold_count=2,
            matcher=elb.CfnTargetGroup.MatcherProperty(http_code="200"),
            target_group_attributes=[
                attribute(key="deregistration_delay.timeout_seconds", value="30"),
                attribute(key="deregistration_delay.connection_termination.enabled", value="true"),
                # So that the audit log knows the caller.
                attribute(key="preserve_client_ip.enabled", value="true"),
            ],
            tags=[CfnTag(key="Name", value="vault")],
        )
