"""What realises ``encryption``."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from stacks.figures.inspection import Inspection, Rules, Test, begins, equals, present
from stacks.figures.templates import Resource

_AT_REST: Mapping[str, tuple[str, Test]] = {
    "AWS::S3::Bucket": (
        "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm",
        equals("aws:kms"),
    ),
    "AWS::DynamoDB::GlobalTable": ("SSESpecification.SSEType", equals("KMS")),
    "AWS::SQS::Queue": ("KmsMasterKeyId", present),
    "AWS::SNS::Topic": ("KmsMasterKeyId", present),
    "AWS::Logs::LogGroup": ("KmsKeyId", present),
    "AWS::APS::Workspace": ("KmsKeyArn", present),
    "AWS::Backup::BackupVault": ("EncryptionKeyArn", present),
    "AWS::ElastiCache::ReplicationGroup": ("KmsKeyId", present),
    "AWS::EC2::LaunchTemplate": ("LaunchTemplateData.BlockDeviceMappings.0.Ebs.KmsKeyId", present),
}
"""Where each type of resource that keeps data says how it is encrypted."""
_TRANSIT_TYPES: Mapping[str, str] = {"AES-256-GCM": "aes256-gcm96"}
_ELSEWHERE = "the environment names the address of a Vault that is not its own"


def _at_rest(look: Inspection) -> None:
    for kind, (path, test) in _AT_REST.items():
        found = look.templates.of(kind)
        for resource in found:
            # ELB writes its logs under a key of S3's own and under no other: also AES-256, managed by AWS alone.
            exempt = kind == "AWS::S3::Bucket" and _holds_logs_of_a_balancer(look, resource)
            look.show(resource, path, equals("AES256") if exempt else test)
        if not found and not (kind.startswith("AWS::ElastiCache::") and look.settings.deployment.cache is None):
            look.miss(look.name("*"), kind)


def _holds_logs_of_a_balancer(look: Inspection, bucket: Resource) -> bool:
    return any(
        attribute["Key"] == "access_logs.s3.bucket" and attribute["Value"] == {"Ref": bucket.id}
        for balancer in look.templates.of("AWS::ElasticLoadBalancingV2::LoadBalancer", stack=bucket.stack)
        for attribute in balancer.get("LoadBalancerAttributes") or []
    )


def _rotation(look: Inspection) -> None:
    """Replicas of a key take part in its rotation and cannot have one of their own."""
    days = look.settings.encryption.at_rest.key_rotation.days
    look.in_stack(look.name("global", "keys"), "AWS::KMS::Key")
    for key in look.templates.of("AWS::KMS::Key"):
        look.show(key, "EnableKeyRotation", equals(True))
        look.show(key, "RotationPeriodInDays", equals(days))
    for leader in look.in_stack(look.name("global", "key-leader"), "AWS::Lambda::Function"):
        look.show(leader, "Environment.Variables.ROTATION_SECONDS", equals(str(days * 86_400)))
    for replica in look.templates.of("AWS::KMS::ReplicaKey"):  # rotates when its primary does, which is one of these
        primaries = look.templates.targets(replica, "PrimaryKeyArn")
        agrees = [primary.kind for primary in primaries] == ["AWS::KMS::Key"]
        look.note(replica, "PrimaryKeyArn", replica.get("PrimaryKeyArn"), agrees=agrees)


def _in_transit(look: Inspection) -> None:
    for api in look.in_every_region("service", "AWS::ApiGateway::RestApi"):
        look.show(api, "SecurityPolicy", begins("SecurityPolicy_TLS13_1_3_"))
    if look.settings.deployment.cache:  # ElastiCache knows no minimum: that it is 1.3 is the client's to demand
        for cache in look.in_every_region("storage", "AWS::ElastiCache::ReplicationGroup"):
            look.show(cache, "TransitEncryptionMode", equals("required"))
    if look.settings.domain:  # without one there is no certificate that the balancer could offer
        for listener in look.in_every_region("service", "AWS::ElasticLoadBalancingV2::Listener"):
            look.show(listener, "SslPolicy", begins("ELBSecurityPolicy-TLS13-1-3-"))
        for name in look.in_every_region("edge", "AWS::ApiGateway::DomainName"):
            look.show(name, "SecurityPolicy", begins("SecurityPolicy_TLS13_1_3_"))
        if look.settings.deployment.vault.cluster:
            for listener in look.in_every_region("vault", "AWS::ElasticLoadBalancingV2::Listener"):
                look.show(listener, "SslPolicy", begins("ELBSecurityPolicy-TLS13-1-3-"))
        for site in look.in_stack(look.name("global", "edge"), "AWS::CloudFront::Distribution"):
            look.show(site, "DistributionConfig.ViewerCertificate.MinimumProtocolVersion", begins("TLSv1.3_"))
    for bucket in look.templates.of("AWS::S3::Bucket"):
        least = [
            str(statement["Condition"]["NumericLessThan"]["s3:TlsVersion"])
            for policy in look.templates.referring(bucket, "Bucket", "AWS::S3::BucketPolicy")
            for statement in policy.get("PolicyDocument.Statement")
            if statement["Effect"] == "Deny"
            and "s3:TlsVersion" in statement.get("Condition", {}).get("NumericLessThan", {})
        ]
        look.note(bucket, "refused by its policy: s3:TlsVersion <", ", ".join(least), agrees=least == ["1.3"])


def _certificate(look: Inspection) -> None:
    domain = look.settings.domain
    if domain is None:
        look.waive("the environment has no domain")
        return
    for certificate in look.in_stack(look.name("global", "edge"), "AWS::CertificateManager::Certificate"):
        look.show(certificate, "DomainName", equals(domain))
        for site in look.in_stack(certificate.stack, "AWS::CloudFront::Distribution"):
            used = site.get("DistributionConfig.ViewerCertificate.AcmCertificateArn")
            look.note(site, "certificate that readers see", used, agrees=used == {"Ref": certificate.id})
    _regional_certificates(look, domain)


def _regional_certificates(look: Inspection, domain: str) -> None:
    pairs = [("security", "service")] + [("vault", "vault")] * bool(look.settings.deployment.vault.cluster)
    for issued, used in pairs:
        for certificate in look.in_every_region(issued, "AWS::CertificateManager::Certificate"):
            name = certificate.get("DomainName")
            look.note(certificate, "DomainName", name, agrees=str(name).endswith(f".{domain}"))
            stack = look.name(certificate.region, used)
            for listener in look.in_stack(stack, "AWS::ElasticLoadBalancingV2::Listener"):
                arn = listener.get("Certificates.0.CertificateArn")
                own = arn == {"Ref": certificate.id} and listener.stack == certificate.stack
                imported = f"{certificate.stack}:ExportsOutputRef{certificate.id}" in str(arn)
                look.note(listener, "Certificates.0.CertificateArn", arn, agrees=own or imported)


def _application_method(look: Inspection) -> None:
    """Functions within the network are told the name of the region's own Vault; one outside reaches no Vault."""
    if look.settings.deployment.vault.cluster is None:
        look.waive(_ELSEWHERE)
        return
    for zone in look.in_every_region("vault", "AWS::Route53::HostedZone"):
        look.note(zone, "Name", zone.get("Name"), agrees=zone.get("VPCs") is not None)
        stack = look.name(zone.region, "service")
        for function in look.in_stack(stack, "AWS::Lambda::Function"):
            if function.get("VpcConfig") is None:
                continue
            told = function.get("Environment.Variables.VAULT_ADDR")
            look.note(function, "VAULT_ADDR", told, agrees=urlsplit(str(told)).hostname == zone.get("Name"))


def _application_key(look: Inspection) -> None:
    """Vault's key is of the kind that its agent asks for when it imports the first version."""
    for agent in look.in_every_region("key-agent", "AWS::Lambda::Function"):
        look.show(agent, "Environment.Variables.TRANSIT_KEY_TYPE", equals(_TRANSIT_TYPES[str(look.figure.value)]))


RULES: Rules = {
    "encryption.at_rest.method": _at_rest,
    "encryption.at_rest.key_rotation": _rotation,
    "encryption.in_transit.method": _in_transit,
    "encryption.in_transit.certificate": _certificate,
    "encryption.application.method": _application_method,
    "encryption.application.key_type": _application_key,
}
