"""The edge that belongs to no region: documentation behind CloudFront, and Global Accelerator."""

from datetime import timedelta

from aws_cdk import CfnOutput, CrossStackReferences, ReferenceStrength, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53_targets as targets
from constructs import Construct
from constructs.accelerated_entry import AcceleratedEntry
from constructs.alias_record import AliasRecord
from constructs.documentation_site import DocumentationSite
from constructs.durations import days
from constructs.firewall import Scope, WebFirewall
from constructs.key_policy import key_policy
from constructs.location import here
from constructs.secure_bucket import SecureBucket
from constructs.statements import Statement, policy, services
from constructs.zone_certificate import ZoneCertificate

from stacks.base import AnflStack
from stacks.global_keys import PENDING_WINDOW_DAYS
from stacks.models import Settings
from stacks.names import PublicNames
from stacks.security import HTTPS
from stacks.units import Region


class GlobalEdge(AnflStack):
    """Stands in us-east-1 wherever the regions are: CloudFront takes its certificate and firewall from there alone."""

    def __init__(self, scope: Construct, *, settings: Settings, names: PublicNames) -> None:
        """Create everything of the edge that ``settings`` ask for."""
        name = settings.name("global", "edge")
        super().__init__(scope, name, settings=settings, region=Region.US_EAST_1, description="CloudFront, accelerator")
        self.names = names
        self._key = self._edge_key()
        self._site()
        self.ingest = self._accelerator() if settings.deployment.global_accelerator else None

    def _edge_key(self) -> kms.Key:
        """A key of its own: CloudFront reads with it what everybody may read, and nothing else."""
        from_here = {"aws:SourceAccount": here(self).account}
        distributions = here(self).arn("cloudfront", "distribution/*", region="")
        statements = [
            *key_policy(self),
            Statement(
                sid="CloudFrontReads",
                principal=services("cloudfront.amazonaws.com"),
                actions=["kms:Decrypt"],
                resources=["*"],
                # Not the one distribution: it names the bucket, which names the key.
                conditions={"StringEquals": from_here, "ArnLike": {"aws:SourceArn": distributions}},
            ),
            Statement(
                sid="FlowLogsAreWritten",
                principal=services("delivery.logs.amazonaws.com"),
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": from_here},
            ),
        ]
        return kms.Key(
            self,
            "EdgeKey",
            description=f"ANFL {self.settings.environment}: documentation and logs of the edge",
            alias=f"alias/{self.settings.name('edge')}",
            enable_key_rotation=True,
            rotation_period=days(self.settings.encryption.at_rest.key_rotation.days),
            pending_window=days(PENDING_WINDOW_DAYS),
            policy=policy(statements),
            removal_policy=RemovalPolicy.RETAIN if self.retain else RemovalPolicy.DESTROY,
        )

    def _bucket(self, label: str, *, expiry: timedelta | None = None) -> SecureBucket:
        return SecureBucket(
            self,
            label,
            name=self.settings.name(label.lower(), here(self).account),
            key=self._key,
            noncurrent_retention=self.settings.deployment.storage.noncurrent_retention,
            retain=self.retain,
            expiry=expiry,
        )

    def _site(self) -> None:
        name, deployment = self.settings.name("site"), self.settings.deployment
        firewall = None
        if deployment.firewall is not None:
            firewall = WebFirewall(
                self,
                "Firewall",
                name=name,
                protects=Scope.CLOUDFRONT,
                firewall=deployment.firewall,
                network_cidr=None,
                key=self._key,
                log_retention_days=deployment.log_retention_days,
                retain=self.retain,
            )
        bucket = self._bucket("Documentation")
        certificate = ZoneCertificate(self, "Certificate", names=[self.names.domain], zone_id=self.names.zone_id)
        site = DocumentationSite(
            self,
            "Site",
            name=name,
            domain=self.names.domain,
            bucket=bucket,
            certificate_arn=certificate.ref,
            web_acl_arn=firewall.arn if firewall else None,
            log_group=self.log_group("SiteLogs", self._key),
        )
        for kind in ("A", "AAAA"):
            AliasRecord(
                self,
                f"Site{kind}",
                zone_id=self.names.zone_id,
                name=self.names.domain,
                kind=kind,
                target=site.resource.attr_domain_name,
                target_zone_id=targets.CloudFrontTarget.CLOUDFRONT_ZONE_ID,
            )
        CfnOutput(self, "DocumentationBucket", value=bucket.bucket_name, description="Holds what the site shows")
        CfnOutput(self, "DistributionId", value=site.resource.ref, description="Invalidate it after an upload")

    def _accelerator(self) -> AcceleratedEntry:
        retention = timedelta(days=self.settings.deployment.log_retention_days)
        entry = AcceleratedEntry(
            self,
            "Ingest",
            name=self.settings.name("ingest"),
            port=HTTPS,
            log_bucket=self._bucket("Edge-Logs", expiry=retention),
        )
        AliasRecord(
            self,
            "IngestA",
            zone_id=self.names.zone_id,
            name=self.names.ingest,
            target=entry.resource.attr_dns_name,
            target_zone_id=targets.GlobalAcceleratorTarget.GLOBAL_ACCELERATOR_ZONE_ID,
        )
        for resource in (entry.resource, entry.listener):
            CrossStackReferences.of(resource).produce(ReferenceStrength.WEAK)
        return entry
