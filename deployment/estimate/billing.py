"""For each type of resource: what is billed for it, or why nothing is.

A type that is in neither table makes the estimate fail, so that it cannot go stale unnoticed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployment.estimate.prices import PriceTable
from deployment.estimate.vector_tables import VectorTable, vector_tables
from deployment.instances import instance_groups
from deployment.rollout import Rollout
from stacks.figures.templates import Resource


@dataclass(frozen=True, kw_only=True)
class Charge:
    """So many units of one price; ``most`` of them where everything is scaled out."""

    price: str
    quantity: float
    most: float | None = None
    region: str | None = None
    """Where it is billed; None: where the resource's stack stands."""


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a rule may look at beside its resource."""

    rollout: Rollout
    table: PriceTable

    @property
    def hours(self) -> float:
        """Of a month."""
        return self.table.hours_a_month

    def usage(self, name: str) -> float:
        """What is assumed for this environment."""
        return self.table.amount(name, self.rollout.settings.environment)

    def vector_tables(self, tables: list[Resource] | None = None) -> list[VectorTable]:
        """Those of ``tables``, or of all, that classes have."""
        found = self.rollout.templates.of("AWS::DynamoDB::GlobalTable") if tables is None else tables
        metadata, examined = self.usage("class_metadata"), self.usage("class_examined")
        return list(vector_tables(found, metadata=metadata, examined=examined))


Rule = Callable[[Resource, Bill], Iterator[Charge]]


def _each(price: str) -> Rule:
    def rule(_resource: Resource, _bill: Bill) -> Iterator[Charge]:
        yield Charge(price=price, quantity=1)

    return rule


def _instances(resource: Resource, bill: Bill) -> Iterator[Charge]:
    (group,) = (found for found in instance_groups(bill.rollout, region=resource.region) if found.resource == resource)

    def charge(price: str, each: float) -> Charge:
        return Charge(price=price, quantity=group.minimum * each, most=group.maximum * each)

    yield charge(f"ec2.{group.instance_type}", bill.hours)
    yield charge("ebs.gp3", group.volume_gib)
    if group.detailed_monitoring:
        yield charge("cloudwatch.metric", 7)  # as many as EC2 publishes by the minute


def _address(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="ipv4.address", quantity=bill.hours)


def _network(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="transfer.internet", quantity=bill.usage("egress"))
    yield Charge(price="transfer.zone", quantity=bill.usage("between_zones"))


def _nat(resource: Resource, bill: Bill) -> Iterator[Charge]:
    gateways = len(bill.rollout.of("AWS::EC2::NatGateway", region=resource.region))
    yield Charge(price="nat.hour", quantity=bill.hours)
    yield Charge(price="nat.data", quantity=bill.usage("nat") / gateways)


def _endpoint(resource: Resource, bill: Bill) -> Iterator[Charge]:
    if resource.get("VpcEndpointType") != "Interface":
        return  # gateway endpoints cost nothing
    endpoints = bill.rollout.of("AWS::EC2::VPCEndpoint", region=resource.region)
    interfaces = sum(endpoint.get("VpcEndpointType") == "Interface" for endpoint in endpoints)
    yield Charge(price="endpoint.hour", quantity=len(resource.get("SubnetIds")) * bill.hours)
    yield Charge(price="endpoint.data", quantity=bill.usage("endpoints") / interfaces)


def _balancer(resource: Resource, bill: Bill) -> Iterator[Charge]:
    kind = "nlb" if resource.get("Type") == "network" else "alb"
    units = 1 if kind == "nlb" else bill.usage("balancer_capacity")
    yield Charge(price=f"{kind}.hour", quantity=bill.hours)
    yield Charge(price=f"{kind}.capacity", quantity=units * bill.hours)


def _accelerator(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="accelerator.hour", quantity=bill.hours)


def _accelerated(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="accelerator.data", quantity=bill.usage("accelerated"))
    yield Charge(price="transfer.internet", quantity=bill.usage("accelerated"))


def _site(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="cloudfront.data", quantity=bill.usage("site"))
    yield Charge(price="cloudfront.requests", quantity=bill.usage("site_requests"))


def _zone(resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="route53.zone", quantity=1)
    if not resource.get("VPCs"):
        yield Charge(price="route53.queries", quantity=bill.usage("queries"))


def _health_check(resource: Resource, _bill: Bill) -> Iterator[Charge]:
    yield Charge(price="route53.health-check", quantity=1)
    if resource.get("HealthCheckConfig.RequestInterval") == 10:
        yield Charge(price="route53.fast-interval", quantity=1)


def _certificate(resource: Resource, bill: Bill) -> Iterator[Charge]:
    if resource.get("CertificateExport") == "ENABLED":
        names = 1 + len(resource.get("SubjectAlternativeNames") or [])
        yield Charge(price="acm.exportable", quantity=names * bill.usage("certificate_issues") / 12)


def _key(resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="kms.key", quantity=1)
    if resource.get("EnableKeyRotation"):
        yield Charge(price="kms.rotation", quantity=2)
    keys = len(bill.rollout.of(resource.kind, region=resource.region))
    yield Charge(price="kms.requests", quantity=bill.usage("key_requests") / keys)


def _firewall(resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="waf.acl", quantity=1)
    yield Charge(price="waf.rule", quantity=len(resource.get("Rules")))
    seen = "site_requests" if resource.get("Scope") == "CLOUDFRONT" else "requests"
    yield Charge(price="waf.requests", quantity=bill.usage(seen))


def _stage(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="api.requests", quantity=bill.usage("requests"))
    yield Charge(price="xray.traces", quantity=bill.usage("traces"))


def _function(resource: Resource, bill: Bill) -> Iterator[Charge]:
    millions = bill.usage("functions")
    gigabytes = int(resource.get("MemorySize")) / 1024
    yield Charge(price="lambda.requests", quantity=millions)
    seconds = millions * 1e6 * bill.usage("function_seconds")
    yield Charge(price="lambda.compute", quantity=seconds * gigabytes)


def _queue(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="sqs.requests", quantity=bill.usage("messages"))


def _topic(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="sns.requests", quantity=bill.usage("alerts"))


def _table(resource: Resource, bill: Bill) -> Iterator[Charge]:
    of_vectors = bill.vector_tables([resource])
    for found in of_vectors:
        yield from of_rows(
            found,
            kept=bill.usage("class_vectors"),
            written=bill.usage("class_changes"),
            fetched=bill.usage("class_fetches"),
            searches=bill.usage("class_queries"),
        )
    if of_vectors:
        return
    replicas = [replica["Region"] for replica in resource.get("Replicas")]
    for region in replicas:
        # A write is billed in every region that holds a replica, wherever it was made.
        yield Charge(price="dynamodb.writes", quantity=bill.usage("table_writes") * len(replicas), region=region)
        yield Charge(price="dynamodb.reads", quantity=bill.usage("table_reads"), region=region)
        yield Charge(price="dynamodb.storage", quantity=bill.usage("table_size"), region=region)
        yield Charge(price="dynamodb.pitr", quantity=bill.usage("table_size"), region=region)


def of_rows(
    table: VectorTable, *, kept: float = 0, written: float = 0, fetched: float = 0, searches: float = 0
) -> Iterator[Charge]:
    """What millions of rows and searches of a class cost; all but ``kept`` in each region, a month."""
    for region in table.regions:
        # A change is a transaction, which costs twice; replicas take it over as a write.
        writes = written * table.units_written * (1 + len(table.regions))
        for price, quantity in (
            ("dynamodb.writes", writes),
            ("dynamodb.vector-writes", written * len(table.regions) * table.written),
            ("dynamodb.reads", fetched * table.units_read),
            ("dynamodb.vector-searches", searches * table.searched),
            ("dynamodb.storage", kept * table.stored),
            ("dynamodb.vector-storage", kept * table.indexed),
            ("dynamodb.pitr", kept * table.stored),
        ):
            yield Charge(price=price, quantity=quantity, region=region)


_DATA = ("Vectors", "Artifacts")
"""Buckets whose logical ids begin so hold what users store; the others hold logs, documents, Vault's snapshots."""
_SMALL = 0.05
"""Share of a data bucket's size and traffic that another bucket has."""


