"""How a service's container runs."""

from collections.abc import Mapping

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.location import here

from anfl.resources import Service

METRICS_FOLDER = "/tmp/metrics"  # noqa: S108 - a task's own scratch space
"""Where the processes of a service keep what they measure."""
USER = "10001:10001"
"""Not root; the image owns nothing it may write to."""


def container_definition(
    scope: Construct,
    *,
    service: Service,
    image: str,
    cpu: int,
    memory: int,
    port: int,
    health_path: str,
    environment: Mapping[str, str],
    log_group: logs.ILogGroup,
) -> ecs.CfnTaskDefinition.ContainerDefinitionProperty:
    """Read-only but for its scratch space, without capabilities, probed by its own Python.

    :param cpu: in units, 1024 a processor. :param memory: MiB.
    """
    task = ecs.CfnTaskDefinition
    probe = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}{health_path}', timeout=3)"
    return task.ContainerDefinitionProperty(
        name=service.value,
        image=image,
        command=["python", "-m", f"services.{service.value.replace('-', '_')}"],
        essential=True,
        cpu=cpu,
        memory=memory,
        user=USER,
        readonly_root_filesystem=True,
        linux_parameters=task.LinuxParametersProperty(
            init_process_enabled=True, capabilities=task.KernelCapabilitiesProperty(drop=["ALL"])
        ),
        environment=[
            task.KeyValuePairProperty(name=str(name), value=value) for name, value in sorted(environment.items())
        ],
        port_mappings=[task.PortMappingProperty(container_port=port, protocol="tcp")],
        health_check=task.HealthCheckProperty(
            command=["CMD", "python", "-c", probe], interval=15, timeout=5, retries=3, start_period=60
        ),
        mount_points=[task.MountPointProperty(container_path="/tmp", source_volume="scratch", read_only=False)],  # noqa: S108
        ulimits=[task.UlimitProperty(name="nofile", soft_limit=65536, hard_limit=65536)],
        stop_timeout=60,
        log_configuration=task.LogConfigurationProperty(
            log_driver="awslogs",
            options={
                "awslogs-group": log_group.log_group_name,
                "awslogs-region": here(scope).region,
                "awslogs-stream-prefix": service.value,
            },
        ),
    )
