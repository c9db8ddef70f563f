"""Each deployed ECS service as a program: its task definition's container, run on the host."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anfl.resources import Variable
from local.process import Program
from local.resolved import DeclarationError, Resource, Resources
from local.state import REPOSITORY

ECS = "AWS::ECS"
GRACE_SECONDS = 15


def container_names(resources: Resources) -> list[str]:
    """The containers that the load balancer reaches, in a fixed order."""
    return sorted(_balancer(service)["ContainerName"] for service in resources.of_type(f"{ECS}::Service"))


def service_programs(
    resources: Resources,
    *,
    ports: Mapping[str, Sequence[int]],
    environment: Mapping[str, str],
    role_environment: Callable[[str], Mapping[str, str]],
    substitute: Callable[[str], str],
    logs: Path,
) -> list[Program]:
    """A program for each task of each ECS service of the region.

    :param ports: container name → ports on loopback, one a task.
    :param environment: what every one gets beside its definition's variables.
    :param role_environment: task role ARN → variables with its credentials.
    :param substitute: replaces network names that exist only in AWS.
    :raises DeclarationError: a task definition cannot be run here.
    """
    programs = []
    for service in resources.of_type(f"{ECS}::Service"):
        name = str(_balancer(service)["ContainerName"])
        task = resources.by_id(f"{ECS}::TaskDefinition", str(service.properties["TaskDefinition"]))
        container = _container(task, name)
        declared = {str(v["Name"]): substitute(str(v["Value"])) for v in container.get("Environment", [])}
        role = role_environment(str(task.properties["TaskRoleArn"]))
        for number, port in enumerate(ports[name]):
            own = {
                "PORT": str(port),
                "HOST": "127.0.0.1",
                Variable.METRICS_FOLDER: str(logs / f"metrics-{port}"),
            }
            programs.append(
                Program(
                    name=task_name(name, number),
                    command=_command(task, container),
                    directory=REPOSITORY,
                    environment={**environment, **declared, **role, **own},
                    log=logs / f"{task_name(name, number)}.log",
                    health=f"http://127.0.0.1:{port}{_health_path(resources, service)}",
                    restarts=True,
                    grace_seconds=GRACE_SECONDS,
                )
            )
    return sorted(programs, key=lambda program: program.name)


def task_name(container: str, number: int) -> str:
    """The program of a service's task, counted from 0: plain for the first."""
    return container if number == 0 else f"{container}-{number + 1}"


def _balancer(service: Resource) -> Mapping[str, Any]:
    balancers: list[Mapping[str, Any]] = service.properties.get("LoadBalancers") or []
    if len(balancers) != 1:
        raise DeclarationError(f"{service.logical_id} is registered with {len(balancers)} target groups; one is needed")
    return balancers[0]


def _container(task: Resource, name: str) -> Mapping[str, Any]:
    for container in task.properties["ContainerDefinitions"]:
        if container["Name"] == name:
            return dict(container)
    raise DeclarationError(f"{task.logical_id} has no container {name}")


def _command(task: Resource, container: Mapping[str, Any]) -> tuple[str, ...]:
    command = [*(container.get("EntryPoint") or []), *(container.get("Command") or [])]
    if not command:
        raise DeclarationError(f"{task.logical_id}: container {container['Name']} names no command")
    return tuple(sys.executable if word == "python" else str(word) for word in command)


def _health_path(resources: Resources, service: Resource) -> str:
    kind = "AWS::ElasticLoadBalancingV2::TargetGroup"
    group = resources.by_id(kind, str(_balancer(service)["TargetGroupArn"]))
    return str(group.properties.get("HealthCheckPath", "/"))
