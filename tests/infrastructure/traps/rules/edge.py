"""What stands in us-east-1 alone, who checks whom by which TLS, and the accelerator."""

from collections.abc import Iterator

from tests.infrastructure.estate import Estate, Item, Verdict, strings

_HOME = "us-east-1"
_TLS_OF_CHECKS = 'tls_min_version = "tls12"'
"""As the user data of a node writes it for Vault's listener."""
_ACCELERATED = (
    "AWS::GlobalAccelerator::Accelerator",
    "AWS::GlobalAccelerator::Listener",
    "AWS::GlobalAccelerator::EndpointGroup",
)


def firewalls_of_cloudfront_stand_at_home(estate: Estate) -> Iterator[Verdict]:
    """WAF knows the scope CLOUDFRONT in us-east-1 alone."""
    for item in estate.of("AWS::WAFv2::WebACL", "AWS::WAFv2::IPSet", "AWS::WAFv2::RegexPatternSet"):
        if item.properties.get("Scope") == "CLOUDFRONT":
            yield item.verdict(item.place.region == _HOME, f"is for CloudFront and stands in {item.place.region}")


def certificates_of_cloudfront_stand_at_home(estate: Estate) -> Iterator[Verdict]:
    """CloudFront takes certificates from us-east-1 alone."""
    for item in estate.of("AWS::CloudFront::Distribution"):
        viewer = item.properties["DistributionConfig"].get("ViewerCertificate", {})
        if value := viewer.get("AcmCertificateArn"):
            found = estate.target(item, value, "AWS::CertificateManager::Certificate")
            region = found.place.region if found else "an unknown region"
            yield item.verdict(region == _HOME, f"has a certificate of {region}")


def keys_of_dnssec_stand_at_home(estate: Estate) -> Iterator[Verdict]:
    """Route 53 signs with elliptic keys of us-east-1 alone."""
    for item in estate.of("AWS::Route53::KeySigningKey"):
        key = estate.target(item, item.properties["KeyManagementServiceArn"], "AWS::KMS::Key")
        holds = key and key.place.region == _HOME and key.properties.get("KeySpec") == "ECC_NIST_P256"
        yield item.verdict(holds, "signs with a key that is no ECC_NIST_P256 key of us-east-1")


def health_checks_ask_nothing_over_https(estate: Estate) -> Iterator[Verdict]:
    """Route 53's checkers speak no TLS 1.3, and every public name here takes nothing else."""
    for item in estate.of("AWS::Route53::HealthCheck"):
        kind = str(item.properties["HealthCheckConfig"]["Type"])
        yield item.verdict(not kind.startswith("HTTPS"), f"asks over {kind}, which a name over TLS 1.3 alone refuses")


def targets_take_what_their_health_checks_speak(estate: Estate) -> Iterator[Verdict]:
    """Load balancers check over TLS 1.2 at most: their targets must take it, whatever clients must speak."""
    for item in estate.of("AWS::ElasticLoadBalancingV2::TargetGroup"):
        takes = any(_TLS_OF_CHECKS in piece for piece in strings(_user_data(estate, item)))
        checked = item.properties.get("HealthCheckProtocol") == "HTTPS"
        yield item.verdict(takes or not checked, "is checked over HTTPS, and no node of it says that it takes TLS 1.2")


def names_have_their_apis_policy(estate: Estate) -> Iterator[Verdict]:
    """The API's own policy negotiates behind its names too: both must say the same."""
    for item in estate.of("AWS::ApiGateway::BasePathMapping"):
        name = estate.target(item, item.properties["DomainName"], "AWS::ApiGateway::DomainName")
        api = estate.target(item, item.properties["RestApiId"], "AWS::ApiGateway::RestApi")
        holds = name and api and _tls(name) == _tls(api)
        yield item.verdict(holds, "maps a name to an API with another security policy or access mode")


def accelerators_change_one_thing_at_a_time(estate: Estate) -> Iterator[Verdict]:
    """Global Accelerator refuses a change while another one is under way."""
    for item in estate.of(*_ACCELERATED):
        fellows = [f for f in estate.of(*_ACCELERATED) if f.place == item.place and f.id != item.id]
        apart = [f.id for f in fellows if not (_after(estate, item, f) or _after(estate, f, item))]
        yield item.verdict(not apart, f"changes at the same time as {', '.join(apart)}")


def stacks_are_deployed_one_at_a_time(estate: Estate) -> Iterator[Verdict]:
    """Regions wait for none of one another, and each changes the accelerator."""
    for path, source in estate.sources.items():
        if not path.startswith(("tests/", "local/")):
            yield Verdict(subject=path, wrong="deploys stacks at the same time" if "--concurrency" in source else "")


def _tls(item: Item) -> tuple[object, object]:
    return item.properties.get("SecurityPolicy"), item.properties.get("EndpointAccessMode")


def _user_data(estate: Estate, targets: Item) -> list[object]:
    """Of the instances that are registered as ``targets``."""
    found: list[object] = []
    for group in estate.of("AWS::AutoScaling::AutoScalingGroup"):
        if targets in estate.mentioned(group, group.properties.get("TargetGroupARNs", [])):
            template = estate.target(group, group.properties.get("LaunchTemplate"), "AWS::EC2::LaunchTemplate")
            found += [template.properties["LaunchTemplateData"].get("UserData")] if template else []
    return found


def _after(estate: Estate, later: Item, earlier: Item) -> bool:
    """Whether ``later`` waits for ``earlier``, by what it says or by what it refers to."""
    direct = [f for f in estate.mentioned(later, dict(later.properties)) if f.place == later.place]
    direct += [
        Item(place=later.place, id=name, whole=later.place.document["Resources"][name]) for name in later.waits_for
    ]
    return any(found.id == earlier.id or _after(estate, found, earlier) for found in direct)
