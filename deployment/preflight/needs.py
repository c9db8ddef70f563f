"""How much of each AWS quota a deployment needs in a region, counted in its templates.

Codes and AWS's own values for a new account as Service Quotas lists them; where an account may begin lower, the lower.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployment.instances import instance_groups, vcpus
from deployment.rollout import Rollout

Need = Callable[[Rollout, str], float]
"""(deployment, region) → how much it needs there; 0 where it has no use for it."""

_UNRESERVED = 100
"""Concurrent executions that Lambda keeps for functions without a reservation; new accounts begin with ten in all."""
_DEFAULT_TIMEOUT = 29_000
"""Milliseconds of an integration that need no quota."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota of Service Quotas."""

    id: str
    service: str
    code: str
    name: str
    default: float
    """Of a new account."""
    need: Need


def _count(*kinds: str) -> Need:
    return lambda rollout, region: sum(len(rollout.of(kind, region=region)) for kind in kinds)


def _where(kind: str, name: str, value: str) -> Need:
    return lambda rollout, region: sum(found.get(name) == value for found in rollout.of(kind, region=region))


def _vcpus(rollout: Rollout, region: str) -> float:
    return sum(group.maximum * vcpus(group.instance_type) for group in instance_groups(rollout, region=region))


def _volumes(rollout: Rollout, region: str) -> float:
    gib = sum(group.maximum * group.volume_gib for group in instance_groups(rollout, region=region))
    return math.ceil(gib / 1024)


def _gateways_in_one_zone(rollout: Rollout, region: str) -> float:
    zones = Counter(
        subnet.get("AvailabilityZone")
        for gateway in rollout.of("AWS::EC2::NatGateway", region=region)
        for subnet in rollout.templates.referred(gateway, "SubnetId", "AWS::EC2::Subnet")
    )
    return max(zones.values(), default=0)


def _concurrency(rollout: Rollout, region: str) -> float:
    functions = rollout.of("AWS::Lambda::Function", region=region)
    reserved = sum(int(function.get("ReservedConcurrentExecutions") or 0) for function in functions)
    return reserved + _UNRESERVED if functions else 0


def _paths(rollout: Rollout, region: str) -> dict[str, dict[str, Any]]:
    """Path → method → operation of every REST API's document."""
    found: dict[str, dict[str, Any]] = {}
    for api in rollout.of("AWS::ApiGateway::RestApi", region=region):
        found |= api.get("Body.paths") or {}
    return found


def _segments(rollout: Rollout, region: str) -> float:
    """API Gateway makes a resource of every segment of every path."""
    parts = [path.strip("/").split("/") for path in _paths(rollout, region)]
    return len({tuple(part[:length]) for part in parts for length in range(1, len(part) + 1)})


def _timeout(rollout: Rollout, region: str) -> float:
    operations = [found for path in _paths(rollout, region).values() for found in path.values()]
    integrations = [operation["x-amazon-apigateway-integration"] for operation in operations]
    longest = max((int(found.get("timeoutInMillis", 0)) for found in integrations), default=0)
    return longest if longest > _DEFAULT_TIMEOUT else 0


def _stage_limit(name: str) -> Need:
    def need(rollout: Rollout, region: str) -> float:
        stages = rollout.of("AWS::ApiGateway::Stage", region=region)
        settings = [method for stage in stages for method in stage.get("MethodSettings") or []]
        return max((float(method.get(name, 0)) for method in settings), default=0)

    return need


def _cache_nodes(rollout: Rollout, region: str) -> float:
    groups = rollout.of("AWS::ElastiCache::ReplicationGroup", region=region)
    return sum(int(group.get("NumNodeGroups")) * (1 + int(group.get("ReplicasPerNodeGroup"))) for group in groups)


def _tables(rollout: Rollout, region: str) -> float:
    """Replicas stand where their table says, not where its stack does."""
    tables = rollout.of("AWS::DynamoDB::GlobalTable")
    return sum(region in {replica["Region"] for replica in table.get("Replicas")} for table in tables)


def _stacks(rollout: Rollout, region: str) -> float:
    return sum(rollout.templates.regions[stack] == region for stack in rollout.stacks)


def _quota(id: str, service: str, code: str, name: str, default: float, need: Need) -> Quota:  # noqa: A002
    return Quota(id=id, service=service, code=code, name=name, default=default, need=need)


VCPUS, NETWORKS, ADDRESSES = "ec2.standard-vcpus", "vpc.networks", "ec2.elastic-ips"
"""Quotas of which other systems in the account take a share that is counted."""

