"""Is each quota large enough, beside what else the account uses?"""

from collections.abc import Callable, Iterator
from functools import partial

from deployment.instances import vcpus
from deployment.preflight.account import Account, AnswerError
from deployment.preflight.needs import ADDRESSES, NETWORKS, QUOTAS, VCPUS, Quota
from deployment.preflight.results import Check, Verdict, failed, ok, warning
from deployment.rollout import Rollout

_OPEN = frozenset({"PENDING", "CASE_OPENED"})
_ACCELERATORS = 20
"""AWS's documented default; Service Quotas does not list it everywhere."""
_GLOBAL = "us-east-1"
"""Where Route 53 and IAM answer."""


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """One for each quota and region that the deployment has a use for, and those of the whole account."""
    for region in rollout.regions:
        for quota in QUOTAS:
            need = quota.need(rollout, region)
            if need:
                yield Check(
                    id=f"quota.{quota.id}.{region}",
                    region=region,
                    look=partial(enough, account, rollout, quota, region=region, need=need),
                )
    if zones := len(rollout.of("AWS::Route53::HostedZone")):
        look = partial(_route53, account, rollout, limit="MAX_HOSTED_ZONES_BY_OWNER", need=zones)
        yield Check(id="quota.route53.zones", region=None, look=look)
    if probes := len(rollout.of("AWS::Route53::HealthCheck")):
        look = partial(_route53, account, rollout, limit="MAX_HEALTH_CHECKS_BY_OWNER", need=probes)
        yield Check(id="quota.route53.health-checks", region=None, look=look)
    if roles := len(rollout.of("AWS::IAM::Role")):
        yield Check(id="quota.iam.roles", region=None, look=partial(_roles, account, rollout, need=roles))
    if rollout.of("AWS::GlobalAccelerator::Accelerator"):
        yield Check(id="quota.accelerators", region=None, look=partial(_accelerators, account, rollout))


def enough(account: Account, rollout: Rollout, quota: Quota, *, region: str, need: float) -> Verdict:
    """Whether the account's value of ``quota`` covers ``need`` and what others in the account use of it."""
    value, name = _value(account, quota, region)
    count = _COUNTED.get(quota.id)
    others = count(account, rollout, region) if count else 0
    wanted = need + others
    found = f"{name}: {need:g} needed" + (f", {others:g} used by others" if count else "") + f", {value:g} allowed"
    if value >= wanted:
        return ok(found)
    pending = _asked_for(account, quota, region)
    if pending >= wanted:
        return failed(found, f"{pending:g} were asked for already: wait until AWS grants them.")
    return failed(
        found,
        f"aws service-quotas request-service-quota-increase --region {region} --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {wanted:g}",
    )


def _value(account: Account, quota: Quota, region: str) -> tuple[float, str]:
    """The account's own value, or AWS's default where it has none; and AWS's name for it."""
    parameters = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        found = account.ask("service-quotas", "get_service_quota", region=region, **parameters)
    except AnswerError as error:
        if error.code != "NoSuchResourceException":
            raise
        found = account.ask("service-quotas", "get_aws_default_service_quota", region=region, **parameters)
    return float(found["Quota"]["Value"]), str(found["Quota"].get("QuotaName", quota.name))


def _asked_for(account: Account, quota: Quota, region: str) -> float:
    changes = account.ask_all(
        "service-quotas",
        "list_requested_service_quota_change_history_by_quota",
        region=region,
        key="RequestedQuotas",
        ServiceCode=quota.service,
        QuotaCode=quota.code,
    )
    return max((float(change["DesiredValue"]) for change in changes if change["Status"] in _OPEN), default=0)


def _used_vcpus(account: Account, rollout: Rollout, region: str) -> float:
    reservations = account.ask_all(
        "ec2",
        "describe_instances",
        region=region,
        key="Reservations",
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
    )
    used = 0
    for instance in (instance for found in reservations for instance in found.get("Instances", [])):
        if instance.get("InstanceLifecycle") == "spot" or _is_own(rollout, instance.get("Tags", [])):
            continue
        if _is_standard(instance["InstanceType"]):
            options = instance.get("CpuOptions", {})
            used += options.get("CoreCount", 1) * options.get("ThreadsPerCore", 2)
    return used


