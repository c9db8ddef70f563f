"""Functions, clusters, services, network, backup plans, routes: least and everything."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs.backup_plan import BackupPlan
from constructs.collector import Collector
from constructs.container_definition import container_definition
from constructs.container_service import ContainerService
from constructs.flow_logs import log_refused
from constructs.instance_cluster import InstanceCluster
from constructs.internal_balancer import InternalBalancer
from constructs.prometheus_workspace import PrometheusWorkspace
from constructs.python_function import PythonFunction
from constructs.region_network import RegionNetwork
from constructs.schedule import call_every
from constructs.statements import Statement

from anfl.resources import Function, Service, Variable
from bundling.errors import BundleMissingError
from bundling.functions import FunctionBundle
from stacks.architecture import Cluster, ClusterName, FunctionSize
from stacks.ceilings import CEILINGS
from stacks.settings import load
from tests.infrastructure.conftest import CONTEXT, Template

Inspect = Callable[[Callable[[Stack], object]], Template]
SIZE = FunctionSize(memory=256, timeout=7)
GRANT = Statement(sid="Own", actions=["s3:GetObject"], resources=["arn:aws:s3:::b/*"])


def vpc_of(stack: Stack) -> ec2.IVpc:
    """A VPC of another stack."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-1",
        availability_zones=["eu-west-1a"],
        private_subnet_ids=["subnet-1"],
        private_subnet_route_table_ids=["rtb-1"],
    )


def test_a_schedule_calls_its_function_with_what_it_is_told_and_repeats_no_call(inspect_construct: Inspect) -> None:
    def fill(stack: Stack) -> None:
        call_every(stack, "Rule", _function(stack), minutes=5, target="f", description="d", event={"operation": "run"})

    found = inspect_construct(fill)
    rule = found.only("AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == {"operation": "run"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    assert found.only("AWS::Lambda::EventInvokeConfig")["MaximumRetryAttempts"] == 0
    permission = found.only("AWS::Lambda::Permission")
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["Rule", "Arn"]}


def _function(stack: Stack, **changes: Any) -> PythonFunction:
    settings: dict[str, Any] = {
        "function": Function.AUTH,
        "name": "f",
        "size": SIZE,
        "environment": {},
        "statements": [],
        "log_group": logs.LogGroup.from_log_group_name(stack, "Logs", "l"),
    }
    return PythonFunction(stack, "F", **(settings | changes))


def _function_in_network(stack: Stack, **changes: Any) -> PythonFunction:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1", mutable=False)
    return _function(stack, vpc=vpc_of(stack), security_group=group, **changes)


