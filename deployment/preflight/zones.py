"""Are the public zones delegated to their hosted zones? Certificates wait for it, and a deployment with them."""

from collections.abc import Iterator, Mapping
from functools import partial

from deployment.preflight.account import Account, AnswerError
from deployment.preflight.delegation import Delegation, DnsError, PublicDns
from deployment.preflight.results import Check, Verdict, failed, not_checked, ok
from deployment.rollout import Rollout
from stacks.figures.templates import Resource

_AMAZON = frozenset({"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"})
"""As ACM calls itself in CAA records."""


def checks(account: Account, rollout: Rollout, dns: PublicDns) -> Iterator[Check]:
    """One for each public zone, and who may issue certificates below the domain."""
    for zone in public_zones(rollout):
        name = str(zone.get("Name"))
        yield Check(id=f"dns.{name}", region=None, look=partial(delegated, account, rollout, dns, zone))
    domain = rollout.settings.domain
    if domain and rollout.of("AWS::CertificateManager::Certificate"):
        yield Check(id=f"dns.caa.{domain}", region=None, look=partial(issuable, dns, domain))


def public_zones(rollout: Rollout) -> list[Resource]:
    """The zones that somebody has to delegate, or a zone above them does."""
    return [zone for zone in rollout.of("AWS::Route53::HostedZone") if not zone.get("VPCs")]


def hosted_servers(account: Account, zone: Resource) -> frozenset[str] | None:
    """Name servers of the hosted zone behind ``zone``; None where it does not stand yet."""
    try:
        answer = account.ask(
            "cloudformation",
            "describe_stack_resource",
            region=zone.region,
            StackName=zone.stack,
            LogicalResourceId=zone.id,
        )
    except AnswerError as error:
        if error.code != "ValidationError":
            raise
        return None
    zone_id = answer["StackResourceDetail"].get("PhysicalResourceId")
    if not zone_id:
        return None
    found = account.ask("route53", "get_hosted_zone", region="us-east-1", Id=zone_id)
    return frozenset(name.lower().rstrip(".") for name in found["DelegationSet"]["NameServers"])


def delegated(account: Account, rollout: Rollout, dns: PublicDns, zone: Resource) -> Verdict:
    """Whether everybody is sent to the hosted zone's name servers."""
    name = str(zone.get("Name"))
    expected = hosted_servers(account, zone)
    if expected is None:
        environment = rollout.settings.environment
        return failed(
            f"the hosted zone {name} does not stand yet",
            f"make deploy ENV={environment} deploys it first, and prints the name servers to delegate to.",
        )
    try:
        return compare(name, expected, dns.delegations(name))
    except DnsError as error:
        return not_checked(str(error), "See that this machine can ask the public DNS (port 53), then run it again.")


def compare(name: str, expected: frozenset[str], said: Mapping[str, Delegation]) -> Verdict:
    """Hold what the parent's servers say against the hosted zone's name servers."""
    wanted = " ".join(sorted(expected))
    delegate = f"Delegate {name} to: {wanted}"
    wrong = {server: found.servers for server, found in said.items() if found.servers != expected}
    if len(wrong) == len(said):
        others = frozenset().union(*wrong.values())
        if not others:
            return failed(f"{name} is not delegated (asked {', '.join(sorted(said))})", delegate)
        return failed(f"{name} is delegated to {' '.join(sorted(others))}", delegate)
    if wrong:
        return failed(
            f"{name} is delegated, but {', '.join(sorted(wrong))} does not say so yet",
            "Wait until every name server of the parent has the change.",
        )
    if any(found.signed for found in said.values()):
        return failed(
            f"{name} is announced as signed (DS record), and the hosted zone is not",
            f"Have the DS record of {name} removed where the domain is registered: resolvers refuse the zone.",
        )
    return ok(f"{name} is delegated to {wanted}")


def issuable(dns: PublicDns, domain: str) -> Verdict:
    """Whether Amazon may issue certificates below ``domain``."""
    try:
        issuers = dns.issuers(domain)
    except DnsError as error:
        return not_checked(str(error), "See that this machine can ask the public DNS, then run it again.")
    if issuers and not issuers & _AMAZON:
        return failed(
            f"CAA records allow {', '.join(sorted(issuers))} alone to issue certificates for {domain}",
            'Add a record: 0 issue "amazon.com"',
        )
    return ok("CAA records allow Amazon" if issuers else "no CAA record forbids it")
