"""From a deployed ECS service to a program on the host."""

import sys
from pathlib import Path
from typing import Any

import pytest

from local.resolved import DeclarationError, Resource, Resources
from local.services import container_names, service_programs

TASK = "arn:aws:ecs:us-west-1:123456789012:task-definition/vector-store:1"
ROLE = "arn:aws:iam::123456789012:role/task"


def resource(kind: str, physical_id: str, **properties: Any) -> Resource:
    return Resource(
        stack="s",
        region="us-west-1",
        logical_id=physical_id,
        type=f"AWS::{kind}",
        physical_id=physical_id,
        properties=properties,
    )


def deployed(**container: Any) -> Resources:
    definition = {
        "Name": "vector-store",
        "Command": ["python", "-m", "services.vector_store"],
        "Environment": [
            {"Name": "PORT", "Value": "8080"},
            {"Name": "STAGE_PREFIX", "Value": "/live"},
            {"Name": "VAULT_ADDR", "Value": "http://vault.internal:8200"},
        ],
    }
    balancers = [{"ContainerName": "vector-store", "TargetGroupArn": "group", "ContainerPort": 8080}]
    return Resources(
        [
            resource(
                "ECS::TaskDefinition",
                TASK,
                TaskRoleArn=ROLE,
                ContainerDefinitions=[{"Name": "collector"}, definition | container],
            ),
            resource("ECS::Service", "service", TaskDefinition=TASK, LoadBalancers=balancers),
            resource("ElasticLoadBalancingV2::TargetGroup", "group", HealthCheckPath="/health/ready"),
        ],
        region="us-west-1",
    )


def programs(resources: Resources, tmp_path: Path, *ports: int) -> list[Any]:
    return list(
        service_programs(
            resources,
            ports={"vector-store": ports},
            environment={"PATH": "/bin"},
            role_environment=lambda role: {"AWS_ACCESS_KEY_ID": f"of {role}"},
            substitute=lambda text: text.replace("http://vault.internal:8200", "http://127.0.0.1:1"),
            logs=tmp_path,
        )
    )


def test_runs_the_container_that_the_balancer_reaches(tmp_path: Path) -> None:
    [program] = programs(deployed(), tmp_path, 4711)

    assert program.command == (sys.executable, "-m", "services.vector_store")
    assert program.environment == {
        "PATH": "/bin",
        "PORT": "4711",
        "HOST": "127.0.0.1",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics-4711"),
        "STAGE_PREFIX": "/live",
        "VAULT_ADDR": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": f"of {ROLE}",
    }
    assert program.health == "http://127.0.0.1:4711/health/ready"
    assert program.log == tmp_path / "vector-store.log"
    assert program.restarts
    assert container_names(deployed()) == ["vector-store"]


def test_a_container_without_a_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="vector-store names no command"):
        programs(deployed(Command=None), tmp_path, 4711)


def test_tasks_of_one_service_differ_in_name_port_log_and_figures(tmp_path: Path) -> None:
    first, second = programs(deployed(), tmp_path, 4711, 4712)

    assert [first.name, second.name] == ["vector-store", "vector-store-2"]
    assert second.log == tmp_path / "vector-store-2.log"
    assert second.health == "http://127.0.0.1:4712/health/ready"
    differing = {name for name, value in first.environment.items() if second.environment[name] != value}
    assert differing == {"PORT", "PROMETHEUS_MULTIPROC_DIR"}
