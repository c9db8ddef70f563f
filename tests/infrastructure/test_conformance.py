"""``make conformance``: every figure is found in the templates, and a template that disagrees is found out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks.conformance import main
from stacks.figures import RULES
from stacks.figures.inspection import Figure
from stacks.figures.verdicts import Status, Verdict, judge
from stacks.settings import ROOT
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
        assert target[last] != value
        target[last] = value

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
RECOVERABLE = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 30}}
DISAGREEMENTS: dict[str, tuple[str, Change]] = {
    "network.global.regions": (
        "anfl-prod-global-data",
        changed("AWS::DynamoDB::GlobalTable", "Auth", "Replicas", [{"Region": "us-east-1", **RECOVERABLE}]),
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
    "an alarm that rings too late": changed(ALARM, "ReplicationLate", "Threshold", 7200),
    "no alarm": removed(ALARM, "ReplicationLate"),
}


@pytest.mark.parametrize("what", RPO)
def test_a_recovery_point_that_is_not_kept_is_found(doctored: Callable[[str, Change], Path], what: str) -> None:
    folder = doctored("anfl-prod-replication-eu-west-1", RPO[what])
    assert with_status(judge(folder), Status.DISAGREES) == {"recovery.rpo"}


def test_a_table_that_cannot_be_restored_as_far_back_as_its_backups_is_found(
    doctored: Callable[[str, Change], Path],
) -> None:
    path = "Replicas.1.PointInTimeRecoverySpecification.RecoveryPeriodInDays"
    folder = doctored("anfl-prod-global-data", changed("AWS::DynamoDB::GlobalTable", "Registry", path, 29))
    assert with_status(judge(folder), Status.DISAGREES) == {"backup.databases.retention"}


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
