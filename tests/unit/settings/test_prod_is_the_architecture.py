"""The figures of the architecture, pinned: prod must not drift from them."""

from datetime import timedelta

import pytest

from stacks.architecture import AlertName, ClusterName, FunctionName, RecoveryStep
from stacks.models import Settings
from stacks.settings import load
from stacks.units import Region, Unit


@pytest.fixture(scope="module")
def prod() -> Settings:
    return load("prod")


def test_three_regions_and_two_zones(prod: Settings) -> None:
    assert prod.regions == (Region.US_WEST_1, Region.US_EAST_1, Region.EU_WEST_1)
    assert prod.primary_region is Region.US_EAST_1
    assert prod.network.global_.route53.zones == ("aeonova.com", "lib.aeonova.com")


def test_network(prod: Settings) -> None:
    vpc = prod.network.vpc
    assert str(vpc.cidr) == "10.0.0.0/16"
    assert [str(network) for network in vpc.subnets.public] == ["10.0.1.0/24", "10.0.2.0/24"]
    assert [str(network) for network in vpc.subnets.private] == ["10.0.10.0/24", "10.0.11.0/24"]


@pytest.mark.parametrize(
    ("name", "instance_type", "sizes"),
    [(ClusterName.VECTOR_PROCESSING, "c5.2xlarge", (3, 10)), (ClusterName.MODEL_REGISTRY, "m5.2xlarge", (2, 8))],
)
def test_clusters(prod: Settings, name: ClusterName, instance_type: str, sizes: tuple[int, int]) -> None:
    cluster = prod.compute.ecs.cluster(name)
    assert (str(cluster.instance_type), cluster.min_size, cluster.max_size) == (instance_type, *sizes)


@pytest.mark.parametrize(
    ("name", "memory", "timeout"),
    [(FunctionName.VECTOR_PROCESSING, 1024, 300), (FunctionName.MODEL_VALIDATION, 2048, 600)],
)
def test_functions(prod: Settings, name: FunctionName, memory: int, timeout: int) -> None:
    function = prod.compute.lambda_.function(name)
    assert (function.memory, function.timeout) == (memory, timeout)


def test_encryption(prod: Settings) -> None:
    assert prod.encryption.at_rest.key_rotation == timedelta(days=90)
    assert prod.encryption.in_transit.method == "TLS 1.3"
    assert prod.encryption.application.key_type == "AES-256-GCM"


@pytest.mark.parametrize(
    ("name", "value", "unit", "minutes", "severity"),
    [
        (AlertName.SERVICE_DOWN, 1, Unit.COUNT, 5, "critical"),
        (AlertName.HIGH_ERROR_RATE, 5, Unit.PERCENT, 15, "critical"),
        (AlertName.HIGH_LATENCY, 1, Unit.SECONDS, 10, "warning"),
        (AlertName.RESOURCE_USAGE, 80, Unit.PERCENT, 30, "warning"),
    ],
)
def test_alerts(prod: Settings, name: AlertName, value: float, unit: Unit, minutes: int, severity: str) -> None:
    alert = prod.alerts.alert(name)
    assert (alert.threshold.value, alert.threshold.unit) == (value, unit)
    assert alert.duration == timedelta(minutes=minutes)
    assert alert in getattr(prod.alerts, severity)


def test_scaling(prod: Settings) -> None:
    scaling = prod.scaling.vector_processing
    assert scaling.metrics == ("cpu_utilization", "queue_depth")
    assert (scaling.thresholds.scale_up, scaling.thresholds.scale_down) == (75, 25)
    assert (scaling.cooldown.scale_up, scaling.cooldown.scale_down) == (timedelta(seconds=300), timedelta(seconds=600))


def test_backup_and_recovery(prod: Settings) -> None:
    plans = prod.backup
    assert [
        (plan.frequency, plan.retention.days) for plan in (plans.databases, plans.vectors, plans.configuration)
    ] == [
        ("daily", 30),
        ("hourly", 7),
        ("daily", 90),
    ]
    assert (prod.recovery.rto, prod.recovery.rpo) == (timedelta(hours=4), timedelta(hours=1))
    assert prod.recovery.steps == tuple(RecoveryStep)


def test_prod_keeps_what_it_stores_and_issues_short_tokens(prod: Settings) -> None:
    deployment = prod.deployment
    assert deployment.retain_data
    assert deployment.default_tenant is None
    assert deployment.tokens.ttl == timedelta(minutes=15)
    assert prod.domain == "lib.aeonova.com"
