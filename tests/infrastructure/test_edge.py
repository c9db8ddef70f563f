"""What stands before the regions: CloudFront, Global Accelerator, public names."""

import json

import pytest

from tests.infrastructure.conftest import Assembly, Properties, Template

CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"
ACCELERATOR_ZONE = "Z2BJ6XQ5FK7U4H"


@pytest.fixture(scope="module")
def edge(prod: Assembly) -> Template:
    return prod["anfl-prod-global-edge"]


@pytest.fixture(scope="module")
def site(edge: Template) -> Properties:
    configuration: Properties = edge.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    return configuration


def attribute(edge: Template, kind: str, name: str) -> Properties:
    """A reference to an attribute of the one resource of a type."""
    (found,) = edge.resources(kind)
    return {"Fn::GetAtt": [found, name]}


def statements(edge: Template, bucket: str) -> list[Properties]:
    """The policy of the bucket whose logical id begins with ``bucket``."""
    (found,) = (p for p in edge.properties("AWS::S3::BucketPolicy") if p["Bucket"]["Ref"].startswith(bucket))
    stated: list[Properties] = found["PolicyDocument"]["Statement"]
    return stated


def test_dev_has_no_edge(dev: Assembly) -> None:
    kinds = {resource["Type"] for stack in dev for resource in stack.document["Resources"].values()}
    assert not {
        kind for kind in kinds if kind.startswith(("AWS::CloudFront", "AWS::GlobalAccelerator", "AWS::Route53"))
    }


