"""Once deployed: is TLS 1.3 what every name negotiates, and the VPC link's listener too?"""

import ssl
from collections.abc import Callable, Iterator
from functools import partial

import httpx

from deployment.preflight.account import Account, AnswerError
from deployment.preflight.negotiation import DistrustedError, Handshake, UnreachableError, attempt
from deployment.preflight.results import Check, Verdict, failed, not_checked, ok, warning
from deployment.rollout import Rollout
from stacks.figures.templates import Resource

_STRICT = "ELBSecurityPolicy-TLS13-1-3-2021-06"
_THROUGH_THE_LINK = "/v1/openapi.json"
"""A route that needs no token, and which the service behind the link answers."""
_TIMEOUT = 15.0

Attempt = Callable[[str, ssl.TLSVersion], Handshake]
Get = Callable[[str], int]
"""URL → HTTP status."""


def checks(
    account: Account, rollout: Rollout, *, attempt: Attempt = attempt, get: Get | None = None
) -> Iterator[Check]:
    """One for every public name, and for each region's listener behind its VPC link."""
    for name in public_names(rollout):
        yield Check(id=f"tls.{name}", region=None, look=partial(only_1_3, name, attempt=attempt))
    for listener in rollout.of("AWS::ElasticLoadBalancingV2::Listener"):
        if listener.get("Protocol") != "HTTPS":
            continue  # Vault's is no way in from outside, and speaks for itself at bootstrap
        host = _regional_api(rollout, listener.region)
        if host:
            look = partial(link, account, listener, host=host, get=get or _get)
            yield Check(id=f"tls.link.{listener.region}", region=listener.region, look=look)


def public_names(rollout: Rollout) -> list[str]:
    """Every name at which the environment answers the public."""
    names = {str(name.get("DomainName")) for name in rollout.of("AWS::ApiGateway::DomainName")}
    for site in rollout.of("AWS::CloudFront::Distribution"):
        names.update(site.get("DistributionConfig.Aliases") or [])
    if rollout.of("AWS::GlobalAccelerator::EndpointGroup"):
        names.update(
            str(record.get("Name")).rstrip(".")
            for record in rollout.of("AWS::Route53::RecordSet")
            if str(record.get("Name")).startswith("ingest.")
        )
    return sorted(names)


def _regional_api(rollout: Rollout, region: str) -> str | None:
    names = [str(name.get("DomainName")) for name in rollout.of("AWS::ApiGateway::DomainName", region=region)]
    return next((name for name in names if name.startswith(f"{region}.")), None)


def only_1_3(host: str, *, attempt: Attempt = attempt) -> Verdict:
    """Whether ``host`` accepts TLS 1.3 and refuses TLS 1.2."""
    later = "Deploy it first, or wait until its name is known; then run it again."
    try:
        new = attempt(host, ssl.TLSVersion.TLSv1_3)
        old = attempt(host, ssl.TLSVersion.TLSv1_2)
    except UnreachableError as error:
        return not_checked(str(error), later)
    except DistrustedError as error:
        return failed(str(error), "See which certificate the name carries; it must be issued for this name.")
    if new is Handshake.REFUSED:
        return failed(f"{host} refuses TLS 1.3", "Compare its security policy with the template's.")
    if old is Handshake.DONE:
        return failed(f"{host} accepts TLS 1.2 as well", "Compare its security policy with the template's.")
    return ok(f"{host} accepts TLS 1.3 and refuses TLS 1.2")


def link(account: Account, listener: Resource, *, host: str, get: Get) -> Verdict:
    """Whether API Gateway's link reaches a listener that takes nothing but TLS 1.3.

    The listener is private: its policy is read from AWS, and an answer that came through the link proves that the
    link's client could negotiate it.
    """
    try:
        detail = account.ask(
            "cloudformation",
            "describe_stack_resource",
            region=listener.region,
            StackName=listener.stack,
            LogicalResourceId=listener.id,
        )["StackResourceDetail"]
    except AnswerError as error:
        if error.code != "ValidationError":
            raise
        return not_checked(f"{listener.stack} is not deployed", "Deploy it first; then run it again.")
    arn = detail.get("PhysicalResourceId", "")
    answer = account.ask("elbv2", "describe_listeners", region=listener.region, ListenerArns=[arn])
    policy = answer["Listeners"][0].get("SslPolicy", "none")
    url = f"https://{host}{_THROUGH_THE_LINK}"
    try:
        status = get(url)
    except httpx.HTTPError as error:
        return not_checked(f"{url}: {error}", "Deploy the edge, or wait until its name is known; then run it again.")
    if status != httpx.codes.OK:
        return failed(
            f"{url} answered {status}, the listener's policy is {policy}",
            "If the link cannot negotiate it, deployment.private_link.tls_policy names the exception.",
        )
    if policy != _STRICT:
        return warning(
            f"the link works with {policy}, which admits TLS 1.2",
            f"Try deployment.private_link.tls_policy: {_STRICT}",
        )
    return ok(f"an answer came through the link to a listener with {policy}")


def _get(url: str) -> int:
    return httpx.get(url, timeout=_TIMEOUT).status_code
