"""What realises ``encryption.in_transit``."""

from collections.abc import Iterator, Sequence

from stacks.figures.inspection import Inspection, Rules, begins, equals
from stacks.figures.templates import Resource

_PLAIN = "aws:SecureTransport = false"
_OLDER = "s3:TlsVersion < 1.3"


def _method(look: Inspection) -> None:
    for api in look.in_every_region("service", "AWS::ApiGateway::RestApi"):
        look.show(api, "SecurityPolicy", begins("SecurityPolicy_TLS13_1_3_"))
    if look.settings.deployment.cache:  # ElastiCache knows no minimum: that it is 1.3 is the client's to demand
        for cache in look.in_every_region("storage", "AWS::ElastiCache::ReplicationGroup"):
            look.show(cache, "TransitEncryptionEnabled", equals(True))
            look.show(cache, "TransitEncryptionMode", equals("required"))
    if look.settings.domain:  # without one there is no certificate that the balancer could offer
        for listener in look.in_every_region("service", "AWS::ElasticLoadBalancingV2::Listener"):
            _listener(look, listener, "HTTPS")
        for name in look.in_every_region("edge", "AWS::ApiGateway::DomainName"):
            look.show(name, "SecurityPolicy", begins("SecurityPolicy_TLS13_1_3_"))
        if look.settings.deployment.vault.cluster:
            for listener in look.in_every_region("vault", "AWS::ElasticLoadBalancingV2::Listener"):
                _listener(look, listener, "TLS")
        for site in look.in_stack(look.name("global", "edge"), "AWS::CloudFront::Distribution"):
            look.show(site, "DistributionConfig.ViewerCertificate.MinimumProtocolVersion", begins("TLSv1.3_"))
            look.show(site, "DistributionConfig.DefaultCacheBehavior.ViewerProtocolPolicy", _encrypted)
    _stores(look)


def _listener(look: Inspection, listener: Resource, protocol: str) -> None:
    look.show(listener, "Protocol", equals(protocol))
    look.show(listener, "SslPolicy", begins("ELBSecurityPolicy-TLS13-1-3-"))


def _encrypted(value: object) -> bool:
    """CloudFront answers plain HTTP with nothing but the way to HTTPS, or not at all."""
    return value in {"redirect-to-https", "https-only"}


def _stores(look: Inspection) -> None:
    """What is reached under a name of AWS's: the resource's policy turns away who comes otherwise.

    Plain HTTP has no version of TLS, so it must be refused as well.
    """
    for bucket in look.templates.of("AWS::S3::Bucket"):
        refused = list(_refused(look.templates.referring(bucket, "Bucket", "AWS::S3::BucketPolicy")))
        look.note(bucket, "refused by its policy", ", ".join(refused), agrees={_PLAIN, _OLDER} <= set(refused))
    for kind, path in (("AWS::SQS::Queue", "Queues"), ("AWS::SNS::Topic", "Topics")):
        for store in look.templates.of(kind):
            refused = list(_refused(look.templates.referring(store, path, f"{kind}Policy")))
            look.note(store, "refused by its policy", ", ".join(refused), agrees=_PLAIN in refused)


def _refused(policies: Sequence[Resource]) -> Iterator[str]:
    """Conditions under which everybody is refused."""
    for policy in policies:
        for statement in policy.get("PolicyDocument.Statement"):
            if statement["Effect"] != "Deny" or statement["Principal"] not in ("*", {"AWS": "*"}):
                continue
            condition = statement.get("Condition", {})
            if condition == {"Bool": {"aws:SecureTransport": "false"}}:
                yield _PLAIN
            if (least := condition.get("NumericLessThan", {}).get("s3:TlsVersion")) is not None:
                yield f"s3:TlsVersion < {least}"


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
    uses = [("security", "service", f"{{}}.api.{domain}")]
    if look.settings.deployment.vault.cluster:
        uses.append(("vault", "vault", f"vault.{{}}.{domain}"))
    for issued, used, name in uses:
        for certificate in look.in_every_region(issued, "AWS::CertificateManager::Certificate"):
            look.show(certificate, "DomainName", equals(name.format(certificate.region)))
            stack = look.name(certificate.region, used)
            for listener in look.in_stack(stack, "AWS::ElasticLoadBalancingV2::Listener"):
                arn = listener.get("Certificates.0.CertificateArn")
                own = arn == {"Ref": certificate.id} and listener.stack == certificate.stack
                imported = f"{certificate.stack}:ExportsOutputRef{certificate.id}" in str(arn)
                look.note(listener, "Certificates.0.CertificateArn", arn, agrees=own or imported)


RULES: Rules = {
    "encryption.in_transit.method": _method,
    "encryption.in_transit.certificate": _certificate,
}
