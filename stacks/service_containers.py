"""A region's ECS services: the balancer before them, a cluster for each, their tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from constructs.camel import camel
from constructs.collector import Collector
from constructs.container_service import ContainerService
from constructs.instance_cluster import InstanceCluster
from constructs.internal_balancer import InternalBalancer
from constructs.location import here
from constructs.prometheus_workspace import PrometheusWorkspace
from constructs.region_network import RegionNetwork
from constructs.secure_bucket import SecureBucket

from anfl.resources import STAGE, Service
from bundling.images import COLLECTOR_REPOSITORY, image_for
from stacks.access import Parts
from stacks.architecture import ClusterName
from stacks.base import AnflStack
from stacks.security import SERVICE_PORT, SecurityStack
from stacks.settings import ROOT

LIVENESS = "/health/live"
READINESS = "/health/ready"
COLLECTOR = ROOT / "monitoring" / "collector.yaml"
"""What the collector beside each task does."""
CLUSTERS = {
    Service.VECTOR_STORE: ClusterName.VECTOR_PROCESSING,
    Service.MODEL_REGISTRY: ClusterName.MODEL_REGISTRY,
}
"""Which cluster runs which service."""
PATHS = {
    Service.VECTOR_STORE: ("/v1/collections*", "/v1/aliases*", "/v1/imports*", "/v1/openapi.json"),
    Service.MODEL_REGISTRY: ("/api/2.0/*", "/ajax-api/2.0/*", "/v1/models*"),
}
"""Path patterns of each service, with and without the stage that API Gateway puts before them."""


@dataclass(frozen=True, kw_only=True)
class Containers:
    """What answers behind the balancer, and the balancer."""

    balancer: InternalBalancer
    clusters: Mapping[Service, InstanceCluster]
    services: Mapping[Service, ContainerService]


def containers_in(
    stack: AnflStack,
    *,
    network: RegionNetwork,
    security: SecurityStack,
    parts: Parts,
    key: kms.IKey,
    prometheus: PrometheusWorkspace,
) -> Containers:
    """Both services, each on instances of its own, with a collector beside each task that writes to ``prometheus``."""
    figures = stack.settings.deployment.collector
    collector = Collector(
        repository=COLLECTOR_REPOSITORY,
        tag=figures.tag,
        cpu=figures.cpu,
        memory=figures.memory,
        configuration=COLLECTOR.read_text(encoding="utf-8"),
        prometheus=prometheus,
    )
    balancer = _balancer(stack, network, security)
    ami_id = ecs.EcsOptimizedImage.amazon_linux2023().get_image(stack).image_id
    clusters = {
        service: _cluster(stack, service, network, security, ami_id=ami_id, disk_key_arn=key.key_arn)
        for service in Service
    }
    services = {}
    for service, cluster in clusters.items():
        image = image_for(service)
        services[service] = built = ContainerService(
            stack,
            f"{camel(service)}Service",
            service=service,
            name=stack.settings.name(service),
            cluster=cluster,
            repository=image.repository,
            tag=image.tag,
            port=SERVICE_PORT,
            health_path=LIVENESS,
            environment=parts.environment(service),
            statements=parts.statements(service),
            subnet_ids=network.private_subnet_ids,
            security_group_id=security.services.security_group_id,
            target_group_arn=balancer.target_groups[service].ref,
            log_group=stack.log_group(f"{camel(service)}ServiceLogs", key),
            collector=collector,
            scaled=service is Service.VECTOR_STORE,
        )
        for rule in balancer.rules:
            # ECS refuses a target group that no balancer uses yet.
            built.resource.add_resource_dependency(rule)
    return Containers(balancer=balancer, clusters=clusters, services=services)


def _balancer(stack: AnflStack, network: RegionNetwork, security: SecurityStack) -> InternalBalancer:
    deployment = stack.settings.deployment
    return InternalBalancer(
        stack,
        "Balancer",
        name=stack.settings.name("internal"),
        vpc_id=network.vpc_id,
        subnet_ids=network.private_subnet_ids,
        security_group_id=security.balancer.security_group_id,
        port=SERVICE_PORT,
        health_path=READINESS,
        paths={
            service: [prefix + path for path in paths for prefix in ("", f"/{STAGE}")]
            for service, paths in PATHS.items()
        },
        certificate_arn=security.certificate.arn if security.certificate else None,
        tls_policy=deployment.private_link.tls_policy,
        retain=stack.retain,
        log_bucket=_log_bucket(stack) if deployment.balancer_logs else None,
    )


def _log_bucket(stack: AnflStack) -> SecureBucket:
    deployment = stack.settings.deployment
    return SecureBucket(
        stack,
        "BalancerLogs",
        name=stack.settings.name("balancer-logs", here(stack).account, here(stack).region),
        key=None,
        noncurrent_retention=deployment.storage.noncurrent_retention,
        expiry=timedelta(days=deployment.log_retention_days),
        retain=stack.retain,
    )


def _cluster(
    stack: AnflStack,
    service: Service,
    network: RegionNetwork,
    security: SecurityStack,
    *,
    ami_id: str,
    disk_key_arn: str,
) -> InstanceCluster:
    cluster = stack.settings.compute.ecs.cluster(CLUSTERS[service])
    return InstanceCluster(
        stack,
        f"{camel(cluster.name)}Cluster",
        name=stack.settings.name(cluster.name),
        cluster=cluster,
        subnet_ids=network.private_subnet_ids,
        security_group_id=security.instances.security_group_id,
        ami_id=ami_id,
        disk_key_arn=disk_key_arn,
    )