QUOTAS = (
    _quota(VCPUS, "ec2", "L-1216C47A", "Running On-Demand Standard instances (vCPUs)", 5, _vcpus),
    _quota(ADDRESSES, "ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5, _count("AWS::EC2::EIP")),
    _quota(NETWORKS, "vpc", "L-F678F1CE", "VPCs per Region", 5, _count("AWS::EC2::VPC")),
    _quota(
        "vpc.internet-gateways",
        "vpc",
        "L-A4707A72",
        "Internet gateways per Region",
        5,
        _count("AWS::EC2::InternetGateway"),
    ),
    _quota("vpc.nat-gateways", "vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 5, _gateways_in_one_zone),
    _quota(
        "vpc.interface-endpoints",
        "vpc",
        "L-29B6F2EB",
        "Interface VPC endpoints per VPC",
        50,
        _where("AWS::EC2::VPCEndpoint", "VpcEndpointType", "Interface"),
    ),
    _quota(
        "vpc.gateway-endpoints",
        "vpc",
        "L-1B52E74A",
        "Gateway VPC endpoints per Region",
        20,
        _where("AWS::EC2::VPCEndpoint", "VpcEndpointType", "Gateway"),
    ),
    _quota("ebs.gp3-tib", "ebs", "L-7A658B76", "Storage for General Purpose SSD (gp3) volumes, in TiB", 50, _volumes),
    _quota(
        "autoscaling.groups",
        "autoscaling",
        "L-CDE20ADC",
        "Auto Scaling groups per region",
        500,
        _count("AWS::AutoScaling::AutoScalingGroup"),
    ),
    _quota(
        "elb.application",
        "elasticloadbalancing",
        "L-53DA6B97",
        "Application Load Balancers per Region",
        50,
        _where("AWS::ElasticLoadBalancingV2::LoadBalancer", "Type", "application"),
    ),
    _quota(
        "elb.network",
        "elasticloadbalancing",
        "L-69A177A2",
        "Network Load Balancers per Region",
        50,
        _where("AWS::ElasticLoadBalancingV2::LoadBalancer", "Type", "network"),
    ),
    _quota("ecs.clusters", "ecs", "L-21C621EB", "Clusters per account", 10_000, _count("AWS::ECS::Cluster")),
    _quota("lambda.concurrency", "lambda", "L-B99A9384", "Concurrent executions", 10, _concurrency),
    _quota(
        "apigateway.resources",
        "apigateway",
        "L-01C8A9E0",
        "Resources/Routes per REST/WebSocket API",
        300,
        _segments,
    ),
    _quota(
        "apigateway.timeout",
        "apigateway",
        "L-E5AE38E3",
        "Maximum integration timeout in milliseconds",
        _DEFAULT_TIMEOUT,
        _timeout,
    ),
    _quota(
        "apigateway.rate",
        "apigateway",
        "L-8A5B8E43",
        "Throttle rate",
        10_000,
        _stage_limit("ThrottlingRateLimit"),
    ),
    _quota(
        "apigateway.burst",
        "apigateway",
        "L-CDF5615A",
        "Throttle burst rate",
        5_000,
        _stage_limit("ThrottlingBurstLimit"),
    ),
    _quota(
        "apigateway.vpc-links", "apigateway", "L-608BDCD4", "VPC links(V2)", 10, _count("AWS::ApiGatewayV2::VpcLink")
    ),
    _quota(
        "apigateway.domain-names",
        "apigateway",
        "L-A93447B8",
        "Custom Domain Names",
        120,
        _count("AWS::ApiGateway::DomainName"),
    ),
    _quota(
        "acm.certificates",
        "acm",
        "L-F141DD1D",
        "ACM certificates",
        2_500,
        _count("AWS::CertificateManager::Certificate"),
    ),
    _quota(
        "kms.keys",
        "kms",
        "L-C2F1777E",
        "Customer Master Keys (CMKs)",
        100_000,
        _count("AWS::KMS::Key", "AWS::KMS::ReplicaKey"),
    ),
    _quota(
        "waf.web-acls",
        "wafv2",
        "L-2EC3DE7B",
        "Maximum web ACLs per account in WAF for regional",
        100,
        _where("AWS::WAFv2::WebACL", "Scope", "REGIONAL"),
    ),
    _quota("dynamodb.tables", "dynamodb", "L-F98FE922", "Maximum number of tables", 2_500, _tables),
    _quota("elasticache.nodes", "elasticache", "L-DFE45DF3", "Nodes per Region", 300, _cache_nodes),
    _quota(
        "backup.plans",
        "backup",
        "L-BD69F607",
        "Backup plans per Region per account",
        300,
        _count("AWS::Backup::BackupPlan"),
    ),
    _quota(
        "backup.vaults",
        "backup",
        "L-7705D2CB",
        "Backup vaults per Region per account",
        300,
        _count("AWS::Backup::BackupVault"),
    ),
    _quota(
        "aps.workspaces", "aps", "L-8873DB23", "Workspaces per region per account", 25, _count("AWS::APS::Workspace")
    ),
    _quota("grafana.workspaces", "grafana", "L-2C2D5119", "Number of workspaces", 5, _count("AWS::Grafana::Workspace")),
    _quota("sns.topics", "sns", "L-61103206", "Topics per Account", 100_000, _count("AWS::SNS::Topic")),
    _quota("cloudformation.stacks", "cloudformation", "L-0485CB21", "Stacks", 2_000, _stacks),
)