def _bucket(resource: Resource, bill: Bill) -> Iterator[Charge]:
    share = 1 if resource.id.startswith(_DATA) else _SMALL
    yield Charge(price="s3.storage", quantity=bill.usage("bucket_size") * share)
    yield Charge(price="s3.puts", quantity=bill.usage("bucket_puts") * share)
    yield Charge(price="s3.gets", quantity=bill.usage("bucket_gets") * share)


def _replication(resource: Resource, bill: Bill) -> Iterator[Charge]:
    """Of the region's own buckets, to every other region."""
    own = bill.rollout.of("AWS::S3::Bucket", region=resource.region)
    buckets = sum(bucket.id.startswith(_DATA) for bucket in own)
    copies = buckets * (len(bill.rollout.of(resource.kind)) - 1) * bill.usage("bucket_growth")
    yield Charge(price="transfer.region", quantity=copies)
    yield Charge(price="s3.replication-time", quantity=copies)


def _cache(resource: Resource, bill: Bill) -> Iterator[Charge]:
    nodes = resource.get("NumNodeGroups") * (1 + resource.get("ReplicasPerNodeGroup"))
    yield Charge(price=f"valkey.{resource.get('CacheNodeType')}", quantity=nodes * bill.hours)
    yield Charge(price="valkey.backup", quantity=bill.usage("cache_snapshots"))


