"""Does each region offer what the settings name: zones, instance types, endpoints, prefix lists?"""

from collections.abc import Iterator
from functools import partial

from deployment.instances import instance_groups
from deployment.preflight.account import Account
from deployment.preflight.results import Check, Verdict, failed, ok
from deployment.rollout import Rollout
from stacks.units import Region

_EXCLUDED = frozenset({"usw1-az2"})
"""Zones in which Global Accelerator reaches no balancer; zone names mean other zones in every account, ids do not."""


def checks(account: Account, rollout: Rollout) -> Iterator[Check]:
    """Four for each region that gets a network."""
    for region in rollout.regions:
        if not rollout.of("AWS::EC2::VPC", region=region):
            continue
        for name, look in (
            ("zones", zones),
            ("instance-types", instance_types),
            ("endpoints", endpoints),
            ("prefix-lists", prefix_lists),
        ):
            yield Check(id=f"region.{name}.{region}", region=region, look=partial(look, account, rollout, region))


def _zones_of(rollout: Rollout, region: str) -> list[str]:
    return sorted({str(subnet.get("AvailabilityZone")) for subnet in rollout.of("AWS::EC2::Subnet", region=region)})


def zones(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether the account has the zones of the settings, and the accelerator reaches them."""
    answer = account.ask("ec2", "describe_availability_zones", region=region)["AvailabilityZones"]
    available = {zone["ZoneName"]: zone["ZoneId"] for zone in answer if zone["State"] == "available"}
    wanted = _zones_of(rollout, region)
    remedy = f"Choose other zones in deployment.availability_zones; this account has {_listed(available)}."
    if missing := [zone for zone in wanted if zone not in available]:
        return failed(f"this account has no zone {', '.join(missing)}", remedy)
    found = ", ".join(f"{zone} is {available[zone]}" for zone in wanted)
    excluded = [zone for zone in wanted if available[zone] in _EXCLUDED]
    if excluded and rollout.of("AWS::GlobalAccelerator::EndpointGroup", region=region):
        return failed(f"{found}; Global Accelerator does not reach {', '.join(excluded)}", remedy)
    return ok(found)


def _listed(available: dict[str, str]) -> str:
    return ", ".join(f"{name} ({zone_id})" for name, zone_id in sorted(available.items())) or "none"


def instance_types(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether every zone offers every instance type."""
    types = sorted({group.instance_type for group in instance_groups(rollout, region=region)})
    wanted = {(kind, zone) for kind in types for zone in _zones_of(rollout, region)}
    offered = account.ask_all(
        "ec2",
        "describe_instance_type_offerings",
        region=region,
        key="InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": types}],
    )
    missing = sorted(wanted - {(found["InstanceType"], found["Location"]) for found in offered})
    if missing:
        return failed(
            "not offered: " + ", ".join(f"{kind} in {zone}" for kind, zone in missing),
            "Choose other zones in deployment.availability_zones, or another instance type.",
        )
    return ok(f"{', '.join(types)} in every zone")


def endpoints(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether every service with an endpoint has one in the endpoint's zones."""
    wanted = {
        str(endpoint.get("ServiceName")): {
            str(subnet.get("AvailabilityZone"))
            for subnet in rollout.templates.referred(endpoint, "SubnetIds", "AWS::EC2::Subnet")
        }
        for endpoint in rollout.of("AWS::EC2::VPCEndpoint", region=region)
    }
    if not wanted:
        return ok("no endpoints")
    answer = account.ask_all(
        "ec2",
        "describe_vpc_endpoint_services",
        region=region,
        key="ServiceDetails",
        Filters=[{"Name": "service-name", "Values": sorted(wanted)}],
    )
    offered: dict[str, set[str]] = {}
    for service in answer:  # a gateway and an interface endpoint of one service are two entries
        offered.setdefault(service["ServiceName"], set()).update(service["AvailabilityZones"])
    missing = [
        f"{service.rpartition(f'{region}.')[2]} in {zone}" if service in offered else f"{service} at all"
        for service, needed in sorted(wanted.items())
        for zone in sorted(needed - offered.get(service, set())) or ([] if service in offered else [""])
    ]
    if missing:
        return failed(
            f"AWS has no endpoint for {', '.join(dict.fromkeys(missing))}",
            "Name them in deployment.endpoints.absent (by zone), or take the service off deployment.endpoints.",
        )
    return ok(f"{len(wanted)} services have endpoints in their zones")


def prefix_lists(account: Account, rollout: Rollout, region: str) -> Verdict:
    """Whether AWS's lists of S3's and DynamoDB's addresses have the ids of the settings."""
    lists = rollout.settings.deployment.endpoints.prefix_lists[Region(region)]
    wanted = {f"com.amazonaws.{region}.s3": lists.s3, f"com.amazonaws.{region}.dynamodb": lists.dynamodb}
    answer = account.ask_all(
        "ec2",
        "describe_managed_prefix_lists",
        region=region,
        key="PrefixLists",
        Filters=[{"Name": "prefix-list-name", "Values": sorted(wanted)}],
    )
    actual = {found["PrefixListName"]: found["PrefixListId"] for found in answer}
    wrong = {name: actual.get(name, "absent") for name, wanted_id in wanted.items() if actual.get(name) != wanted_id}
    if wrong:
        return failed(
            ", ".join(f"{name} is {found}, the settings say {wanted[name]}" for name, found in wrong.items()),
            "Correct deployment.endpoints.prefix_lists.",
        )
    return ok(", ".join(wanted.values()))
