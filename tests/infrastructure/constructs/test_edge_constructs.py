"""Certificate, alias, documentation site and accelerator: with the least that can be said, and with everything."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from constructs.accelerated_entry import AcceleratedEntry
from constructs.alias_record import AliasRecord
from constructs.api_name import ApiName
from constructs.documentation_site import DocumentationSite
from constructs.encrypted_log_group import EncryptedLogGroup
from constructs.region_health import RegionHealth, Unknown, Witness
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


@pytest.mark.defaults(of=ZoneCertificate)
def test_a_certificate_of_one_name(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: ZoneCertificate(stack, "C", names=["a.org"], zone_id="Z1"))
    assert template.only("AWS::CertificateManager::Certificate") == {
        "DomainName": "a.org",
        "ValidationMethod": "DNS",
        "KeyAlgorithm": "EC_prime256v1",
        "DomainValidationOptions": [{"DomainName": "a.org", "HostedZoneId": "Z1"}],
    }


@pytest.mark.everything(of=ZoneCertificate)
def test_a_certificate_proves_each_of_its_names(inspect_construct: Inspect) -> None:
    names = ["a.org", "b.a.org"]
    template = inspect_construct(lambda stack: ZoneCertificate(stack, "C", names=names, zone_id="Z1"))
    certificate = template.only("AWS::CertificateManager::Certificate")
    assert certificate["SubjectAlternativeNames"] == ["b.a.org"]
    assert [option["DomainName"] for option in certificate["DomainValidationOptions"]] == names


@pytest.mark.defaults(of=AliasRecord)
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


@pytest.mark.everything(of=AliasRecord)
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


@pytest.mark.defaults(of=DocumentationSite)
def test_a_site_without_a_firewall(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: site_of(stack, web_acl_arn=None))
    site = template.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    assert "WebACLId" not in site
    assert site["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.3_2025"


@pytest.mark.everything(of=DocumentationSite)
def test_what_the_site_does_not_have_is_a_page_of_its_own(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: site_of(stack, web_acl_arn="arn:acl"))
    site = template.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    assert site["WebACLId"] == "arn:acl"
    (missing,) = site["CustomErrorResponses"]
    assert (missing["ErrorCode"], missing["ResponseCode"], missing["ResponsePagePath"]) == (403, 404, "/404.html")


@pytest.mark.defaults(of=AcceleratedEntry)
def test_an_accelerator_logs_into_its_bucket_and_nowhere_else(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: AcceleratedEntry(stack, "A", name="a", port=443, log_bucket=bucket_of(stack))
    )
    (accelerator,) = template.resources("AWS::GlobalAccelerator::Accelerator").values()
    (bucket,) = template.resources("AWS::S3::Bucket")
    (policy,) = template.resources("AWS::S3::BucketPolicy")
    assert accelerator["Properties"]["FlowLogsEnabled"] is True
    assert accelerator["Properties"]["FlowLogsS3Bucket"] == {"Ref": bucket}
    assert policy in accelerator["DependsOn"], "AWS tries the bucket when flow logs are switched on"
    statements = template.only("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    writes = [s for s in statements if s["Effect"] == "Allow" and "s3:PutObject" in json.dumps(s["Action"])]
    assert [s["Principal"] for s in writes] == [{"Service": "delivery.logs.amazonaws.com"}]


@pytest.mark.everything(of=AcceleratedEntry)
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


@pytest.mark.defaults(of=ApiName)
def test_a_name_of_an_api(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: ApiName(stack, "N", name="a.org", certificate_arn="arn:c", rest_api_id="api", stage="live")
    )
    assert template.only("AWS::ApiGateway::DomainName") == {
        "DomainName": "a.org",
        "EndpointAccessMode": "STRICT",
        "EndpointConfiguration": {"Types": ["REGIONAL"]},
        "RegionalCertificateArn": "arn:c",
        "SecurityPolicy": "SecurityPolicy_TLS13_1_3_2025_09",
    }
    mapping = template.only("AWS::ApiGateway::BasePathMapping")
    assert (mapping["RestApiId"], mapping["Stage"]) == ("api", "live")


@pytest.mark.everything(of=ApiName)
def test_two_names_of_one_api_each_have_a_target_of_their_own(inspect_construct: Inspect) -> None:
    def fill(stack: Stack) -> None:
        for name in ("a.org", "b.org"):
            made = ApiName(stack, name, name=name, certificate_arn="arn:c", rest_api_id="api", stage="live")
            CfnOutput(stack, f"Of{name[0]}", value=f"{made.target} {made.target_zone_id}")

    template = inspect_construct(fill)
    names = {v["Properties"]["DomainName"]: k for k, v in template.resources("AWS::ApiGateway::DomainName").items()}
    for name, resource in names.items():
        output = json.dumps(template.document["Outputs"][f"Of{name[0]}"]["Value"])
        assert set(re.findall(r'"Fn::GetAtt": \["(\w+)"', output)) == {resource}
    mapped = {json.dumps(m["DomainName"]) for m in template.properties("AWS::ApiGateway::BasePathMapping")}
    assert mapped == {json.dumps({"Ref": resource}) for resource in names.values()}


def health_of(stack: Stack, *witnesses: Witness) -> RegionHealth:
    """The health of a region named h."""
    return RegionHealth(stack, "H", name="h", host="a.org", port=443, interval=30, failures=2, witnesses=witnesses)


@pytest.mark.defaults(of=RegionHealth)
def test_a_region_without_witnesses_is_healthy_while_it_takes_connections(inspect_construct: Inspect) -> None:
    found = inspect_construct(health_of).properties("AWS::Route53::HealthCheck")
    probe, whole = sorted(
        (check["HealthCheckConfig"] for check in found), key=lambda check: check["Type"], reverse=True
    )
    assert probe == {
        "Type": "TCP",
        "FullyQualifiedDomainName": "a.org",
        "Port": 443,
        "RequestInterval": 30,
        "FailureThreshold": 2,
    }
    assert (whole["HealthThreshold"], len(whole["ChildHealthChecks"])) == (1, 1)


@pytest.mark.everything(of=RegionHealth)
def test_each_witness_can_object(inspect_construct: Inspect) -> None:
    witness = Witness(label="W", alarm_name="alarm", region="us-east-1", unknown=Unknown.HEALTHY)
    found = inspect_construct(lambda stack: health_of(stack, witness)).properties("AWS::Route53::HealthCheck")
    checks = {check["HealthCheckConfig"]["Type"]: check["HealthCheckConfig"] for check in found}
    assert checks["CLOUDWATCH_METRIC"] == {
        "Type": "CLOUDWATCH_METRIC",
        "AlarmIdentifier": {"Name": "alarm", "Region": "us-east-1"},
        "InsufficientDataHealthStatus": "Healthy",
    }
    assert checks["CALCULATED"]["HealthThreshold"] == 2
