"""ECS clusters, instances, tasks and services."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest
import yaml
from constructs.container_service import minimum_healthy_percent

from anfl import environment
from anfl.buckets import Settings as Limits
from anfl.registry.policies import Policy, Requirement
from anfl.resources import Service
from tests.infrastructure.conftest import Assembly, Properties, Template
from tests.infrastructure.test_api import routes
from tests.infrastructure.test_functions import actions, allowed

CLUSTER_OF = {Service.VECTOR_STORE: "vector-processing", Service.MODEL_REGISTRY: "model-registry"}


def task(stack: Template, service: Service) -> Properties:
    """Properties of a service's task definition."""
    return stack.only("AWS::ECS::TaskDefinition", Family=f"anfl-{stack.name.split('-')[1]}-{service}")


def container(stack: Template, service: Service) -> dict[str, Any]:
    """The container that serves, the first."""
    found, _ = task(stack, service)["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("environment", "service", "instance_type", "sizes"),
    [
        ("prod", Service.VECTOR_STORE, "c5.2xlarge", ("3", "10")),
        ("prod", Service.MODEL_REGISTRY, "m5.2xlarge", ("2", "8")),
        ("dev", Service.VECTOR_STORE, "t3.small", ("1", "2")),
        ("dev", Service.MODEL_REGISTRY, "t3.small", ("1", "2")),
    ],
)
def test_clusters_run_on_the_instances_of_the_settings(
    request: pytest.FixtureRequest, environment: str, service: Service, instance_type: str, sizes: tuple[str, str]
) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    for stack in assembly.regional("service").values():
        name = f"anfl-{environment}-{CLUSTER_OF[service]}"
        stack.only("AWS::ECS::Cluster", ClusterName=name)
        (launch,) = (
            (logical, resource["Properties"]["LaunchTemplateData"])
            for logical, resource in stack.resources("AWS::EC2::LaunchTemplate").items()
            if f"ECS_CLUSTER={name}\n" in resource["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        )
        assert launch[1]["InstanceType"] == instance_type
        (group,) = (
            group
            for group in stack.properties("AWS::AutoScaling::AutoScalingGroup")
            if group["LaunchTemplate"]["LaunchTemplateId"] == {"Ref": launch[0]}
        )
        assert (group["MinSize"], group["MaxSize"]) == sizes
        assert "DesiredCapacity" not in group, "a deployment would undo what scaling decided"


def test_instances_demand_imdsv2_and_encrypt_their_disks_under_the_data_key(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for template in stack.properties("AWS::EC2::LaunchTemplate"):
            data = template["LaunchTemplateData"]
            assert data["MetadataOptions"]["HttpTokens"] == "required"
            assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
            for device in data["BlockDeviceMappings"]:
                assert device["Ebs"]["Encrypted"] is True
                assert "DataKey" in json.dumps(device["Ebs"]["KmsKeyId"])
                assert device["Ebs"]["VolumeType"] == "gp3"
            assert "ECS_AWSVPC_BLOCK_IMDS=true" in data["UserData"]["Fn::Base64"]
            assert "KeyName" not in data


def test_instances_boot_amazon_linux_2023_for_ecs(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for template in stack.properties("AWS::EC2::LaunchTemplate"):
            parameter = stack.document["Parameters"][template["LaunchTemplateData"]["ImageId"]["Ref"]]
            assert parameter["Default"] == "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"


def test_capacity_providers_scale_instances_with_tasks_and_let_groups_go(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for provider in stack.properties("AWS::ECS::CapacityProvider"):
            group = provider["AutoScalingGroupProvider"]
            assert group["ManagedScaling"]["Status"] == "ENABLED"
            assert group["ManagedDraining"] == "ENABLED"
            assert group["ManagedTerminationProtection"] == "DISABLED"


def test_services_wait_for_their_capacity_provider_and_listener_rules(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for service in stack.resources("AWS::ECS::Service").values():
            needed = {stack.document["Resources"][name]["Type"] for name in service["DependsOn"]}
            assert "AWS::ECS::ClusterCapacityProviderAssociations" in needed
            assert "AWS::ElasticLoadBalancingV2::ListenerRule" in needed


@pytest.mark.parametrize(
    ("environment", "service", "tasks", "healthy"),
    [
        ("prod", Service.VECTOR_STORE, 3, 66),
        ("prod", Service.MODEL_REGISTRY, 2, 50),
        ("dev", Service.VECTOR_STORE, 1, 0),
        ("dev", Service.MODEL_REGISTRY, 1, 0),
    ],
)
def test_one_task_an_instance_replaced_one_after_another(
    request: pytest.FixtureRequest, environment: str, service: Service, tasks: int, healthy: int
) -> None:
    assembly: Assembly = request.getfixturevalue(environment)
    for stack in assembly.regional("service").values():
        found = stack.only("AWS::ECS::Service", ServiceName=f"anfl-{environment}-{service}")
        assert found["PlacementConstraints"] == [{"Type": "distinctInstance"}]
        # A deployment would undo what scaling decided.
        assert found.get("DesiredCount") == (None if service is Service.VECTOR_STORE else tasks)
        deployment = found["DeploymentConfiguration"]
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (healthy, 100)
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize("tasks", range(1, 11))
def test_a_deployment_can_always_stop_a_task_and_never_more_than_it_must(tasks: int) -> None:
    """ECS rounds the least number of healthy tasks up."""
    least = -(-tasks * minimum_healthy_percent(tasks) // 100)
    assert least < tasks
    assert tasks > 3 or tasks - least == 1


def test_a_task_writes_to_a_volume_of_its_own_and_reaches_nothing_of_its_instance(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for definition in stack.properties("AWS::ECS::TaskDefinition"):
            own = {"Name": "scratch", "DockerVolumeConfiguration": {"Driver": "local", "Scope": "task"}}
            assert definition["Volumes"] == [own]
            assert not {"PidMode", "IpcMode"} & definition.keys()
            mounted = [mount for found in definition["ContainerDefinitions"] for mount in found.get("MountPoints", [])]
            assert mounted == [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "scratch"}]


def test_nobody_gets_a_shell_in_a_container(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        for service in stack.properties("AWS::ECS::Service"):
            assert not service.get("EnableExecuteCommand")
        for definition in stack.properties("AWS::ECS::TaskDefinition"):
            assert "ssmmessages" not in json.dumps(definition)
        assert "ssmmessages" not in json.dumps([*stack.resources("AWS::IAM::Policy").values()])


@pytest.mark.parametrize("service", Service)
def test_containers_run_the_service_as_nobody_on_a_read_only_root(assembly: Assembly, service: Service) -> None:
    for region, stack in assembly.regional("service").items():
        found = container(stack, service)
        assert found["Name"] == service
        assert found["Command"] == ["python", "-m", f"services.{service.replace('-', '_')}"]
        assert int(found["User"].split(":")[0]) > 0
        assert found["ReadonlyRootFilesystem"] is True
        assert found.get("Privileged") is None
        assert found["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert found["PortMappings"] == [{"ContainerPort": 8080, "Protocol": "tcp"}]
        assert "/health/live" in found["HealthCheck"]["Command"][-1]
        image = json.dumps(found["Image"])
        assert f".dkr.ecr.{region}." in image
        assert f"/anfl-{service}:" in image
        assert ":latest" not in image
        assert task(stack, service)["NetworkMode"] == "awsvpc"


@pytest.mark.parametrize(
    ("environment", "service", "cpus", "mib"),
    [
        ("prod", Service.VECTOR_STORE, 8, 16 * 1024),
        ("prod", Service.MODEL_REGISTRY, 8, 32 * 1024),
        ("dev", Service.VECTOR_STORE, 2, 2 * 1024),
    ],
)
def test_a_task_has_its_instance_but_for_the_agents_share(
    request: pytest.FixtureRequest, environment: str, service: Service, cpus: int, mib: int
) -> None:
    """What it reserves is what ECS measures its utilisation against."""
    assembly: Assembly = request.getfixturevalue(environment)
    for stack in assembly.regional("service").values():
        reserved = task(stack, service)["ContainerDefinitions"]
        assert sum(found["Memory"] for found in reserved) == mib * 7 // 8
        assert sum(found["Cpu"] for found in reserved) == cpus * 1024
        assert all(beside["Cpu"] <= 128 and beside["Memory"] <= 256 for beside in reserved[1:])


COMMON = {
    "ANFL_ENVIRONMENT",
    "AUTH_TABLE",
    "AWS_REGION",
    "PORT",
    "PROMETHEUS_MULTIPROC_DIR",
    "STAGE_PREFIX",
    "THROTTLE_BURST",
    "THROTTLE_RATE",
    "TOKEN_AUDIENCE",
    "TOKEN_ISSUER",
    "VAULT_ADDR",
}
SCALING = {"ECS_CLUSTER", "ECS_SERVICE", "JOBS_PER_TASK"}
NODES = {"NODE_HEARTBEAT_SECONDS", "NODE_TIMEOUT_SECONDS"}
CACHED = {
    Service.VECTOR_STORE: {"CACHE_HOST", "CACHE_NAME", "CACHE_PORT", "CACHE_THROTTLE_USER", "CACHE_USER"},
    Service.MODEL_REGISTRY: {"CACHE_HOST", "CACHE_NAME", "CACHE_PORT", "CACHE_THROTTLE_USER"},
}
VARIABLES = {
    Service.VECTOR_STORE: COMMON
    | SCALING
    | NODES
    | {"CATALOGUE_TABLE", "CHUNKS_MEMORY_MIB", "CHUNKS_QUEUE_URL", "ENGINE_CLASSES", "JOBS_QUEUE_URL", "SEALING"}
    | {"VECTORS_BUCKET"},
    Service.MODEL_REGISTRY: COMMON
    | {"ALIAS_POLICIES", "ARTIFACTS_BUCKET", "REGISTRY_HOME", "REGISTRY_TABLE"}
    | {"VALIDATION_QUEUE_URL", "WEBHOOKS_QUEUE_URL"},
}
OF_SEVERAL_REGIONS = {Service.VECTOR_STORE: {"COPIES_QUEUE_URL"}, Service.MODEL_REGISTRY: set[str]()}


def test_tasks_of_the_vector_store_may_find_one_another_and_outlast_a_lost_heartbeat(assembly: Assembly) -> None:
    """That they may reach one another stands in test_network."""
    for stack in assembly.regional("service").values():
        environment = stack.name.split("-")[1]
        role = task(stack, Service.VECTOR_STORE)["TaskRoleArn"]["Fn::GetAtt"][0]
        roll = {
            action
            for statement in allowed(stack, role)
            for action in actions(statement)
            if f"table/anfl-{environment}-catalogue" in json.dumps(statement["Resource"])
        }
        assert {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:DeleteItem"} <= roll
        told = {entry["Name"]: entry["Value"] for entry in container(stack, Service.VECTOR_STORE)["Environment"]}
        assert int(told["NODE_TIMEOUT_SECONDS"]) >= 3 * int(told["NODE_HEARTBEAT_SECONDS"]) > 0


@pytest.mark.parametrize("service", Service)
def test_services_are_told_what_they_need_and_no_more(assembly: Assembly, service: Service) -> None:
    for region, stack in assembly.regional("service").items():
        found = container(stack, service)
        variables = {entry["Name"]: entry["Value"] for entry in found["Environment"]}
        named = {"REGION_ENDPOINTS", *OF_SEVERAL_REGIONS[service]} if "-prod-" in stack.name else set()
        assert set(variables) == VARIABLES[service] | CACHED[service] | named
        assert variables["PORT"] == "8080"
        assert variables["STAGE_PREFIX"] == "/live"
        assert variables["AWS_REGION"] == region
        assert "Secrets" not in found


@pytest.mark.parametrize("service", Service)
def test_services_know_where_each_region_answers(prod: Assembly, service: Service) -> None:
    """At the names that `test_edge` and `test_api` find in DNS and the templates."""
    regions = prod.regional("service")
    for stack in regions.values():
        told = {entry["Name"]: entry["Value"] for entry in container(stack, service)["Environment"]}
        assert json.loads(told["REGION_ENDPOINTS"]) == {
            region: f"https://{region}.api.lib.aeonova.com" for region in regions
        }


def test_all_regions_agree_where_the_registry_is_written(assembly: Assembly) -> None:
    told = {
        entry["Value"]
        for stack in assembly.regional("service").values()
        for entry in container(stack, Service.MODEL_REGISTRY)["Environment"]
        if entry["Name"] == "REGISTRY_HOME"
    }
    assert len(told) == 1
    assert told <= set(assembly.regional("service"))


@pytest.mark.parametrize("service", Service)
def test_services_are_told_what_each_caller_may_send(assembly: Assembly, service: Service) -> None:
    for stack in assembly.regional("service").values():
        told = {entry["Name"]: entry["Value"] for entry in container(stack, service)["Environment"]}
        limits = environment.load(Limits, told)
        assert 0 < limits.rate <= limits.burst


def test_prod_takes_a_verdict_and_two_people(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        variables = {v["Name"]: v["Value"] for v in container(stack, Service.MODEL_REGISTRY)["Environment"]}
        policies = msgspec.json.decode(variables["ALIAS_POLICIES"], type=dict[str, Policy])
        assert policies == {"prod": Policy(require=(Requirement.VALIDATED, Requirement.APPROVED), approvals=2)}


def test_tasks_have_roles_of_their_own_that_only_ecs_may_take(assembly: Assembly) -> None:
    for stack in assembly.regional("service").values():
        tasks = stack.properties("AWS::ECS::TaskDefinition")
        roles = {t[kind]["Fn::GetAtt"][0] for t in tasks for kind in ("TaskRoleArn", "ExecutionRoleArn")}
        assert len(roles) == 2 * len(tasks)
        for role in roles:
            (statement,) = stack.resources("AWS::IAM::Role")[role]["Properties"]["AssumeRolePolicyDocument"][
                "Statement"
            ]
            assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(
    ("service", "writes", "reads", "sends", "consumes"),
    [
        (Service.VECTOR_STORE, {"catalogue", "class", "Vectors"}, {"auth"}, {"Jobs", "Chunks"}, {"Jobs"}),
        (Service.MODEL_REGISTRY, {"registry", "Artifacts"}, {"auth"}, {"Validation", "Webhooks"}, set()),
    ],
)
def test_services_may_do_what_their_work_needs_and_no_more(
    prod: Assembly, service: Service, writes: set[str], reads: set[str], sends: set[str], consumes: set[str]
) -> None:
    stack = prod["anfl-prod-eu-west-1-service"]
    found: dict[str, set[str]] = {"writes": set(), "reads": set(), "sends": set(), "consumes": set()}
    for statement in allowed(stack, task(stack, service)["TaskRoleArn"]["Fn::GetAtt"][0]):
        where, may = json.dumps(statement["Resource"]), set(actions(statement))
        names = {
            name
            for name, mark in {
                "catalogue": ":table/anfl-prod-catalogue",
                "registry": ":table/anfl-prod-registry",
                "auth": ":table/anfl-prod-auth",
                "class": ":table/anfl-prod-class-",
                "Vectors": ":::anfl-prod-vectors-",
                "Artifacts": ":::anfl-prod-artifacts-",
                "Jobs": "GetAttJobsQueue",
                "Chunks": "GetAttChunksQueue",
                "Validation": "GetAttValidationQueue",
                "Webhooks": "GetAttWebhooksQueue",
            }.items()
            if mark in where
        }
        if may & {"dynamodb:PutItem", "s3:PutObject"}:
            found["writes"] |= names
        elif may & {"dynamodb:Query", "s3:GetObject"}:
            found["reads"] |= names
        if "sqs:SendMessage" in may:
            found["sends"] |= names
        if "sqs:ReceiveMessage" in may:
            found["consumes"] |= names
    assert found == {"writes": writes, "reads": reads, "sends": sends, "consumes": consumes}


@pytest.mark.parametrize("service", Service)
def test_a_collector_beside_each_task_writes_to_the_regions_own_prometheus(
    assembly: Assembly, service: Service
) -> None:
    for region, stack in assembly.regional("service").items():
        beside = task(stack, service)["ContainerDefinitions"][1]
        assert beside["Essential"] is False, "who serves does not depend on it"
        assert beside["RestartPolicy"] == {"Enabled": True, "RestartAttemptPeriod": 60}
        assert beside["ReadonlyRootFilesystem"] is True
        assert beside["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert beside["HealthCheck"]["Command"] == ["CMD", "/healthcheck"]
        assert "PortMappings" not in beside
        (variable,) = beside["Environment"]
        assert variable["Name"] == "AOT_CONFIG_CONTENT"
        before, url, after = variable["Value"]["Fn::Join"][1]
        configuration = yaml.safe_load(f"{before}https://prometheus/{after}")
        (scrape,) = configuration["receivers"]["prometheus"]["config"]["scrape_configs"]
        assert scrape["job_name"] == service
        assert scrape["static_configs"] == [{"targets": ["127.0.0.1:8080"], "labels": {"service": service}}]
        assert configuration["extensions"]["sigv4auth"] == {"region": region, "service": "aps"}
        written = configuration["exporters"]["prometheusremotewrite"]
        assert written["endpoint"] == "https://prometheus/api/v1/remote_write"
        assert written["auth"] == {"authenticator": "sigv4auth"}
        telemetry = assembly.regional("telemetry")[region]
        exports = {
            output["Export"]["Name"]: output["Value"]
            for output in telemetry.document["Outputs"].values()
            if "Export" in output
        }
        (workspace,) = telemetry.resources("AWS::APS::Workspace")
        assert exports[url["Fn::ImportValue"]] == {"Fn::GetAtt": [workspace, "PrometheusEndpoint"]}
        role = task(stack, service)["TaskRoleArn"]["Fn::GetAtt"][0]
        (may,) = (s for s in allowed(stack, role) if s["Sid"] == "WriteMetrics")
        assert may["Action"] == "aps:RemoteWrite"
        assert exports[may["Resource"]["Fn::ImportValue"]] == {"Fn::GetAtt": [workspace, "Arn"]}


def test_the_collectors_image_is_a_copy_in_the_account(assembly: Assembly) -> None:
    """Tasks reach no public registry."""
    for region, stack in assembly.regional("service").items():
        for definition in stack.properties("AWS::ECS::TaskDefinition"):
            image = json.dumps(definition["ContainerDefinitions"][1]["Image"])
            assert f".dkr.ecr.{region}." in image
            assert re.search(r"/anfl-collector:v\d+\.\d+\.\d+", image)


@pytest.mark.parametrize("path", ["/metrics", "/live/metrics", "/health/live", "/live/health/ready"])
def test_what_machines_ask_a_task_is_reached_neither_by_the_balancer_nor_by_the_api(
    assembly: Assembly, path: str
) -> None:
    for stack in assembly.regional("service").values():
        for rule in stack.properties("AWS::ElasticLoadBalancingV2::ListenerRule"):
            for pattern in rule["Conditions"][0]["PathPatternConfig"]["Values"]:
                assert not fnmatchcase(path, pattern)
        segments = {segment for _, path in routes(stack) for segment in path.split("/")}
        assert not {"metrics", "health", "{proxy+}"} & segments