def _is_standard(instance_type: str) -> bool:
    try:
        return vcpus(instance_type) > 0
    except ValueError:
        return False


def _used(operation: str, key: str) -> Callable[[Account, Rollout, str], float]:
    def count(account: Account, rollout: Rollout, region: str) -> float:
        found = account.ask("ec2", operation, region=region)[key]
        return sum(not _is_own(rollout, item.get("Tags", [])) for item in found)

    return count


def _is_own(rollout: Rollout, tags: list[dict[str, str]]) -> bool:
    """Whether an earlier deployment of the same stacks made it: then it is part of the need."""
    values = {tag["Key"]: tag["Value"] for tag in tags}
    group = values.get("aws:autoscaling:groupName", "")
    return values.get("aws:cloudformation:stack-name") in rollout.stacks or any(
        group.startswith(f"{stack}-") for stack in rollout.stacks
    )


_COUNTED: dict[str, Callable[[Account, Rollout, str], float]] = {
    VCPUS: _used_vcpus,
    NETWORKS: _used("describe_vpcs", "Vpcs"),
    ADDRESSES: _used("describe_addresses", "Addresses"),
}
"""Quotas small enough that others in the account matter."""


def _deployed(account: Account, rollout: Rollout, region: str) -> bool:
    """Whether the last of the stacks stands already, so that what exists includes what is needed."""
    try:
        account.ask("cloudformation", "describe_stacks", region=region, StackName=rollout.stacks[-1])
    except AnswerError:
        return False
    return True


def _counted(used: float, need: float, allowed: float, *, what: str, deployed: bool, remedy: str) -> Verdict:
    wanted = used if deployed else used + need
    found = f"{what}: {need:g} needed, {used:g} in use{' with them' if deployed else ''}, {allowed:g} allowed"
    return ok(found) if wanted <= allowed else failed(found, remedy)


def _route53(account: Account, rollout: Rollout, *, limit: str, need: int) -> Verdict:
    found = account.ask("route53", "get_account_limit", region=_GLOBAL, Type=limit)
    what = "hosted zones" if "ZONES" in limit else "health checks"
    region = rollout.templates.regions[rollout.stacks[-1]]
    return _counted(
        found["Count"],
        need,
        found["Limit"]["Value"],
        what=what,
        deployed=_deployed(account, rollout, region),
        remedy=f"Ask AWS for more {what} (Service Quotas, Route 53, in {_GLOBAL}).",
    )


def _roles(account: Account, rollout: Rollout, *, need: int) -> Verdict:
    summary = account.ask("iam", "get_account_summary", region=_GLOBAL)["SummaryMap"]
    region = rollout.templates.regions[rollout.stacks[-1]]
    return _counted(
        summary["Roles"],
        need,
        summary["RolesQuota"],
        what="IAM roles",
        deployed=_deployed(account, rollout, region),
        remedy=f"Ask AWS for more roles (Service Quotas, IAM, in {_GLOBAL}), or remove some.",
    )


def _accelerators(account: Account, rollout: Rollout) -> Verdict:
    names = {found.get("Name") for found in rollout.of("AWS::GlobalAccelerator::Accelerator")}
    # Global Accelerator answers in us-west-2 alone.
    existing = account.ask_all("globalaccelerator", "list_accelerators", region="us-west-2", key="Accelerators")
    others = sum(accelerator["Name"] not in names for accelerator in existing)
    found = f"accelerators: {len(names)} needed, {others} used by others, {_ACCELERATORS} allowed by default"
    if others + len(names) <= _ACCELERATORS:
        return ok(found)
    return warning(found, "See that the account may have more accelerators (Service Quotas, Global Accelerator).")
