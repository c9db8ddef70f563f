"""Certificate, alias, documentation site and accelerator: with the least that can be said, and with everything."""

from collections.abc import Callable
from datetime import timedelta

from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from constructs.accelerated_entry import AcceleratedEntry
from constructs.alias_record import AliasRecord
from constructs.documentation_site import DocumentationSite
from constructs.encrypted_log_group import EncryptedLogGroup
from constructs.secure_bucket import SecureBucket
from constructs.zone_certificate import ZoneCertificate

from tests.infrastructure.conftest import Template

Inspect = Callable[[Callable[[Stack], object]], Template]
KEY_ARN = "arn:aws:kms:eu-west-1:000000000000:key/mrk-1"


def key_of(stack: Stack) -> kms.IKey:
    """A key of another stack."""
    return kms.Key.from_key_arn(stack, "Key", KEY_ARN)


def bucket_of(stack: Stack, *, expiry: timedelta | None = None) -> SecureBucket:
    """A bucket that may go."""
    day = timedelta(days=1)
    return SecureBucket(
        stack, "B", name="a-bucket", key=key_of(stack), noncurrent_retention=day, retain=False, expiry=expiry
    )


def test_a_certificate_of_one_name(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: ZoneCertificate(stack, "C", names=["a.org"], zone_id="Z1"))
    assert template.only("AWS::CertificateManager::Certificate") == {
        "DomainName": "a.org",
        "ValidationMethod": "DNS",
        "KeyAlgorithm": "EC_prime256v1",
        "DomainValidationOptions": [{"DomainName": "a.org", "HostedZoneId": "Z1"}],
    }


def test_a_certificate_proves_each_of_its_names(inspect_construct: Inspect) -> None:
    names = ["a.org", "b.a.org"]
    template = inspect_construct(lambda stack: ZoneCertificate(stack, "C", names=names, zone_id="Z1"))
    certificate = template.only("AWS::CertificateManager::Certificate")
    assert certificate["SubjectAlternativeNames"] == ["b.a.org"]
    assert [option["DomainName"] for option in certificate["DomainValidationOptions"]] == names


def test_an_alias(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: AliasRecord(stack, "R", zone_id="Z1", name="a.org", target="t.example", target_zone_id="Z2")
    )
    assert template.only("AWS::Route53::RecordSet") == {
        "AliasTarget": {"DNSName": "t.example", "EvaluateTargetHealth": False, "HostedZoneId": "Z2"},
        "HostedZoneId": "Z1",
        "Name": "a.org",
        "Type": "A",
    }


def test_an_alias_for_those_whom_a_region_answers_fastest(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: AliasRecord(
            stack,
            "R",
            zone_id="Z1",
            name="a.org",
            target="t.example",
            target_zone_id="Z2",
            kind="AAAA",
            region="eu-west-1",
            health_check_id="h",
        )
    )
    record = template.only("AWS::Route53::RecordSet")
    assert record["Type"] == "AAAA"
    assert record["Region"] == record["SetIdentifier"] == "eu-west-1"
    assert record["HealthCheckId"] == "h"
    assert "Failover" not in record


def site_of(stack: Stack, *, web_acl_arn: str | None) -> DocumentationSite:
    """A documentation site with what it needs."""
    return DocumentationSite(
        stack,
        "S",
        name="s",
        domain="a.org",
        bucket=bucket_of(stack),
        certificate_arn="arn:aws:acm:us-east-1:000000000000:certificate/c",
        web_acl_arn=web_acl_arn,
        log_group=EncryptedLogGroup(stack, "L", key=kms.Key(stack, "K"), retention_days=1, retain=False),
    )


def test_a_site_without_a_firewall(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: site_of(stack, web_acl_arn=None))
    site = template.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    assert "WebACLId" not in site
    assert site["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.3_2025"


def test_what_the_site_does_not_have_is_a_page_of_its_own(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: site_of(stack, web_acl_arn="arn:acl"))
    site = template.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    assert site["WebACLId"] == "arn:acl"
    (missing,) = site["CustomErrorResponses"]
    assert (missing["ErrorCode"], missing["ResponseCode"], missing["ResponsePagePath"]) == (403, 404, "/404.html")


def test_an_accelerator(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: AcceleratedEntry(
            stack, "A", name="a", port=8443, log_bucket=bucket_of(stack, expiry=timedelta(days=30))
        )
    )
    assert template.only("AWS::GlobalAccelerator::Listener")["PortRanges"] == [{"FromPort": 8443, "ToPort": 8443}]
    assert template.only("AWS::GlobalAccelerator::Accelerator")["IpAddressType"] == "IPV4"
    (rule,) = template.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 30