def _cluster(resource: Resource, bill: Bill) -> Iterator[Charge]:
    settings = resource.get("ClusterSettings") or []
    if {"Name": "containerInsights", "Value": "enabled"} in settings:
        yield Charge(price="cloudwatch.metric", quantity=bill.usage("insights"))


def _images(resource: Resource, bill: Bill) -> Iterator[Charge]:
    tasks = len(bill.rollout.of(resource.kind, region=resource.region))
    yield Charge(price="ecr.storage", quantity=bill.usage("images") / tasks)


def _alarm(resource: Resource, _bill: Bill) -> Iterator[Charge]:
    metrics = [metric for metric in resource.get("Metrics") or [] if "MetricStat" in metric]
    yield Charge(price="cloudwatch.alarm", quantity=max(1, len(metrics)))


def _dashboard(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="cloudwatch.dashboard", quantity=1)
    yield Charge(price="cloudwatch.metric", quantity=bill.usage("custom_metrics"))


_COMPRESSED = 0.15
"""Share of its size at which CloudWatch Logs bills what it keeps, as its price page assumes."""


def _logs(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    months = bill.rollout.settings.deployment.log_retention_days / 30
    yield Charge(price="logs.ingested", quantity=bill.usage("logs"))
    yield Charge(price="logs.stored", quantity=bill.usage("logs") * max(1, months) * _COMPRESSED)


def _prometheus(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="prometheus.samples", quantity=bill.usage("samples"))


def _grafana(_resource: Resource, bill: Bill) -> Iterator[Charge]:
    yield Charge(price="grafana.editor", quantity=bill.usage("editors"))
    yield Charge(price="grafana.viewer", quantity=bill.usage("viewers"))


_TABLE = re.compile(r":table/([A-Za-z0-9_.-]+)")


def _points(rule: Mapping[str, Any]) -> int:
    """How many backups a rule keeps of one resource in one place."""
    a_day = 24 if rule["ScheduleExpression"].split()[1] == "*" else 1
    return a_day * int(rule["Lifecycle"]["DeleteAfterDays"])


def of_backups(table: VectorTable, bill: Bill) -> Iterator[Charge]:
    """What the backups of a million rows of a class cost a month, with their copies."""
    for resource in bill.rollout.templates.of("AWS::Backup::BackupSelection"):
        selected = [_TABLE.search(str(arn)) for arn in resource.get("BackupSelection.Resources")]
        if any(found and found[1] == table.name for found in selected):
            (plan,) = bill.rollout.templates.referred(resource, "BackupPlanId", "AWS::Backup::BackupPlan")
            for rule in plan.get("BackupPlan.BackupPlanRule"):
                kept = table.stored * _points(rule) * (1 + len(rule.get("CopyActions") or []))
                yield Charge(price="backup.tables", quantity=kept, region=resource.region)


def _selection(resource: Resource, bill: Bill) -> Iterator[Charge]:
    """What a plan keeps: in the region, and again where it sends a copy. Tables are kept whole, each time anew."""
    of_classes = {found.name: found.stored for found in bill.vector_tables()}
    (plan,) = bill.rollout.templates.referred(resource, "BackupPlanId", "AWS::Backup::BackupPlan")
    for rule in plan.get("BackupPlan.BackupPlanRule"):
        places, points = 1 + len(rule.get("CopyActions") or []), _points(rule)
        for selected in resource.get("BackupSelection.Resources"):
            if table := _TABLE.search(str(selected)):
                stored = of_classes.get(table[1])
                size = bill.usage("table_size") if stored is None else bill.usage("class_vectors") * stored
                yield Charge(price="backup.tables", quantity=size * points * places)
            else:
                kept = bill.usage("bucket_size") * bill.usage("backup_buckets")
                yield Charge(price="backup.buckets", quantity=kept * places)
                yield Charge(price="transfer.region", quantity=bill.usage("bucket_growth") * (places - 1))


def _restore(resource: Resource, bill: Bill) -> Iterator[Charge]:
    selections = len(bill.rollout.of(resource.kind, region=resource.region))
    yield Charge(price="backup.restored", quantity=bill.usage("restores") / selections)


BILLED: dict[str, Rule] = {
    "AWS::APS::Workspace": _prometheus,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::AutoScaling::AutoScalingGroup": _instances,
    "AWS::Backup::BackupSelection": _selection,
    "AWS::Backup::RestoreTestingSelection": _restore,
    "AWS::CertificateManager::Certificate": _certificate,
    "AWS::CloudFront::Distribution": _site,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::DynamoDB::GlobalTable": _table,
    "AWS::EC2::EIP": _address,
    "AWS::EC2::NatGateway": _nat,
    "AWS::EC2::VPC": _network,
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ECS::Cluster": _cluster,
    "AWS::ECS::TaskDefinition": _images,
    "AWS::ElastiCache::ReplicationGroup": _cache,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::GlobalAccelerator::Accelerator": _accelerator,
    "AWS::GlobalAccelerator::EndpointGroup": _accelerated,
    "AWS::Grafana::Workspace": _grafana,
    "AWS::KMS::Key": _key,
    "AWS::KMS::ReplicaKey": _key,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _logs,
    "AWS::Route53::HealthCheck": _health_check,
    "AWS::Route53::HostedZone": _zone,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Topic": _topic,
    "AWS::SQS::Queue": _queue,
    "AWS::SecretsManager::Secret": _each("secret"),
    "AWS::WAFv2::WebACL": _firewall,
    "Custom::BucketReplication": _replication,
}
"""What is billed, by type."""

_FREE = "AWS charges nothing for it"
_WITHIN = "billed with what it belongs to: "

UNBILLED: dict[str, str] = {
    "AWS::APS::RuleGroupsNamespace": "its queries are less than a dollar a month",
    "AWS::ApiGateway::Account": _FREE,
    "AWS::ApiGateway::BasePathMapping": _FREE,
    "AWS::ApiGateway::Deployment": _FREE,
    "AWS::ApiGateway::DomainName": _FREE,
    "AWS::ApiGateway::RestApi": _WITHIN + "the stage's requests",
    "AWS::ApiGatewayV2::VpcLink": _FREE,
    "AWS::ApplicationAutoScaling::ScalableTarget": _FREE,
    "AWS::ApplicationAutoScaling::ScalingPolicy": _WITHIN + "its alarms",
    "AWS::Backup::BackupPlan": _WITHIN + "its selections",
    "AWS::Backup::BackupVault": _WITHIN + "the plans' selections",
    "AWS::Backup::RestoreTestingPlan": _WITHIN + "its selections",
    "AWS::CloudFormation::CustomResource": _WITHIN + "its function",
    "Custom::VaultCertificate": _WITHIN + "its function",
    "Custom::WrappingKey": _WITHIN + "its function",
    "AWS::CloudFront::OriginAccessControl": _FREE,
    "AWS::CloudFront::ResponseHeadersPolicy": _FREE,
    "AWS::EC2::FlowLog": _WITHIN + "its log group",
    "AWS::EC2::InternetGateway": _WITHIN + "the network's traffic",
    "AWS::EC2::LaunchTemplate": _WITHIN + "the auto scaling group",
    "AWS::EC2::Route": _FREE,
    "AWS::EC2::RouteTable": _FREE,
    "AWS::EC2::SecurityGroup": _FREE,
    "AWS::EC2::SecurityGroupEgress": _FREE,
    "AWS::EC2::SecurityGroupIngress": _FREE,
    "AWS::EC2::Subnet": _FREE,
    "AWS::EC2::SubnetRouteTableAssociation": _FREE,
    "AWS::EC2::VPCGatewayAttachment": _FREE,
    "AWS::ECS::CapacityProvider": _FREE,
    "AWS::ECS::ClusterCapacityProviderAssociations": _FREE,
    "AWS::ECS::Service": _WITHIN + "the instances",
    "AWS::ElastiCache::ParameterGroup": _FREE,
    "AWS::ElastiCache::SubnetGroup": _FREE,
    "AWS::ElastiCache::User": _FREE,
    "AWS::ElastiCache::UserGroup": _FREE,
    "AWS::ElasticLoadBalancingV2::Listener": _WITHIN + "the balancer",
    "AWS::ElasticLoadBalancingV2::ListenerRule": _WITHIN + "the balancer's capacity units",
    "AWS::ElasticLoadBalancingV2::TargetGroup": _FREE,
    "AWS::Events::Rule": "events of a schedule are less than a cent a month",
    "AWS::GlobalAccelerator::Listener": _WITHIN + "the accelerator",
    "AWS::IAM::InstanceProfile": _FREE,
    "AWS::IAM::ManagedPolicy": _FREE,
    "AWS::IAM::Policy": _FREE,
    "AWS::IAM::Role": _FREE,
    "AWS::KMS::Alias": _FREE,
    "AWS::Lambda::EventInvokeConfig": _FREE,
    "AWS::Lambda::EventSourceMapping": _WITHIN + "its queue's requests",
    "AWS::Lambda::Permission": _FREE,
    "AWS::Logs::Delivery": _WITHIN + "its log group",
    "AWS::Logs::DeliveryDestination": _FREE,
    "AWS::Logs::DeliverySource": _FREE,
    "AWS::Logs::MetricFilter": _WITHIN + "the published metrics",
    "AWS::Route53::RecordSet": _WITHIN + "the zone's queries",
    "AWS::S3::BucketPolicy": _FREE,
    "AWS::SNS::TopicPolicy": _FREE,
    "AWS::SQS::QueuePolicy": _FREE,
    "AWS::SSM::Document": _FREE,
    "AWS::SSM::Parameter": "standard parameters cost nothing",
    "AWS::SecretsManager::ResourcePolicy": _FREE,
    "AWS::StepFunctions::StateMachine": "a recovery is a few hundred transitions: less than a cent",
    "AWS::WAFv2::IPSet": _WITHIN + "the web ACL",
    "AWS::WAFv2::LoggingConfiguration": _WITHIN + "its log group",
    "AWS::WAFv2::WebACLAssociation": _WITHIN + "the web ACL",
}
"""Types for which the estimate has no line, and why."""
