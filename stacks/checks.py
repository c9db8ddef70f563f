"""What must hold between settings, beyond the shape of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from itertools import combinations

from anfl.nodes.private import PRIVATE_NETWORKS
from stacks.architecture import AlertName, ClusterName, FunctionName, RecoveryStep
from stacks.ceilings import CEILINGS
from stacks.documents import Location
from stacks.engine_classes import MOST_SLOTS
from stacks.models import Settings
from stacks.units import Network, Unit

Problem = tuple[Location, object, str]
"""Where, the value, and what is allowed."""

_UNITS = {
    AlertName.SERVICE_DOWN: Unit.COUNT,
    AlertName.HIGH_ERROR_RATE: Unit.PERCENT,
    AlertName.HIGH_LATENCY: Unit.SECONDS,
    AlertName.RESOURCE_USAGE: Unit.PERCENT,
}
_RECOVERABLE_DAYS = 35
"""How far back DynamoDB restores to a moment, and how long ElastiCache keeps snapshots."""
_ZONES = "network.global.route53.zones"
_REPLICATION = timedelta(minutes=15)
"""What S3's replication time control promises."""


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Every contradiction in ``settings``."""
    yield from _network(settings)
    yield from _endpoints(settings)
    yield from _compute(settings)
    yield from _alerts(settings)
    yield from _scaling_and_recovery(settings)
    yield from _deployment(settings)
    yield from _engine_classes(settings)


def _network(settings: Settings) -> Iterator[Problem]:
    vpc = settings.network.vpc
    zones = settings.deployment.availability_zones
    subnets: list[tuple[Location, Network]] = [
        (("network", "vpc", "subnets", kind, position), subnet)
        for kind, networks in (("public", vpc.subnets.public), ("private", vpc.subnets.private))
        for position, subnet in enumerate(networks)
    ]
    if not 16 <= vpc.cidr.prefixlen <= 28:
        yield ("network", "vpc", "cidr"), vpc.cidr, "a VPC has a mask from /16 to /28"
    if not any(vpc.cidr.subnet_of(network) for network in PRIVATE_NETWORKS):
        allowed = f"nodes believe addresses of {', '.join(map(str, PRIVATE_NETWORKS))} alone"
        yield ("network", "vpc", "cidr"), vpc.cidr, allowed
    for at, subnet in subnets:
        if not subnet.subnet_of(vpc.cidr):
            yield at, subnet, f"it must lie inside network.vpc.cidr, {vpc.cidr}"
        if not 16 <= subnet.prefixlen <= 28:
            yield at, subnet, "a subnet has a mask from /16 to /28"
    for (_, first), (at, second) in combinations(subnets, 2):
        if first.overlaps(second):
            yield at, second, f"it overlaps {first}"
    yield from _once(("network", "global", "regions"), settings.all_regions)
    yield from _removed(settings)
    yield from _registry(settings)
    for region in settings.regions:
        names = zones.get(region, ())
        where: Location = ("deployment", "availability_zones", region.value)
        yield from _once(where, names)
        for name in names:
            if not (name[:-1] == region and name[-1:].isalpha()):
                yield where, name, f"a zone of {region} is needed, such as {region}a"
        for kind, networks in (("public", vpc.subnets.public), ("private", vpc.subnets.private)):
            if len(networks) != len(names):
                allowed = f"one zone for each of the {len(networks)} {kind} subnets in network.vpc.subnets"
                yield where, list(names), allowed
    public = len(vpc.subnets.public)
    if settings.deployment.nat_gateways > public:
        yield ("deployment", "nat_gateways"), settings.deployment.nat_gateways, f"at most one a public subnet: {public}"


def _removed(settings: Settings) -> Iterator[Problem]:
    removed = settings.deployment.removed_regions
    at: Location = ("deployment", "removed_regions")
    yield from _once(at, removed)
    others = [region.value for region in settings.all_regions if region is not settings.primary_region]
    allowed = f"of network.global.regions: {', '.join(others) or 'none'}"
    for region in removed:
        if region is settings.primary_region:
            yield at, region.value, f"the global stacks stand there; {allowed}"
        elif region not in settings.all_regions:
            yield at, region.value, allowed


def _registry(settings: Settings) -> Iterator[Problem]:
    home = settings.deployment.registry.home
    if home is not None and home not in settings.regions:
        allowed = f"a region that is deployed: {', '.join(settings.regions)}"
        yield ("deployment", "registry", "home"), home.value, allowed


def _endpoints(settings: Settings) -> Iterator[Problem]:
    endpoints, zones = settings.deployment.endpoints, settings.deployment.availability_zones
    at: Location = ("deployment", "endpoints")
    yield from _once((*at, "interface"), endpoints.interface)
    for service in {"s3", "dynamodb"} & set(endpoints.interface):
        yield (*at, "interface"), service, "no interface endpoint: a gateway endpoint is there already"
    for service in sorted(set(endpoints.interface) - CEILINGS.keys()):
        yield (*at, "interface"), service, "what is called through it must stand in CEILINGS of stacks/ceilings.py"
    for region in settings.regions:
        if endpoints.interface and region not in endpoints.prefix_lists:
            yield (*at, "prefix_lists"), region.value, "each region of the environment stands here"
        for service in endpoints.interface:
            if all(service in endpoints.absent.get(zone, ()) for zone in zones.get(region, ())):
                yield (*at, "absent"), service, f"an endpoint needs at least one zone in {region}"
    for zone in endpoints.absent:
        if not any(zone in names for names in zones.values()):
            yield (*at, "absent", zone), zone, "a zone of deployment.availability_zones"


def _compute(settings: Settings) -> Iterator[Problem]:
    ecs, functions = settings.compute.ecs, settings.compute.lambda_
    at: Location = ("compute", "ecs", "clusters")
    yield from _exactly(at, [cluster.name for cluster in ecs.clusters], ClusterName)
    for position, cluster in enumerate(ecs.clusters):
        if cluster.min_size > cluster.max_size:
            yield (*at, position, "min_size"), cluster.min_size, f"at most max_size, {cluster.max_size}"
    yield from _exactly(("compute", "lambda", "functions"), [f.name for f in functions.functions], FunctionName)


def _alerts(settings: Settings) -> Iterator[Problem]:
    groups = {"critical": settings.alerts.critical, "warning": settings.alerts.warning}
    yield from _exactly(("alerts",), [alert.name for alerts in groups.values() for alert in alerts], AlertName)
    for group, alerts in groups.items():
        for position, alert in enumerate(alerts):
            at: Location = ("alerts", group, position)
            if alert.threshold.unit is not _UNITS[alert.name]:
                allowed = f"the threshold of {alert.name} is in {_UNITS[alert.name]}"
                yield (*at, "threshold"), f"{alert.threshold.value:g} ({alert.threshold.unit})", allowed
            if alert.duration.total_seconds() % 60:
                yield (*at, "duration"), alert.duration, "whole minutes: CloudWatch evaluates once a minute"


def _scaling_and_recovery(settings: Settings) -> Iterator[Problem]:
    thresholds = settings.scaling.vector_processing.thresholds
    if thresholds.scale_down >= thresholds.scale_up:
        at: Location = ("scaling", "vector_processing", "thresholds", "scale_down")
        yield at, f"{thresholds.scale_down:g}%", f"less than scale_up, {thresholds.scale_up:g}%"
    yield from _once(("scaling", "vector_processing", "metrics"), settings.scaling.vector_processing.metrics)
    yield from _exactly(("recovery", "steps"), settings.recovery.steps, RecoveryStep)
    if settings.recovery.rpo > settings.recovery.rto:
        yield ("recovery", "rpo"), settings.recovery.rpo, f"at most rto, {settings.recovery.rto}"
    if settings.recovery.rpo < _REPLICATION:
        yield ("recovery", "rpo"), settings.recovery.rpo, f"at least {_REPLICATION}: S3 replicates no faster"


def _deployment(settings: Settings) -> Iterator[Problem]:
    deployment = settings.deployment
    yield from _once(("network", "global", "route53", "zones"), settings.network.global_.route53.zones)
    addresses = {("tokens", "issuer"): deployment.tokens.issuer, ("vault", "address"): deployment.vault.address}
    for path, text in addresses.items():
        if "{domain}" in text and settings.domain is None:
            yield ("deployment", *path), text, f"no {{domain}} without {_ZONES}"
    if deployment.retain_data and not deployment.vault.address.startswith("https://"):
        yield ("deployment", "vault", "address"), deployment.vault.address, "https:// where retain_data is true"
    if deployment.vault.cluster is not None:
        yield from _vault_cluster(settings)
    if deployment.retain_data and deployment.default_tenant is not None:
        yield ("deployment", "default_tenant"), deployment.default_tenant, "null where retain_data is true"
    kept = settings.backup.databases.retention
    if kept.days > _RECOVERABLE_DAYS:
        allowed = f"DynamoDB goes back, and ElastiCache keeps snapshots, {_RECOVERABLE_DAYS} days at most"
        yield ("backup", "databases", "retention"), kept, allowed
    if deployment.global_accelerator and settings.domain is None:
        yield ("deployment", "global_accelerator"), True, f"false without {_ZONES}: it ends TLS for a name there"
    nodes = deployment.nodes
    if nodes.timeout < 3 * nodes.heartbeat:
        yield ("deployment", "nodes", "timeout"), nodes.timeout, f"at least three heartbeats, {3 * nodes.heartbeat}"
    throttles = [(("throttle",), deployment.throttle), (("tokens", "throttle"), deployment.tokens.throttle)]
    for place, throttle in throttles:
        if throttle.burst < throttle.rate:
            yield ("deployment", *place, "burst"), throttle.burst, f"at least a second's, rate: {throttle.rate}"
    issuers = deployment.tokens.issuers
    # By its address the function `auth` finds an issuer, and by its name audit and approvals tell its people apart.
    for told in ([each.name for each in issuers], [each.issuer for each in issuers]):
        yield from _once(("deployment", "tokens", "issuers"), told)
    if deployment.tokens.authorizer_cache > deployment.tokens.ttl:
        at: Location = ("deployment", "tokens", "authorizer_cache")
        yield at, deployment.tokens.authorizer_cache, f"at most ttl, {deployment.tokens.ttl}"
    if deployment.tokens.session < deployment.tokens.ttl:
        yield ("deployment", "tokens", "session"), deployment.tokens.session, f"at least ttl, {deployment.tokens.ttl}"


def _engine_classes(settings: Settings) -> Iterator[Problem]:
    at: Location = ("deployment", "engine_classes")
    classes = settings.deployment.engine_classes
    for position, each in enumerate(classes):
        same = [earlier.name for earlier in classes[:position] if _in_stack(earlier.name) == _in_stack(each.name)]
        if each.name in same:
            yield (*at, position, "name"), each.name, "an earlier class has that name"
        elif same:
            yield (*at, position, "name"), each.name, f"an earlier class, {same[0]}, takes its place in the stack"
        if each.strings + each.numbers > MOST_SLOTS:
            allowed = f"a class has {MOST_SLOTS} slots at most, and {each.strings} are strings"
            yield (*at, position, "numbers"), each.numbers, allowed
    kept = settings.backup.vectors.retention
    if classes and kept.days > _RECOVERABLE_DAYS:
        yield ("backup", "vectors", "retention"), kept, f"DynamoDB goes back {_RECOVERABLE_DAYS} days at most"


def _in_stack(name: str) -> str:
    """As `constructs.camel` has it, which settings do without: it brings all of the CDK."""
    return "".join(part.capitalize() for part in name.split("-"))


def _once(at: Location, values: Sequence[str]) -> Iterator[Problem]:
    for value, count in Counter(values).items():
        if count > 1:
            yield at, str(value), f"it stands here {count} times; once is allowed"


def _exactly(at: Location, values: Sequence[str], kind: type[StrEnum]) -> Iterator[Problem]:
    yield from _once(at, values)
    if missing := [name.value for name in kind if name not in values]:
        yield at, [str(value) for value in values], f"{', '.join(missing)} must stand here too"


def _vault_cluster(settings: Settings) -> Iterator[Problem]:
    """Its certificate is ACM's: for a name below the domain, another one in each region."""
    deployment = settings.deployment
    at: Location = ("deployment", "vault", "address")
    address = deployment.vault.address
    if not (address.endswith(".{domain}:8200") and address.startswith("https://")):
        yield at, address, "https://, a name below {domain}, and :8200, where deployment.vault.cluster is set"
    if "{region}" not in address:
        yield at, address, "{region} must stand in it where deployment.vault.cluster is set"