def test_a_function_that_is_told_and_granted_nothing(inspect_construct: Inspect) -> None:
    template = inspect_construct(_function_in_network)
    function = template.only("AWS::Lambda::Function")
    assert "Environment" not in function
    assert (function["MemorySize"], function["Timeout"], function["EphemeralStorage"]) == (256, 7, {"Size": 512})
    services = {
        action.split(":")[0]
        for statement in template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    assert services == {"logs", "ec2", "xray"}


@pytest.mark.defaults(of=PythonFunction)
def test_a_function_without_a_network(inspect_construct: Inspect) -> None:
    template = inspect_construct(_function)
    assert "VpcConfig" not in template.only("AWS::Lambda::Function")
    assert "ec2:" not in json.dumps(template.only("AWS::IAM::Policy"))


@pytest.mark.everything(of=PythonFunction)
def test_a_function_with_variables_grants_and_space(inspect_construct: Inspect) -> None:
    template = inspect_construct(
        lambda stack: _function_in_network(
            stack, environment={Variable.PORT: "1"}, statements=[GRANT], ephemeral_storage=4096
        )
    )
    function = template.only("AWS::Lambda::Function")
    assert function["Environment"] == {"Variables": {"PORT": "1"}}
    assert function["EphemeralStorage"] == {"Size": 4096}
    assert function["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "SubnetIds": ["subnet-1"]}
    statements = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert {"Sid": "Own", "Action": "s3:GetObject", "Effect": "Allow", "Resource": "arn:aws:s3:::b/*"} in statements


def _with_bundles(folder: Path) -> tuple[App, Stack]:
    """An app that does want bundles."""
    context = {name: value for name, value in CONTEXT.items() if name != "aws:cdk:bundling-stacks"}
    app = App(outdir=str(folder), context=context, analytics_reporting=False)
    return app, Stack(app, "Test", env=Environment(region="eu-west-1"))


def test_a_function_takes_the_bundle_that_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "auth.zip"
    archive.write_bytes(b"PK-built-before")
    monkeypatch.setattr(FunctionBundle, "require", lambda _: archive)
    app, stack = _with_bundles(tmp_path / "out")
    _function(stack)
    app.synth()
    (shipped,) = (tmp_path / "out").glob("asset.*.zip")
    assert shipped.read_bytes() == b"PK-built-before"


def test_without_its_bundle_a_function_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundling.functions.BUILD", tmp_path / "nothing-built")
    _, stack = _with_bundles(tmp_path / "out")
    with pytest.raises(BundleMissingError, match="make bundle"):
        _function(stack)


def _cluster(stack: Stack, least: int, most: int, **options: int) -> InstanceCluster:
    settings = {"name": ClusterName.MODEL_REGISTRY, "instance_type": "m5.large", "min_size": least, "max_size": most}
    return InstanceCluster(
        stack,
        "C",
        name="c",
        cluster=Cluster.model_validate(settings),
        subnet_ids=["subnet-1"],
        security_group_id="sg-1",
        ami_id="ami-1",
        disk_key_arn="arn:aws:kms:eu-west-1:000000000000:key/mrk-1",
        **options,
    )


@pytest.mark.defaults(of=InstanceCluster)
def test_a_cluster_of_one_instance_can_still_be_updated(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: _cluster(stack, 1, 1))
    (group,) = template.resources("AWS::AutoScaling::AutoScalingGroup").values()
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["MinInstancesInService"] == 0
    assert (group["Properties"]["MinSize"], group["Properties"]["MaxSize"]) == ("1", "1")
    data = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    (device,) = data["BlockDeviceMappings"]
    assert (device["Ebs"]["VolumeSize"], device["Ebs"]["Encrypted"]) == (50, True)
    assert data["MetadataOptions"]["HttpTokens"] == "required"


@pytest.mark.everything(of=InstanceCluster)
def test_a_cluster_of_many_keeps_its_least_during_an_update(inspect_construct: Inspect) -> None:
    template = inspect_construct(lambda stack: _cluster(stack, 3, 10, volume_gib=200))
    (group,) = template.resources("AWS::AutoScaling::AutoScalingGroup").values()
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["MinInstancesInService"] == 3
    (device,) = template.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]
    assert device["Ebs"]["VolumeSize"] == 200


def _collector(stack: Any) -> Collector:
    return Collector(
        repository="c",
        tag="v1.0.0",
        cpu=100,
        memory=200,
        configuration="receivers: {}",
        prometheus=PrometheusWorkspace(
            stack,
            "Prometheus",
            name="p",
            key_arn="arn:key",
            rule_groups="groups: []",
            alert_manager="alertmanager_config: ''",
            log_group=logs.LogGroup.from_log_group_name(stack, "PrometheusLogs", "p"),
        ),
    )


def _service(stack: Stack, **options: Any) -> ContainerService:
    settings: dict[str, Any] = {
        "service": Service.MODEL_REGISTRY,
        "name": "s",
        "cluster": _cluster(stack, 1, 2),
        "repository": "r",
        "tag": "t",
        "port": 9000,
        "health_path": "/up",
        "environment": {},
        "statements": [],
        "subnet_ids": ["subnet-1"],
        "security_group_id": "sg-1",
        "target_group_arn": "arn:target",
        "log_group": logs.LogGroup.from_log_group_name(stack, "Logs", "l"),
        "collector": _collector(stack),
    }
    return ContainerService(stack, "S", **(settings | options))


def _granted(template: Template) -> list[Any]:
    """Statements of the task's own role."""
    role = template.only("AWS::ECS::TaskDefinition")["TaskRoleArn"]["Fn::GetAtt"][0]
    policies = [p for p in template.properties("AWS::IAM::Policy") if {"Ref": role} in p["Roles"]]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


@pytest.mark.defaults(of=ContainerService)
def test_a_service_that_is_granted_nothing_keeps_its_number_of_tasks(inspect_construct: Inspect) -> None:
    template = inspect_construct(_service)
    (statement,) = _granted(template)
    assert statement["Action"] == "aps:RemoteWrite", "of its collector"
    assert template.only("AWS::ECS::Service")["DesiredCount"] == 1
    container, beside = template.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert {variable["Name"] for variable in container["Environment"]} == {
        "PORT",
        "AWS_REGION",
        "PROMETHEUS_MULTIPROC_DIR",
    }
    assert (container["Essential"], beside["Essential"]) == (True, False)
    assert container["Cpu"] + beside["Cpu"] == 2048


@pytest.mark.everything(of=ContainerService)
def test_a_scaled_service_may_do_what_it_is_granted(inspect_construct: Inspect) -> None:
    environment = {Variable.DEFAULT_TENANT: "demo"}
    template = inspect_construct(
        lambda stack: _service(stack, environment=environment, statements=[GRANT], scaled=True)
    )
    container, _ = template.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert {"Name": "DEFAULT_TENANT", "Value": "demo"} in container["Environment"]
    assert {"Name": "PORT", "Value": "9000"} in container["Environment"]
    assert [statement["Action"] for statement in _granted(template)] == ["s3:GetObject", "aps:RemoteWrite"]
    assert "DesiredCount" not in template.only("AWS::ECS::Service"), "a deployment must not undo what scaling decided"


def _balancer(stack: Stack, **options: Any) -> InternalBalancer:
    settings: dict[str, Any] = {
        "name": "b",
        "vpc_id": "vpc-1",
        "subnet_ids": ["subnet-1", "subnet-2"],
        "security_group_id": "sg-1",
        "port": 8080,
        "health_path": "/up",
        "paths": {Service.VECTOR_STORE: ["/v"]},
        "certificate_arn": None,
        "tls_policy": "policy",
        "retain": False,
    }
    return InternalBalancer(stack, "B", **(settings | options))


def _attributes(template: Template) -> dict[str, Any]:
    balancer = template.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    return {attribute["Key"]: attribute["Value"] for attribute in balancer["LoadBalancerAttributes"]}


@pytest.mark.defaults(of=InternalBalancer)
def test_a_balancer_without_a_certificate_speaks_plain_http_inside(inspect_construct: Inspect) -> None:
    template = inspect_construct(_balancer)
    listener = template.only("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    assert template.only("AWS::ElasticLoadBalancingV2::LoadBalancer")["Scheme"] == "internal"
    assert _attributes(template)["deletion_protection.enabled"] == "false"
    assert not [key for key in _attributes(template) if key.startswith("access_logs")]


@pytest.mark.everything(of=InternalBalancer)
def test_a_balancer_with_a_certificate_logs_and_many_paths(inspect_construct: Inspect) -> None:
    paths = {Service.VECTOR_STORE: [f"/{n}" for n in range(11)], Service.MODEL_REGISTRY: ["/m"]}

    def fill(stack: Stack) -> None:
        bucket = s3.Bucket(stack, "Logs")
        _balancer(stack, paths=paths, certificate_arn="arn:certificate", retain=True, log_bucket=bucket)

    template = inspect_construct(fill)
    listener = template.only("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"], listener["SslPolicy"]) == (443, "HTTPS", "policy")
    assert listener["Certificates"] == [{"CertificateArn": "arn:certificate"}]
    assert _attributes(template)["deletion_protection.enabled"] == "true"
    assert _attributes(template)["access_logs.s3.enabled"] == "true"
    ((bucket, _),) = template.resources("AWS::S3::Bucket").items()
    assert _attributes(template)["access_logs.s3.bucket"] == {"Ref": bucket}
    (writes,) = template.only("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert writes["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    rules = template.properties("AWS::ElasticLoadBalancingV2::ListenerRule")
    sizes = [len(rule["Conditions"][0]["PathPatternConfig"]["Values"]) for rule in rules]
    assert sorted(sizes) == [1, 1, 5, 5]
    assert len({rule["Priority"] for rule in rules}) == len(rules)


@pytest.mark.defaults(of=RegionNetwork)
def test_a_network_without_endpoints_but_the_free_ones(inspect_construct: Inspect) -> None:
    dev = load("dev")
    template = inspect_construct(
        lambda stack: RegionNetwork(
            stack,
            "N",
            name="n",
            vpc=dev.network.vpc,
            zones=["eu-west-1a", "eu-west-1b"],
            nat_gateways=1,
            endpoints=dev.deployment.endpoints,
            ceilings=CEILINGS,
            log_group=logs.LogGroup(stack, "Logs"),
        )
    )
    assert {endpoint["VpcEndpointType"] for endpoint in template.properties("AWS::EC2::VPCEndpoint")} == {"Gateway"}
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in template.properties("AWS::EC2::Subnet"))
    ways_out = {json.dumps(r["NatGatewayId"]) for r in template.properties("AWS::EC2::Route") if "NatGatewayId" in r}
    assert len(ways_out) == 1, "both zones leave by the one gateway"


@pytest.mark.everything(of=RegionNetwork)
@pytest.mark.parametrize("gateways", [1, 2])
def test_a_network_with_fewer_or_as_many_gateways_as_zones(inspect_construct: Inspect, gateways: int) -> None:
    prod = load("prod")
    endpoints = prod.deployment.endpoints.model_copy(update={"absent": {"eu-west-1b": ("kms",)}})
    template = inspect_construct(
        lambda stack: RegionNetwork(
            stack,
            "N",
            name="n",
            vpc=prod.network.vpc,
            zones=["eu-west-1b", "eu-west-1c"],
            nat_gateways=gateways,
            endpoints=endpoints,
            ceilings=CEILINGS,
            log_group=logs.LogGroup(stack, "Logs"),
        )
    )
    assert len(template.resources("AWS::EC2::NatGateway")) == gateways
    zones = {subnet["AvailabilityZone"] for subnet in template.properties("AWS::EC2::Subnet")}
    assert zones == {"eu-west-1b", "eu-west-1c"}
    interfaces = {
        endpoint["ServiceName"].split(".", 3)[3]: len(endpoint["SubnetIds"])
        for endpoint in template.properties("AWS::EC2::VPCEndpoint")
        if endpoint["VpcEndpointType"] == "Interface"
    }
    assert interfaces == {service: 1 if service == "kms" else 2 for service in endpoints.interface}


@pytest.mark.defaults(of=BackupPlan)
@pytest.mark.parametrize(("frequency", "schedule"), [("hourly", "cron(0 * "), ("daily", "cron(0 3 ")])
def test_a_backup_plan(inspect_construct: Inspect, frequency: str, schedule: str) -> None:
    template = inspect_construct(
        lambda stack: BackupPlan(
            stack,
            "P",
            name="p",
            vault_name="v",
            role_arn="arn:role",
            frequency=frequency,
            retention=timedelta(days=3),
            resource_arns=["arn:one", "arn:two"],
        )
    )
    (rule,) = template.only("AWS::Backup::BackupPlan")["BackupPlan"]["BackupPlanRule"]
    assert rule["ScheduleExpression"].startswith(schedule)
    selection = template.only("AWS::Backup::BackupSelection")["BackupSelection"]
    assert selection["Resources"] == ["arn:one", "arn:two"]


def test_a_backup_plan_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one resource"):
        BackupPlan(
            Stack(App(context=CONTEXT), "Test"),
            "P",
            name="p",
            vault_name="v",
            role_arn="arn:role",
            frequency="daily",
            retention=timedelta(days=3),
            resource_arns=[],
        )


def test_a_container_is_not_root_owns_nothing_and_says_how_it_is(inspect_construct: Inspect) -> None:
    def fill(stack: Stack) -> None:
        ecs.CfnTaskDefinition(
            stack,
            "Task",
            container_definitions=[
                container_definition(
                    stack,
                    service=Service.VECTOR_STORE,
                    image="an/image:tag",
                    cpu=512,
                    memory=256,
                    port=9000,
                    health_path="/up",
                    environment={"B": "2", "A": "1"},
                    log_group=logs.LogGroup.from_log_group_name(stack, "Logs", "l"),
                )
            ],
        )

    (container,) = inspect_construct(fill).only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert not container["User"].startswith(("root", "0"))
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert container["Environment"] == [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}]
    assert "http://127.0.0.1:9000/up" in container["HealthCheck"]["Command"][-1]
    assert container["LogConfiguration"]["Options"]["awslogs-group"] == "l"


def test_what_a_network_refuses_is_noted_by_a_role_for_this_account_and_group_alone(
    inspect_construct: Inspect,
) -> None:
    template = inspect_construct(
        lambda stack: log_refused(stack, vpc_id="vpc-1", log_group=logs.LogGroup(stack, "Logs"))
    )
    flow = template.only("AWS::EC2::FlowLog")
    assert (flow["ResourceId"], flow["TrafficType"]) == ("vpc-1", "REJECT")
    ((group, _),) = template.resources("AWS::Logs::LogGroup").items()
    assert flow["LogGroupName"] == {"Ref": group}
    (trust,) = template.only("AWS::IAM::Role")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    (writes,) = template.only("AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert writes["Resource"] == {"Fn::GetAtt": [group, "Arn"]}
