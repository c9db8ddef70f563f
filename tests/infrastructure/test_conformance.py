"""``make conformance``: every figure is found in the templates, and a template that disagrees is found out."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stacks.conformance import main
from stacks.figures import RULES
from stacks.figures.encryption_at_rest import AT_REST
from stacks.figures.inspection import Figure, Inspection
from stacks.figures.templates import Resource, Templates
from stacks.figures.verdicts import Status, Verdict, judge
from stacks.settings import ROOT, load
from tests.infrastructure.conftest import Assembly

Resources = dict[str, Any]
Change = Callable[[Resources], None]
WEST = "anfl-prod-us-west-1"


@pytest.fixture(scope="module")
def verdicts(prod: Assembly) -> list[Verdict]:
    return judge(prod.folder)


@pytest.fixture
def doctored(prod: Assembly, tmp_path: Path) -> Callable[[str, Change], Path]:
    """The templates of prod after something was changed among the resources of one stack."""

    def doctor(stack: str, change: Change) -> Path:
        folder = tmp_path / "cdk.out"
        shutil.copytree(prod.folder, folder, ignore=shutil.ignore_patterns("asset.*", "tree.json"))
        file = folder / f"{stack}.template.json"
        document = json.loads(file.read_text())
        change(document["Resources"])
        file.write_text(json.dumps(document))
        return folder

    return doctor


def changed(kind: str, name: str, path: str, value: object) -> Change:
    """Give a property of the one resource of a type whose logical id begins with ``name`` another value."""

    def change(resources: Resources) -> None:
        *parents, last = path.split(".")
        target = resources[the_one(resources, kind, name)]["Properties"]
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        key = int(last) if isinstance(target, list) else last
        assert target[key] != value
        target[key] = value

    return change


def edited(kind: str, name: str, path: str, old: str, new: str) -> Change:
    """Replace a part of a property's text."""

    def change(resources: Resources) -> None:
        target = resources[the_one(resources, kind, name)]["Properties"]
        assert old in target[path]
        target[path] = target[path].replace(old, new)

    return change


def rewritten(name: str, old: str, new: str) -> Change:
    """Replace a part of a workflow's definition."""

    def change(resources: Resources) -> None:
        target = resources[the_one(resources, "AWS::StepFunctions::StateMachine", name)]["Properties"]
        text = json.dumps(target["DefinitionString"])
        assert json.dumps(old)[1:-1] in text
        target["DefinitionString"] = json.loads(text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))

    return change


def edited_within(kind: str, name: str, path: str, old: str, new: str) -> Change:
    """Replace a part of a text that is joined from several."""

    def change(resources: Resources) -> None:
        target = resources[the_one(resources, kind, name)]["Properties"]
        parts = target[path]["Fn::Join"][1]
        assert sum(old in part for part in parts if isinstance(part, str)) == 1
        target[path]["Fn::Join"][1] = [part.replace(old, new) if isinstance(part, str) else part for part in parts]

    return change


def shortened(kind: str, name: str, path: str) -> Change:
    """Take the first member out of a list."""

    def change(resources: Resources) -> None:
        target = resources[the_one(resources, kind, name)]["Properties"]
        for part in path.split("."):
            target = target[part]
        del target[0]

    return change


def removed(kind: str, name: str) -> Change:
    """Take away the one resource of a type whose logical id begins with ``name``."""

    def change(resources: Resources) -> None:
        del resources[the_one(resources, kind, name)]

    return change


def the_one(resources: Resources, kind: str, name: str) -> str:
    (found,) = (key for key, resource in resources.items() if resource["Type"] == kind and key.startswith(name))
    return found


def with_status(verdicts: list[Verdict], status: Status) -> set[str]:
    return {verdict.figure for verdict in verdicts if verdict.status is status}


