"""An ECS service: one container and its collector, one task an instance."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct, grants
from constructs.collector import Collector
from constructs.container_definition import METRICS_FOLDER, container_definition
from constructs.instance_cluster import InstanceCluster
from constructs.location import here
from constructs.statements import Statement, attach

from anfl.resources import Service, Variable

_UNITS_A_CPU = 1024
"""A task reserves all of its instance's: ECS measures a service's CPU utilisation against what it reserves."""
_SHARE_OF_MEMORY = 7 / 8
"""Of an instance's memory; the rest is the operating system's and the agent's."""


class ContainerService(Construct):
    """Task definition with roles of its own, and the service that keeps ``min_size`` of them behind a target group."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - as every construct names it
        *,
        service: Service,
        name: str,
        cluster: InstanceCluster,
        repository: str,
        tag: str,
        port: int,
        health_path: str,
        environment: Mapping[Variable, str],
        statements: Sequence[Statement],
        subnet_ids: Sequence[str],
        security_group_id: str,
        target_group_arn: str,
        log_group: logs.ILogGroup,
        collector: Collector,
        scaled: bool = False,
    ) -> None:
        """:param repository: name in the account's registry. :param statements: all that the service may do.

        :param scaled: something else decides on the number of tasks, which a deployment must not undo.
        """
        super().__init__(scope, id)
        role = iam.Role(self, "TaskRole", assumed_by=_tasks(self))
        attach(role, (*statements, *collector.statements()))
        self.name = name
        self.role = role
        definition = ecs.CfnTaskDefinition(
            self,
            "Task",
            family=name,
            network_mode="awsvpc",
            requires_compatibilities=["EC2"],
            runtime_platform=ecs.CfnTaskDefinition.RuntimePlatformProperty(
                cpu_architecture="X86_64", operating_system_family="LINUX"
            ),
            task_role_arn=role.role_arn,
            execution_role_arn=self._execution_role([repository, collector.repository], log_group).role_arn,
            container_definitions=[
                container_definition(
                    self,
                    service=service,
                    image=f"{_registry(self)}/{repository}:{tag}",
                    cpu=cluster.settings.instance_type.cpus * _UNITS_A_CPU - collector.cpu,
                    memory=int(cluster.settings.instance_type.memory_mib * _SHARE_OF_MEMORY) - collector.memory,
                    port=port,
                    health_path=health_path,
                    environment={
                        **{str(variable): value for variable, value in environment.items()},
                        Variable.PORT: str(port),
                        Variable.METRICS_FOLDER: METRICS_FOLDER,
                        "AWS_REGION": here(self).region,
                    },
                    log_group=log_group,
                ),
                collector.definition(
                    self,
                    service=service,
                    image=f"{_registry(self)}/{collector.repository}:{collector.tag}",
                    port=port,
                    log_group=log_group,
                ),
            ],
            # A task's own scratch space: its root is read-only.
            volumes=[
                ecs.CfnTaskDefinition.VolumeProperty(
                    name="scratch",
                    docker_volume_configuration=ecs.CfnTaskDefinition.DockerVolumeConfigurationProperty(
                        scope="task", driver="local"
                    ),
                )
            ],
        )
        resource = ecs.CfnService(
            self,
            "Service",
            service_name=name,
            cluster=cluster.resource.ref,
            task_definition=definition.ref,
            desired_count=None if scaled else cluster.settings.min_size,
            capacity_provider_strategy=[
                ecs.CfnService.CapacityProviderStrategyItemProperty(
                    capacity_provider=cluster.capacity_provider, weight=1
                )
            ],
            placement_constraints=[ecs.CfnService.PlacementConstraintProperty(type="distinctInstance")],
            availability_zone_rebalancing="DISABLED",
            deployment_configuration=ecs.CfnService.DeploymentConfigurationProperty(
                minimum_healthy_percent=minimum_healthy_percent(cluster.settings.min_size),
                maximum_percent=100,
                deployment_circuit_breaker=ecs.CfnService.DeploymentCircuitBreakerProperty(enable=True, rollback=True),
            ),
            network_configuration=ecs.CfnService.NetworkConfigurationProperty(
                awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                    subnets=list(subnet_ids), security_groups=[security_group_id], assign_public_ip="DISABLED"
                )
            ),
            load_balancers=[
                ecs.CfnService.LoadBalancerProperty(
                    container_name=service.value, container_port=port, target_group_arn=target_group_arn
                )
            ],
            health_check_grace_period_seconds=120,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
        )
        # The cluster knows its provider only after the association; without this the first deployment fails.
        resource.add_resource_dependency(cluster.association)
        self.resource = resource

    def _execution_role(self, repositories: Sequence[str], log_group: logs.ILogGroup) -> iam.Role:
        role = iam.Role(self, "ExecutionRole", assumed_by=_tasks(self))
        attach(
            role,
            (
                Statement(sid="RegistryLogin", actions=["ecr:GetAuthorizationToken"], resources=["*"]),
                Statement(
                    sid="PullImages",
                    actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    resources=[here(self).arn("ecr", f"repository/{name}") for name in repositories],
                ),
                *grants.write_logs(log_group.log_group_arn),
            ),
        )
        return role


def minimum_healthy_percent(tasks: int) -> int:
    """66, or less where fewer than three run: ECS rounds up, and must be able to stop one task to replace it."""
    return min(66, 100 * (tasks - 1) // tasks)


def _tasks(scope: Construct) -> iam.IPrincipal:
    """ECS tasks of this account alone."""
    return iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": here(scope).account}}
    )


def _registry(scope: Construct) -> str:
    return here(scope).registry()
