"""The container beside a service's own that asks it for its figures and writes them to Prometheus."""

from dataclasses import dataclass
from string import Template

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct
from constructs.location import here
from constructs.prometheus_workspace import PrometheusWorkspace
from constructs.statements import Statement

from anfl.resources import Service

NAME = "collector"


@dataclass(frozen=True, kw_only=True)
class Collector:
    """AWS's distribution of the OpenTelemetry collector. Who serves does not depend on it."""

    repository: str
    """Name in the account's registry."""
    tag: str
    cpu: int
    """Units, 1024 a processor."""
    memory: int
    """MiB."""
    configuration: str
    """YAML, with ``${service}``, ``${port}``, ``${region}`` and ``${remote_write_url}`` to be filled in."""
    prometheus: PrometheusWorkspace

    def statements(self) -> list[Statement]:
        """What the task's role needs for it."""
        return [Statement(sid="WriteMetrics", actions=["aps:RemoteWrite"], resources=[self.prometheus.arn])]

    def definition(
        self, scope: Construct, *, service: Service, image: str, port: int, log_group: logs.ILogGroup
    ) -> ecs.CfnTaskDefinition.ContainerDefinitionProperty:
        """How it runs. :param port: on which the service listens, in the same network namespace.

        :raises KeyError: the configuration asks for something else.
        """
        task = ecs.CfnTaskDefinition
        region = here(scope).region
        configuration = Template(self.configuration).substitute(
            service=service.value, port=port, region=region, remote_write_url=self.prometheus.remote_write_url
        )
        return task.ContainerDefinitionProperty(
            name=NAME,
            image=image,
            essential=False,
            # ECS starts it again by itself: it need not go with its task.
            restart_policy=task.RestartPolicyProperty(enabled=True, restart_attempt_period=60),
            cpu=self.cpu,
            memory=self.memory,
            memory_reservation=self.memory // 2,
            readonly_root_filesystem=True,
            linux_parameters=task.LinuxParametersProperty(
                init_process_enabled=True, capabilities=task.KernelCapabilitiesProperty(drop=["ALL"])
            ),
            environment=[task.KeyValuePairProperty(name="AOT_CONFIG_CONTENT", value=configuration)],
            # The image's own program: it has no shell. It asks the extension health_check.
            health_check=task.HealthCheckProperty(
                command=["CMD", "/healthcheck"], interval=30, timeout=5, retries=3, start_period=30
            ),
            log_configuration=task.LogConfigurationProperty(
                log_driver="awslogs",
                options={
                    "awslogs-group": log_group.log_group_name,
                    "awslogs-region": region,
                    "awslogs-stream-prefix": NAME,
                },
            ),
        )