def test_every_figure_of_prod_is_realised(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        assert verdict.status is Status.REALISED, verdict
        assert verdict.realised_by


def test_every_rule_is_for_a_figure(verdicts: list[Verdict]) -> None:
    patterns = {Figure(path=verdict.figure, value=None).pattern for verdict in verdicts}
    assert RULES.keys() == patterns


def test_a_figure_is_realised_in_every_region(verdicts: list[Verdict], prod: Assembly) -> None:
    """All but the zones, which belong to no region."""
    for verdict in verdicts:
        regions = {prod.region_of(finding.stack) for finding in verdict.realised_by}
        if verdict.figure == "network.global.route53.zones":
            assert regions == {"us-east-1"}
        else:
            assert regions == {"us-west-1", "us-east-1", "eu-west-1"}, verdict.figure


def test_dev_has_no_names_and_so_no_certificate(dev: Assembly) -> None:
    verdicts = judge(dev.folder)
    assert with_status(verdicts, Status.DISAGREES) == set()
    assert with_status(verdicts, Status.NOT_HERE) == {
        "network.global.route53.zones",
        "encryption.in_transit.certificate",
        "recovery.rto",
        "recovery.steps",
        "encryption.application.method",
    }


ALARM = "AWS::CloudWatch::Alarm"
BALANCER = "AWS::ElasticLoadBalancingV2::Listener"
FUNCTION = "AWS::Lambda::Function"
GROUP = "AWS::AutoScaling::AutoScalingGroup"
KEY = "AWS::KMS::Key"
PLAN = "AWS::Backup::BackupPlan"
SCALING = "AWS::ApplicationAutoScaling::ScalingPolicy"
SUBNET = "AWS::EC2::Subnet"
RULE = "BackupPlan.BackupPlanRule.0"
ARTIFACTS = [{"Fn::ImportValue": "anfl-prod-us-west-1-storage:ExportsOutputFnGetAttArtifacts82DD59A1Arn3B515032"}]
DISAGREEMENTS: dict[str, tuple[str, Change]] = {
    "network.global.regions": (
        "anfl-prod-global-data",
        shortened("AWS::DynamoDB::GlobalTable", "Auth", "Replicas"),
    ),
    "network.global.route53.zones": (
        "anfl-prod-global-dns",
        changed("AWS::Route53::HostedZone", "LibAeonovaCom", "Name", "lib.example.org"),
    ),
    "network.vpc.cidr": (f"{WEST}-network", changed("AWS::EC2::VPC", "NetworkVpc", "CidrBlock", "10.1.0.0/16")),
    "network.vpc.subnets.public": (f"{WEST}-network", removed(SUBNET, "NetworkPublic2")),
    "network.vpc.subnets.private": (
        f"{WEST}-network",
        changed(SUBNET, "NetworkPrivate2", "CidrBlock", "10.0.12.0/24"),
    ),
    "compute.ecs.clusters[vector-processing].instance_type": (
        f"{WEST}-service",
        changed("AWS::EC2::LaunchTemplate", "VectorProcessing", "LaunchTemplateData.InstanceType", "c5.xlarge"),
    ),
    "compute.ecs.clusters[vector-processing].min_size": (
        f"{WEST}-service",
        changed(GROUP, "VectorProcessing", "MinSize", "2"),
    ),
    "compute.ecs.clusters[model-registry].max_size": (
        f"{WEST}-service",
        changed(GROUP, "ModelRegistry", "MaxSize", "9"),
    ),
    "compute.lambda.functions[vector-processing].memory": (
        f"{WEST}-service",
        changed(FUNCTION, "VectorProcessing", "MemorySize", 1023),
    ),
    "compute.lambda.functions[model-validation].timeout": (
        f"{WEST}-service",
        changed(FUNCTION, "ModelValidation", "Timeout", 599),
    ),
    "encryption.at_rest.method": (
        f"{WEST}-telemetry",
        changed("AWS::SNS::Topic", "CriticalAlerts", "KmsMasterKeyId", None),
    ),
    "encryption.at_rest.key_rotation": (
        "anfl-prod-global-keys",
        changed(KEY, "DataKey", "RotationPeriodInDays", 365),
    ),
    "encryption.application.method": (
        f"{WEST}-service",
        changed(FUNCTION, "AuthFunction", "Environment.Variables.VAULT_ADDR", "https://vault.example.org:8200"),
    ),
    "encryption.application.key_type": (
        f"{WEST}-key-agent",
        changed(FUNCTION, "Function", "Environment.Variables.TRANSIT_KEY_TYPE", "chacha20-poly1305"),
    ),
    "encryption.in_transit.method": (
        f"{WEST}-service",
        changed(BALANCER, "Balancer", "SslPolicy", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"),
    ),
    "encryption.in_transit.certificate": (
        f"{WEST}-service",
        changed(BALANCER, "Balancer", "Certificates.0.CertificateArn", "arn:aws:iam::server-certificate/another"),
    ),
    "alerts.critical[high_error_rate].name": (
        f"{WEST}-monitoring",
        changed(ALARM, "HighErrorRate", "AlarmDescription", "warning: it does not matter much"),
    ),
    "alerts.critical[high_error_rate].threshold": (
        f"{WEST}-monitoring",
        changed(ALARM, "HighErrorRate", "Threshold", 6),
    ),
    "alerts.warning[high_latency].threshold": (
        f"{WEST}-telemetry",
        edited(
            "AWS::APS::RuleGroupsNamespace", "Prometheus", "Data", "rate(anfl_request_seconds_bucket[5m]))) > 1", "> 2"
        ),
    ),
    "alerts.critical[service_down].duration": (
        f"{WEST}-telemetry",
        edited("AWS::APS::RuleGroupsNamespace", "Prometheus", "Data", "for: 5m", "for: 6m"),
    ),
    "alerts.warning[resource_usage].duration": (
        f"{WEST}-monitoring",
        changed(ALARM, "ResourceUsage", "DatapointsToAlarm", 29),
    ),
    "scaling.vector_processing.metrics": (
        f"{WEST}-service",
        changed(ALARM, "VectorScalingUpAlarm", "Metrics.0.Expression", "MIN([cpu, backlog_pct])"),
    ),
    "scaling.vector_processing.thresholds.scale_down": (
        f"{WEST}-service",
        changed(ALARM, "VectorScalingDownAlarm", "Threshold", 30),
    ),
    "scaling.vector_processing.cooldown.scale_up": (
        f"{WEST}-service",
        changed(SCALING, "VectorScalingUp", "StepScalingPolicyConfiguration.Cooldown", 60),
    ),
    "recovery.rpo": (
        "anfl-prod-replication-us-west-1",
        changed("Custom::BucketReplication", "Rules", "Buckets.0.Rules.1.Destination.ReplicationTime.Time.Minutes", 61),
    ),
    "backup.vectors.frequency": (
        f"{WEST}-recovery",
        changed(PLAN, "Vectors", f"{RULE}.ScheduleExpression", "cron(0 3 * * ? *)"),
    ),
    "backup.configuration.retention": (
        f"{WEST}-recovery",
        changed(PLAN, "Configuration", f"{RULE}.Lifecycle.DeleteAfterDays", 30),
    ),
    "backup.databases.retention": (
        f"{WEST}-storage",
        changed("AWS::ElastiCache::ReplicationGroup", "Cache", "SnapshotRetentionLimit", 7),
    ),
    "backup.vectors.retention": (
        f"{WEST}-recovery",
        changed(PLAN, "Vectors", f"{RULE}.CopyActions.0.Lifecycle.DeleteAfterDays", 1),
    ),
    "backup.configuration.type": (
        f"{WEST}-recovery",
        changed("AWS::Backup::BackupSelection", "Configuration", "BackupSelection.Resources", ARTIFACTS),
    ),
    "recovery.rto": (
        f"{WEST}-recovery",
        rewritten("Recovery", '"TimeoutSeconds":14400', '"TimeoutSeconds":14401'),
    ),
    "recovery.steps": (
        f"{WEST}-recovery",
        rewritten("Recovery", '"Next":"verify_data"', '"Next":"update_dns"'),
    ),
    "backup.databases.type": (
        f"{WEST}-recovery",
        changed("AWS::Backup::BackupSelection", "Databases", "BackupSelection.Resources", ARTIFACTS),
    ),
}


RPO = {
    "a bucket that does not replicate everywhere": changed("Custom::BucketReplication", "Rules", "Buckets.0.Rules", []),
    "a rule that is off": changed("Custom::BucketReplication", "Rules", "Buckets.1.Rules.0.Status", "Disabled"),
    "a rule whose time nobody keeps": changed(
        "Custom::BucketReplication", "Rules", "Buckets.0.Rules.0.Destination.ReplicationTime.Status", "Disabled"
    ),
    "a rule for a part of a bucket": changed(
        "Custom::BucketReplication", "Rules", "Buckets.0.Rules.0.Filter.Prefix", "prod/"
    ),
    "a rule that leaves out what KMS encrypts": changed(
        "Custom::BucketReplication",
        "Rules",
        "Buckets.0.Rules.0.SourceSelectionCriteria.SseKmsEncryptedObjects.Status",
        "Disabled",
    ),
    "a rule into another bucket": changed(
        "Custom::BucketReplication", "Rules", "Buckets.0.Rules.0.Destination.Bucket", "arn:aws:s3:::elsewhere"
    ),
    "an alarm that rings too late": changed(ALARM, "ReplicationLate", "Threshold", 7200),
    "no alarm": removed(ALARM, "ReplicationLate"),
}


@pytest.mark.parametrize("what", RPO)
def test_a_recovery_point_that_is_not_kept_is_found(doctored: Callable[[str, Change], Path], what: str) -> None:
    folder = doctored("anfl-prod-replication-eu-west-1", RPO[what])
    assert with_status(judge(folder), Status.DISAGREES) == {"recovery.rpo"}


@pytest.mark.parametrize(
    ("table", "days", "figure"),
    [("Registry", 29, "backup.databases.retention"), ("ClassText384", 6, "backup.vectors.retention")],
)
def test_a_table_that_cannot_be_restored_as_far_back_as_its_backups_is_found(
    doctored: Callable[[str, Change], Path], table: str, days: int, figure: str
) -> None:
    path = "Replicas.1.PointInTimeRecoverySpecification.RecoveryPeriodInDays"
    folder = doctored("anfl-prod-global-data", changed("AWS::DynamoDB::GlobalTable", table, path, days))
    assert with_status(judge(folder), Status.DISAGREES) == {figure}


@pytest.mark.parametrize("figure", DISAGREEMENTS)
def test_a_template_that_disagrees_is_found(doctored: Callable[[str, Change], Path], figure: str) -> None:
    folder = doctored(*DISAGREEMENTS[figure])
    assert with_status(judge(folder), Status.DISAGREES) == {figure}
    assert main([str(folder)]) == 1


SITE = "AWS::CloudFront::Distribution"
AT_THE_EDGE: list[tuple[str, Change]] = [
    (
        "encryption.in_transit.method",
        changed(SITE, "Site", "DistributionConfig.ViewerCertificate.MinimumProtocolVersion", "TLSv1.2_2021"),
    ),
    (
        "encryption.in_transit.certificate",
        changed(SITE, "Site", "DistributionConfig.ViewerCertificate.AcmCertificateArn", "arn:aws:acm::certificate/x"),
    ),
    ("encryption.in_transit.certificate", changed("AWS::CertificateManager::Certificate", "", "DomainName", "x.org")),
    ("encryption.at_rest.key_rotation", changed(KEY, "EdgeKey", "EnableKeyRotation", False)),
]


REGIONAL_EDGE: list[tuple[str, Change]] = [
    (
        "network.global.regions",
        changed("AWS::GlobalAccelerator::EndpointGroup", "", "EndpointGroupRegion", "eu-north-1"),
    ),
    (
        "encryption.in_transit.method",
        changed("AWS::ApiGateway::DomainName", "Shared", "SecurityPolicy", "TLS_1_2"),
    ),
]


@pytest.mark.parametrize(("figure", "change"), REGIONAL_EDGE)
def test_a_regions_edge_that_disagrees_is_found(
    doctored: Callable[[str, Change], Path], figure: str, change: Change
) -> None:
    assert with_status(judge(doctored(f"{WEST}-edge", change)), Status.DISAGREES) == {figure}


@pytest.mark.parametrize(("figure", "change"), AT_THE_EDGE)
def test_an_edge_that_disagrees_is_found(doctored: Callable[[str, Change], Path], figure: str, change: Change) -> None:
    assert with_status(judge(doctored("anfl-prod-global-edge", change)), Status.DISAGREES) == {figure}


OTHER_CLUSTER = {"Ref": "VectorProcessingCluster09411983"}
VPC = {"Ref": "NetworkVpcFAC8F4A5"}
FURTHER_SUBNET = {"Type": SUBNET, "Properties": {"CidrBlock": "10.0.12.0/24", "VpcId": VPC}}
FURTHER_RANGE = {
    "Type": "AWS::EC2::VPCCidrBlock",
    "Properties": {"CidrBlock": "10.1.0.0/16", "VpcId": VPC},
}


def added(name: str, resource: dict[str, Any]) -> Change:
    """A resource that nothing of the architecture asks for."""

    def change(resources: Resources) -> None:
        resources[name] = resource

    return change


def put(kind: str, name: str, path: str, value: object) -> Change:
    """Say something of a resource that its template said nothing of."""

    def change(resources: Resources) -> None:
        *parents, last = path.split(".")
        target = resources[the_one(resources, kind, name)]["Properties"]
        for part in parents:
            target = target[part]
        assert last not in target
        target[last] = value

    return change


def twice(kind: str, name: str, path: str, **other: object) -> Change:
    """Say the first member of a list again, with something else about it."""

    def change(resources: Resources) -> None:
        target = resources[the_one(resources, kind, name)]["Properties"]
        for part in path.split("."):
            target = target[part]
        target.append({**target[0], **other})

    return change


GROUP_RULES = "AWS::APS::RuleGroupsNamespace"
SELECTION = "AWS::Backup::BackupSelection"
DISKS = "LaunchTemplateData.BlockDeviceMappings"
CLUSTERS = "compute.ecs.clusters"
CONTRADICTIONS: dict[str, tuple[set[str], str, Change]] = {
    "a second disk of Vault's nodes is not encrypted": (
        {"encryption.at_rest.method"},
        "vault",
        changed("AWS::EC2::LaunchTemplate", "Nodes", f"{DISKS}.1.Ebs.Encrypted", False),
    ),
    "a disk is encrypted with a key of AWS's": (
        {"encryption.at_rest.method"},
        "vault",
        changed("AWS::EC2::LaunchTemplate", "Nodes", f"{DISKS}.1.Ebs.KmsKeyId", "alias/aws/ebs"),
    ),
    "the cache keeps its snapshots in the clear": (
        {"encryption.at_rest.method"},
        "storage",
        changed("AWS::ElastiCache::ReplicationGroup", "Cache", "AtRestEncryptionEnabled", False),
    ),
    "the cache speaks without TLS": (
        {"encryption.in_transit.method"},
        "storage",
        changed("AWS::ElastiCache::ReplicationGroup", "Cache", "TransitEncryptionEnabled", False),
    ),
    "a bucket answers plain HTTP": (
        {"encryption.in_transit.method"},
        "storage",
        shortened("AWS::S3::BucketPolicy", "Vectors", "PolicyDocument.Statement"),
    ),
    "a queue has no policy": (
        {"encryption.in_transit.method"},
        "storage",
        removed("AWS::SQS::QueuePolicy", "JobsQueue"),
    ),
    "a task is told another Vault": (
        {"encryption.application.method"},
        "service",
        changed(
            "AWS::ECS::TaskDefinition",
            "ModelRegistry",
            "ContainerDefinitions.0.Environment",
            [{"Name": "VAULT_ADDR", "Value": "https://vault.example.org:8200"}],
        ),
    ),
    "the function stores vectors as they come": (
        {"encryption.application.method"},
        "service",
        changed(FUNCTION, "VectorProcessing", "Environment.Variables.SEALING", "false"),
    ),
    "the service scales to four": (
        {f"{CLUSTERS}[vector-processing].max_size"},
        "service",
        changed("AWS::ApplicationAutoScaling::ScalableTarget", "Vector", "MaxCapacity", 4),
    ),
    "the registry runs one task": (
        {f"{CLUSTERS}[model-registry].min_size"},
        "service",
        changed("AWS::ECS::Service", "ModelRegistry", "DesiredCount", 1),
    ),
    "instances report to another cluster": (
        {f"{CLUSTERS}[model-registry].name"},
        "service",
        changed(
            "AWS::EC2::LaunchTemplate",
            "ModelRegistry",
            "LaunchTemplateData.UserData",
            {"Fn::Base64": "cat >> /etc/ecs/ecs.config <<END\nECS_CLUSTER=anfl-prod-vector-processing\nEND\n"},
        ),
    ),
    "a service runs on the other cluster": (
        {
            f"{CLUSTERS}[vector-processing].name",
            f"{CLUSTERS}[vector-processing].min_size",
            f"{CLUSTERS}[model-registry].name",
        },
        "service",
        changed("AWS::ECS::Service", "ModelRegistry", "Cluster", OTHER_CLUSTER),
    ),
    "an alarm fears the other side": (
        {"alerts.warning[resource_usage].threshold"},
        "monitoring",
        changed(ALARM, "ResourceUsage", "ComparisonOperator", "LessThanThreshold"),
    ),
    "an alarm tells nobody": (
        {"alerts.critical[service_down].name"},
        "monitoring",
        changed(ALARM, "ServiceDown", "AlarmActions", []),
    ),
    "an alarm is silenced": (
        {"alerts.critical[service_down].name"},
        "monitoring",
        put(ALARM, "ServiceDown", "ActionsEnabled", False),
    ),
    "an alarm tells those whom warnings reach": (
        {"alerts.critical[service_down].name"},
        "monitoring",
        changed(
            ALARM,
            "ServiceDown",
            "AlarmActions",
            [{"Fn::ImportValue": f"{WEST}-telemetry:ExportsOutputRefWarningAlerts855AE01CC64684EC"}],
        ),
    ),
    "an alarm watches something else": (
        {"alerts.warning[high_latency].name"},
        "monitoring",
        changed(ALARM, "HighLatency", "Metrics.1.MetricStat.Metric.MetricName", "IntegrationLatency"),
    ),
    "Prometheus fears the other side": (
        {"alerts.warning[resource_usage].threshold"},
        "telemetry",
        edited(GROUP_RULES, "Prometheus", "Data", "anfl_memory_limit_bytes) > 80", "anfl_memory_limit_bytes) < 80"),
    ),
    "Alertmanager sends what is critical elsewhere": (
        {f"alerts.critical[{name}].name" for name in ("service_down", "high_error_rate")},
        "telemetry",
        edited_within(
            "AWS::APS::Workspace",
            "Prometheus",
            "AlertManagerDefinition",
            "match: {severity: critical}",
            "match: {severity: grave}",
        ),
    ),
    "scaling asks for the lower of both": (
        {"scaling.vector_processing.metrics"},
        "service",
        changed(ALARM, "VectorScalingUpAlarm", "Metrics.0.Expression", "MAX([cpu, MIN([cpu, backlog_pct])])"),
    ),
    "scaling is silenced": (
        {"scaling.vector_processing.metrics"},
        "service",
        put(ALARM, "VectorScalingDownAlarm", "ActionsEnabled", False),
    ),
    "a bucket is out of its backup": (
        {"backup.vectors.type"},
        "recovery",
        shortened(SELECTION, "Vectors", "BackupSelection.Resources"),
    ),
    "a class's table is backed up as something else": (
        {"backup.vectors.type"},
        "recovery",
        changed(SELECTION, "Vectors", "BackupSelection.Resources.2", ARTIFACTS),
    ),
    "a table is out of its backup": (
        {"backup.databases.type"},
        "recovery",
        shortened(SELECTION, "Databases", "BackupSelection.Resources"),
    ),
    "a plan has a second rule that keeps less": (
        {"backup.vectors.retention"},
        "recovery",
        twice(PLAN, "Vectors", "BackupPlan.BackupPlanRule", Lifecycle={"DeleteAfterDays": 1}),
    ),
    "a subnet is there that nobody asked for": (
        {"network.vpc.subnets.private"},
        "network",
        added("Further", FURTHER_SUBNET),
    ),
    "a network has a second range of addresses": (
        {"network.vpc.cidr"},
        "network",
        added("Further", FURTHER_RANGE),
    ),
    "a private subnet has no way out": (
        {"network.vpc.subnets.private"},
        "network",
        removed("AWS::EC2::Route", "NetworkPrivateDefault2"),
    ),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_region_in_which_something_contradicts_is_found(doctored: Callable[[str, Change], Path], what: str) -> None:
    figures, layer, change = CONTRADICTIONS[what]
    assert with_status(judge(doctored(f"{WEST}-{layer}", change)), Status.DISAGREES) == figures


def test_a_zone_that_nobody_delegates_to_is_found(doctored: Callable[[str, Change], Path]) -> None:
    folder = doctored("anfl-prod-global-dns", removed("AWS::Route53::RecordSet", "LibAeonovaComDelegation"))
    assert with_status(judge(folder), Status.DISAGREES) == {"network.global.route53.zones"}


def test_every_property_that_is_shown_counts(prod: Assembly) -> None:
    """Without it, or with another plain value in its place, the figure is not realised."""
    templates, settings = Templates(prod.folder), load("prod")
    resources = {(resource.stack, resource.id): resource for resource in templates}
    tried, unnoticed = 0, []
    for verdict in judge(prod.folder):
        figure = Figure(path=verdict.figure, value=verdict.value)
        for finding in verdict.realised_by:
            resource = resources[finding.stack, finding.resource or ""]
            value = resource.get(finding.property)
            if value is None or resource.region == "eu-west-1":
                continue  # made from several properties, tampered with by name above; or the same as in two regions
            for other in [None] if isinstance(value, (dict, list)) else [None, another(value)]:
                tried += 1
                with tampered(resource, finding.property, other):
                    look = Inspection(figure=figure, templates=templates, settings=settings)
                    RULES[figure.pattern](look)
                if all(found.agrees for found in look.findings):
                    unnoticed.append(f"{figure.path}: {resource.id} {finding.property} = {other}")
    assert unnoticed == []
    assert tried > 500


def another(value: object) -> object:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"x{value}"


@contextmanager
def tampered(resource: Resource, path: str, value: object) -> Iterator[None]:
    """A property with another value for a while."""
    *parents, last = path.split(".")
    target: Any = resource.properties
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    before = target[last]
    target[last] = value
    try:
        yield
    finally:
        target[last] = before


KEEPS_NOTHING = {
    *("ApiGateway", "ApiGatewayV2", "ApplicationAutoScaling", "AutoScaling", "CertificateManager", "CloudFormation"),
    *("CloudFront", "CloudWatch", "ECS", "ElasticLoadBalancingV2", "Events", "GlobalAccelerator", "Grafana", "IAM"),
    *("KMS", "Lambda", "Route53", "SSM", "StepFunctions", "WAFv2"),
}
"""Services of which no type in the templates holds anything of a user's."""
KEEPS_NOTHING_ITSELF = {
    "APS": {"RuleGroupsNamespace"},
    "Backup": {"BackupPlan", "BackupSelection", "RestoreTestingPlan", "RestoreTestingSelection"},
    "EC2": {
        *("EIP", "FlowLog", "InternetGateway", "NatGateway", "Route", "RouteTable", "SecurityGroup"),
        *("SecurityGroupEgress", "SecurityGroupIngress", "Subnet", "SubnetRouteTableAssociation", "VPC"),
        *("VPCEndpoint", "VPCGatewayAttachment"),
    },
    "ElastiCache": {"ParameterGroup", "SubnetGroup", "User", "UserGroup"},
    "Logs": {"Delivery", "DeliveryDestination", "DeliverySource", "MetricFilter"},
    "S3": {"BucketPolicy"},
    "SNS": {"TopicPolicy"},
    "SQS": {"QueuePolicy"},
    "SecretsManager": {"ResourcePolicy"},
}


def test_of_every_type_it_is_known_whether_it_keeps_data(prod: Assembly, dev: Assembly) -> None:
    kinds = {resource.kind for assembly in (prod, dev) for resource in Templates(assembly.folder)}
    other = {f"AWS::{service}::{kind}" for service, names in KEEPS_NOTHING_ITSELF.items() for kind in names}
    unknown = {kind for kind in kinds - other if kind.startswith("AWS::") and kind.split("::")[1] not in KEEPS_NOTHING}
    assert unknown == AT_REST.keys()
    assert other <= kinds


def test_a_figure_that_lost_its_resource_disagrees(doctored: Callable[[str, Change], Path]) -> None:
    verdicts = judge(doctored(f"{WEST}-monitoring", removed(ALARM, "HighLatency")))
    name = "alerts.warning[high_latency]"
    assert with_status(verdicts, Status.DISAGREES) == {f"{name}.{leaf}" for leaf in ("name", "threshold", "duration")}


def test_templates_older_than_the_architecture_disagree_with_it(prod: Assembly, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    text = (ROOT / "architecture.yaml").read_text()
    assert "threshold: 80%" in text
    (tmp_path / "architecture.yaml").write_text(text.replace("threshold: 80%", "threshold: 85%"))
    verdicts = judge(prod.folder, root=tmp_path)
    assert with_status(verdicts, Status.DISAGREES) == {"alerts.warning[resource_usage].threshold"}


def test_the_table(prod: Assembly, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(prod.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("network.vpc.cidr = 10.0.0.0/16")
    stack, logical_id, name, value = lines[at + 1].split()
    assert (stack, name, value) == ("anfl-prod-{us-west-1,us-east-1,eu-west-1}-network", "CidrBlock", "10.0.0.0/16")
    assert logical_id in prod["anfl-prod-us-west-1-network"].resources("AWS::EC2::VPC")
    assert lines[-1] == "54 figures: 54 realised"


def test_the_table_marks_what_disagrees(
    doctored: Callable[[str, Change], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(doctored(*DISAGREEMENTS["network.vpc.cidr"]))]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("network.vpc.cidr = 10.0.0.0/16   [disagrees: a template says otherwise]")
    assert lines[at + 1].split()[0] == f"{WEST}-network"
    assert lines[at + 1].endswith("10.1.0.0/16   ✗")
    assert not lines[at + 2].endswith("✗")


def test_json_has_every_finding(prod: Assembly, verdicts: list[Verdict], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(prod.folder)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["figure"] for entry in document] == [verdict.figure for verdict in verdicts]
    assert [len(entry["realised_by"]) for entry in document] == [len(verdict.realised_by) for verdict in verdicts]
    assert document[2]["realised_by"][0].keys() == {"stack", "resource", "property", "value", "agrees"}


def test_a_folder_without_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path} holds no synthesized templates; run: make synth\n"