def test_readers_speak_tls_1_3_under_the_domains_own_certificate(edge: Template, site: Properties) -> None:
    (certificate,) = edge.resources("AWS::CertificateManager::Certificate")
    assert site["Aliases"] == ["lib.aeonova.com"] == [edge.only("AWS::CertificateManager::Certificate")["DomainName"]]
    assert site["ViewerCertificate"] == {
        "AcmCertificateArn": {"Ref": certificate},
        "MinimumProtocolVersion": "TLSv1.3_2025",
        "SslSupportMethod": "sni-only",
    }
    assert site["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"
    assert site["HttpVersion"] == "http2and3"


def test_certificates_prove_themselves_in_the_domains_zone(edge: Template) -> None:
    certificate = edge.only("AWS::CertificateManager::Certificate")
    (option,) = certificate["DomainValidationOptions"]
    assert certificate["ValidationMethod"] == "DNS"
    assert option["HostedZoneId"]["Fn::GetStackOutput"]["StackName"] == "anfl-prod-global-dns"


def test_readers_may_only_read(site: Properties) -> None:
    assert site["DefaultCacheBehavior"]["AllowedMethods"] == ["GET", "HEAD"]


def test_the_bucket_is_read_by_this_distribution_alone(edge: Template, site: Properties) -> None:
    (origin,) = site["Origins"]
    assert origin["OriginAccessControlId"] == attribute(edge, "AWS::CloudFront::OriginAccessControl", "Id")
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    control = edge.only("AWS::CloudFront::OriginAccessControl")["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")
    (allowed,) = (s for s in statements(edge, "Documentation") if s["Effect"] == "Allow")
    assert allowed["Action"] == "s3:GetObject"
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    (distribution,) = edge.resources("AWS::CloudFront::Distribution")
    assert {"Ref": distribution} in allowed["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Join"][1]


def test_browsers_are_told_to_be_careful(edge: Template, site: Properties) -> None:
    used = site["DefaultCacheBehavior"]["ResponseHeadersPolicyId"]
    assert used == attribute(edge, "AWS::CloudFront::ResponseHeadersPolicy", "Id")
    policy = edge.only("AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]
    headers = policy["SecurityHeadersConfig"]
    transport = headers["StrictTransportSecurity"]
    assert transport["AccessControlMaxAgeSec"] >= 365 * 86400
    assert transport["IncludeSubdomains"] is transport["Preload"] is True
    assert headers["ContentSecurityPolicy"]["ContentSecurityPolicy"].startswith("default-src 'none';")
    assert headers["FrameOptions"]["FrameOption"] == "DENY"
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert all(header["Override"] is True for header in headers.values())
    assert policy["RemoveHeadersConfig"]["Items"] == [{"Header": "Server"}]


def test_a_firewall_of_cloudfronts_own_stands_before_the_site(prod: Assembly, edge: Template, site: Properties) -> None:
    assert site["WebACLId"] == attribute(edge, "AWS::WAFv2::WebACL", "Arn")
    firewall = edge.only("AWS::WAFv2::WebACL")
    assert firewall["Scope"] == "CLOUDFRONT"
    assert prod.region_of(edge.name) == "us-east-1"
    common = next(r for r in firewall["Rules"] if r["Name"] == "AWSManagedRulesCommonRuleSet")
    overridden = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert {"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}} in overridden


def test_what_readers_ask_is_logged_without_queries_and_cookies(edge: Template) -> None:
    source = edge.only("AWS::Logs::DeliverySource")
    (distribution,) = edge.resources("AWS::CloudFront::Distribution")
    assert source["LogType"] == "ACCESS_LOGS"
    assert {"Ref": distribution} in source["ResourceArn"]["Fn::Join"][1]
    (source_id,) = edge.resources("AWS::Logs::DeliverySource")
    delivery = edge.only("AWS::Logs::Delivery")
    assert delivery["DeliverySourceName"] == {"Ref": source_id}
    assert delivery["DeliveryDestinationArn"] == attribute(edge, "AWS::Logs::DeliveryDestination", "Arn")
    fields = set(delivery["RecordFields"])
    assert {"c-ip", "cs-uri-stem", "sc-status", "ssl-protocol"} <= fields
    assert not fields & {"cs-uri-query", "cs(Cookie)", "cs(Referer)"}
    target, _ = edge.only("AWS::Logs::DeliveryDestination")["DestinationResourceArn"]["Fn::GetAtt"]
    group = edge.resources("AWS::Logs::LogGroup")[target]["Properties"]
    assert (group["RetentionInDays"], "EdgeKey" in json.dumps(group["KmsKeyId"])) == (365, True)


def test_the_domain_leads_to_cloudfront_and_ingest_to_the_accelerator(edge: Template) -> None:
    records = {(r["Name"], r["Type"]): r["AliasTarget"] for r in edge.properties("AWS::Route53::RecordSet")}
    site = attribute(edge, "AWS::CloudFront::Distribution", "DomainName")
    accelerator = attribute(edge, "AWS::GlobalAccelerator::Accelerator", "DnsName")
    assert {key: (target["DNSName"], target["HostedZoneId"]) for key, target in records.items()} == {
        ("lib.aeonova.com", "A"): (site, CLOUDFRONT_ZONE),
        ("lib.aeonova.com", "AAAA"): (site, CLOUDFRONT_ZONE),
        ("ingest.lib.aeonova.com", "A"): (accelerator, ACCELERATOR_ZONE),
    }


def test_the_accelerator_listens_for_https_alone(edge: Template) -> None:
    listener = edge.only("AWS::GlobalAccelerator::Listener")
    assert (listener["Protocol"], listener["PortRanges"]) == ("TCP", [{"FromPort": 443, "ToPort": 443}])
    assert listener["AcceleratorArn"] == attribute(edge, "AWS::GlobalAccelerator::Accelerator", "AcceleratorArn")


def test_flow_logs_may_be_written_before_they_are_switched_on(edge: Template) -> None:
    (accelerator,) = edge.resources("AWS::GlobalAccelerator::Accelerator").values()
    properties = accelerator["Properties"]
    assert properties["FlowLogsEnabled"] is True
    assert properties["FlowLogsS3Bucket"]["Ref"].startswith("EdgeLogs")
    (policy,) = (
        name
        for name, resource in edge.resources("AWS::S3::BucketPolicy").items()
        if resource["Properties"]["Bucket"] == properties["FlowLogsS3Bucket"]
    )
    assert policy in accelerator["DependsOn"]
    allowed = [s for s in statements(edge, "EdgeLogs") if s["Effect"] == "Allow"]
    assert {s["Principal"]["Service"] for s in allowed} == {"delivery.logs.amazonaws.com"}
    assert all(s["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"} for s in allowed)
    assert f"/{properties['FlowLogsS3Prefix']}/AWSLogs/" in json.dumps(allowed)


def test_logs_of_the_edge_go_when_their_time_has_come(edge: Template) -> None:
    (bucket,) = (b for name, b in edge.resources("AWS::S3::Bucket").items() if name.startswith("EdgeLogs"))
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 365
    (shown,) = (b for name, b in edge.resources("AWS::S3::Bucket").items() if name.startswith("Documentation"))
    (rule,) = shown["Properties"]["LifecycleConfiguration"]["Rules"]
    assert "ExpirationInDays" not in rule


def test_the_edges_key_opens_nothing_else(prod: Assembly, edge: Template) -> None:
    """CloudFront and log delivery are named in no policy of the data key."""
    stated = {s["Sid"]: s for s in edge.only("AWS::KMS::Key")["KeyPolicy"]["Statement"]}
    assert stated["CloudFrontReads"]["Action"] == "kms:Decrypt"
    for sid in ("CloudFrontReads", "FlowLogsAreWritten"):
        assert stated[sid]["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    data = json.dumps([key["KeyPolicy"] for key in prod["anfl-prod-global-keys"].properties("AWS::KMS::Key")])
    assert "cloudfront" not in data
    assert "delivery.logs" not in data


def test_what_the_edge_keeps_outlives_its_stack(edge: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Logs::LogGroup"):
        for resource in edge.resources(kind).values():
            assert resource["DeletionPolicy"] == "Retain"
